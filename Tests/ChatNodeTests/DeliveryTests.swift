import ChatModel
import Testing

@testable import ChatNode

/// A log, a relay that pushes from it and reads it, and one connection, driven by chance.
private struct World {
    struct Push: Equatable {
        var conversation: UInt64
        var seq: UInt64
    }

    var generator: SplitMix
    var machine: DeliveryStateMachine<Push>
    var heads: [UInt64: UInt64]
    /// Pushes under way, in order.
    var pushes: [Push] = []
    var lost = false
    /// What the connection was given.
    var given: [UInt64: [UInt64]] = [:]
    /// The reading under way: positions once, then events.
    var positions: [(conversation: ConversationID, after: UInt64, head: UInt64)]?
    var events: [Push] = []
    var isReading = false
    var isPausing = false
    var isWritable = true
    var syncedTimes = 0
    var acknowledged: [UInt64: UInt64]

    init(seed: UInt64, holdLimit: Int) {
        generator = SplitMix(state: seed)
        machine = DeliveryStateMachine(holdLimit: holdLimit)
        heads = [:]
        acknowledged = [:]
        for conversation in 1...4 as ClosedRange<UInt64> {
            heads[conversation] = UInt64.random(in: 0...5, using: &generator)
            acknowledged[conversation] = UInt64.random(in: 0...heads[conversation]!, using: &generator)
        }
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

    mutating func carryOut(_ next: DeliveryStateMachine<Push>.Next) {
        switch next {
        case .nothing: break
        case .read(let round):
            #expect(!isReading)
            isReading = true
            events = []
            var positions: [(conversation: ConversationID, after: UInt64, head: UInt64)] = []
            let asked = Dictionary(uniqueKeysWithValues: round.cursors.map { ($0.conversation.rawValue, $0.seq) })
            for conversation in heads.keys.sorted() where round.all || asked[conversation] != nil {
                let after = asked[conversation] ?? acknowledged[conversation] ?? 0
                positions.append((ConversationID(rawValue: conversation), after, heads[conversation]!))
                if after < heads[conversation]! {
                    events += (after + 1...heads[conversation]!).map { Push(conversation: conversation, seq: $0) }
                }
            }
            self.positions = positions
        case .pause:
            #expect(!isReading)
            isPausing = true
        case .synced(let cursors):
            syncedTimes += 1
            for cursor in cursors where given[cursor.conversation.rawValue]?.last ?? cursor.seq != cursor.seq {
                Issue.record("synced says \(cursor), given \(given[cursor.conversation.rawValue]!)")
            }
        }
    }

    mutating func give(_ push: Push) { given[push.conversation, default: []].append(push.seq) }

    mutating func append() {
        let conversation = UInt64.random(in: 1...5, using: &generator)  // the fifth comes to be meanwhile
        heads[conversation, default: 0] += 1
        let push = Push(conversation: conversation, seq: heads[conversation]!)
        if chance(5) {
            lost = true
        } else {
            pushes.append(push)
            if chance(10) { pushes.append(push) }
        }
    }

    mutating func deliver() {
        guard !pushes.isEmpty else { return }
        let push = pushes.removeFirst()
        switch machine.offer(ConversationID(rawValue: push.conversation), push.seq, push) {
        case .push: give(push)
        case .drop, .hold: break
        case .behind: carryOut(machine.next())
        }
    }

    mutating func progress() {
        guard isReading else { return }
        if chance(3) {
            isReading = false
            carryOut(machine.failed())
            return
        }
        if let positions {
            machine.positions(positions)
            self.positions = nil
        }
        for _ in 0..<Int.random(in: 0...3, using: &generator) where !events.isEmpty {
            let event = events.removeFirst()
            if machine.read(ConversationID(rawValue: event.conversation), event.seq) { give(event) }
        }
        if events.isEmpty {
            isReading = false
            let (push, next) = machine.ended()
            for event in push { give(event) }
            carryOut(next)
        }
    }

    mutating func toggle(_ writable: Bool) {
        guard isWritable != writable else { return }
        isWritable = writable
        carryOut(machine.writabilityChanged(writable))
    }

    mutating func resume() {
        guard isPausing else { return }
        isPausing = false
        carryOut(machine.resume())
    }

    mutating func step() {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0...2: append()
        case 3...5: deliver()
        case 6...7: progress()
        case 8: toggle(chance(60))
        default: resume()
        }
    }

    mutating func settle() {
        while !pushes.isEmpty { deliver() }
        toggle(true)
        if lost { carryOut(machine.readAgain()) }
        for _ in 0..<1000 where isReading || isPausing {
            progress()
            resume()
        }
    }
}

@Suite struct DeliveryStateMachineTests {
    @Test(arguments: [1, 4, 64])
    func everyInterleavingGivesEveryEventOnceInOrder(_ holdLimit: Int) {
        for seed in 0..<1500 as Range<UInt64> {
            var world = World(seed: seed, holdLimit: holdLimit)
            let before = world.acknowledged
            world.carryOut(world.machine.start(claiming: nil))
            for _ in 0..<120 { world.step() }
            world.settle()
            for (conversation, head) in world.heads {
                let first = before[conversation, default: 0] + 1
                let expected = first <= head ? Array(first...head) : []
                #expect(
                    world.given[conversation, default: []] == expected, "seed \(seed), conversation \(conversation)")
            }
            #expect(world.syncedTimes > 0)
            #expect(world.machine.phase == .live)
        }
    }

    private func conversation(_ id: UInt64) -> ConversationID { ConversationID(rawValue: id) }

    @Test func cursorsAheadOfTheHeadAreHarmless() {
        var machine = DeliveryStateMachine<Int>()
        let claimed = [
            EventID(conversation: conversation(1), seq: 100), EventID(conversation: conversation(9), seq: 5),
        ]
        #expect(machine.start(claiming: claimed) == .read(.init(all: true, cursors: claimed)))
        machine.positions([(conversation(1), 100, 3)])
        #expect(machine.ended().next == .synced([]))
        #expect(machine.offer(conversation(1), 4, 0) == .push)
    }

    @Test func aGapThatTheLogDoesNotFillEnds() {
        var machine = DeliveryStateMachine<Int>()
        _ = machine.start(claiming: nil)
        machine.positions([(conversation(1), 0, 0)])
        _ = machine.ended()
        #expect(machine.offer(conversation(1), 3, 0) == .behind)
        var next = machine.next()
        var rounds = 0
        while next != .nothing, rounds < 100 {
            rounds += 1
            switch next {
            case .read:
                // The relay keeps pushing what its log does not have.
                #expect(machine.offer(conversation(1), 3, 0) == .hold)
                next = machine.ended().next
            case .pause: next = machine.resume()
            case .nothing, .synced: next = .nothing
            }
        }
        #expect(machine.phase == .live)
        #expect(machine.abandoned == 1)
        #expect(rounds < 20)
    }

    @Test func aSlowPeerReadsTheLogWhenItIsFastAgain() {
        var machine = DeliveryStateMachine<Int>()
        _ = machine.start(claiming: nil)
        machine.positions([(conversation(1), 0, 0), (conversation(2), 7, 7)])
        _ = machine.ended()
        #expect(machine.writabilityChanged(false) == .nothing)
        #expect(machine.offer(conversation(1), 1, 0) == .behind)
        #expect(machine.next() == .nothing)
        #expect(machine.isLagging)
        #expect(
            machine.writabilityChanged(true)
                == .read(.init(all: false, cursors: [EventID(conversation: conversation(1), seq: 0)])))
        // Others live on meanwhile.
        #expect(machine.offer(conversation(2), 8, 0) == .push)
    }
}

/// A group that the user joins, leaves and is removed from, while others write to it, as the log and its relay treat it;
/// and one connection of the user, driven by chance.
private struct GroupWorld {
    struct Push: Equatable {
        var seq: UInt64
        var isLast = false
    }

    /// What the user may read: the events after `joined`, up to `left`.
    struct Stay {
        var joined: UInt64
        var left: UInt64?
    }

    let group = ConversationID(rawValue: 7)
    var generator: SplitMix
    var machine = DeliveryStateMachine<Push>(holdLimit: 3)
    var log: [Push] = []
    var stays: [Stay] = []
    var pushes: [Push] = []
    var given: [UInt64] = []
    var positions: [(conversation: ConversationID, after: UInt64, head: UInt64)]?
    var events: [Push] = []
    var isReading = false
    var isPausing = false
    var isWritable = true
    var lost = false

    init(seed: UInt64) { generator = SplitMix(state: seed) }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &generator) < percent }

    var head: UInt64 { UInt64(log.count) }
    var isMember: Bool { stays.last.map { $0.left == nil } ?? false }
    /// The last event that the user may see.
    var visibleHead: UInt64 { stays.last.map { $0.left ?? head } ?? 0 }

    mutating func append() {
        let wasMember = isMember
        var event = Push(seq: head + 1)
        if chance(15) {
            if wasMember {
                event.isLast = true
                stays[stays.count - 1].left = event.seq
            } else {
                stays.append(Stay(joined: event.seq - 1, left: nil))
            }
        }
        log.append(event)
        // A relay that has not heard of the removal pushes a little longer.
        guard wasMember || isMember || !stays.isEmpty && chance(20) else { return }
        if chance(5) { lost = true } else { pushes.append(event) }
    }

    mutating func carryOut(_ next: DeliveryStateMachine<Push>.Next) {
        switch next {
        case .nothing, .synced: break
        case .read(let round):
            isReading = true
            positions = []
            events = []
            guard let stay = stays.last else { return }
            let asked = round.cursors.first { $0.conversation == group }?.seq ?? 0
            let after = max(asked, stay.joined)
            positions = [(group, after, max(visibleHead, after))]
            if after < visibleHead { events = Array(log[Int(after)..<Int(visibleHead)]) }
        case .pause: isPausing = true
        }
    }

    mutating func deliver() {
        guard !pushes.isEmpty else { return }
        let push = pushes.removeFirst()
        switch machine.offer(group, push.seq, isLast: push.isLast, push) {
        case .push: given.append(push.seq)
        case .drop, .hold: break
        case .behind: carryOut(machine.next())
        }
    }

    mutating func progress() {
        guard isReading else { return }
        if chance(3) {
            isReading = false
            carryOut(machine.failed())
            return
        }
        if let positions {
            machine.positions(positions)
            self.positions = nil
        }
        for _ in 0..<Int.random(in: 0...3, using: &generator) where !events.isEmpty {
            let event = events.removeFirst()
            if machine.read(group, event.seq, isLast: event.isLast) { given.append(event.seq) }
        }
        if events.isEmpty {
            isReading = false
            let (push, next) = machine.ended()
            for event in push { given.append(event.seq) }
            carryOut(next)
        }
    }

    mutating func resume() {
        guard isPausing else { return }
        isPausing = false
        carryOut(machine.resume())
    }

    mutating func step() {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0...2: append()
        case 3...5: deliver()
        case 6...7: progress()
        case 8:
            let writable = chance(60)
            guard isWritable != writable else { return }
            isWritable = writable
            carryOut(machine.writabilityChanged(writable))
        default: resume()
        }
    }

    mutating func settle() {
        while !pushes.isEmpty { deliver() }
        if !isWritable { carryOut(machine.writabilityChanged(true)) }
        if lost { carryOut(machine.readAgain()) }
        for _ in 0..<1000 where isReading || isPausing {
            progress()
            resume()
        }
    }
}

@Suite struct MembershipDeliveryTests {
    private let group = ConversationID(rawValue: 7)

    /// A connection that knows of no conversation, or of the group up to `cursor`.
    private func live(_ cursor: UInt64? = nil) -> DeliveryStateMachine<Int> {
        var machine = DeliveryStateMachine<Int>()
        _ = machine.start(claiming: nil)
        machine.positions(cursor.map { [(group, $0, $0)] } ?? [])
        _ = machine.ended()
        return machine
    }

    private func reading(_ seq: UInt64) -> DeliveryStateMachine<Int>.Next {
        .read(.init(all: false, cursors: [EventID(conversation: group, seq: seq)]))
    }

    @Test func whateverHappensNothingOutsideAStayIsGivenAndAllOfTheLast() {
        for seed in 0..<1500 as Range<UInt64> {
            var world = GroupWorld(seed: seed)
            world.carryOut(world.machine.start(claiming: nil))
            for _ in 0..<150 { world.step() }
            world.settle()
            var previous: UInt64 = 0
            for seq in world.given {
                #expect(seq > previous, "seed \(seed): \(seq) after \(previous)")
                let isIn = world.stays.contains { $0.joined < seq && seq <= $0.left ?? .max }
                #expect(isIn, "seed \(seed): \(seq) is foreign")
                if seq != previous + 1 {
                    #expect(
                        world.stays.contains { $0.joined == seq - 1 }, "seed \(seed): a gap before \(seq)")
                }
                previous = seq
            }
            #expect(previous == world.visibleHead, "seed \(seed)")
            #expect(world.machine.phase == .live)
        }
    }

    @Test func whoJoinsWhileConnectedStartsAtTheJoin() {
        var machine = live()
        #expect(machine.offer(group, 40, 40) == .behind)
        #expect(machine.next() == reading(0))
        // What is said while the log is read waits for it.
        #expect(machine.offer(group, 41, 41) == .hold)
        machine.positions([(group, 39, 40)])
        #expect(machine.read(group, 40) == true)
        let (push, next) = machine.ended()
        #expect(push == [41])
        #expect(next == .synced([EventID(conversation: group, seq: 41)]))
        #expect(machine.abandoned == 0)
    }

    @Test func whoIsThereFromTheStartNeedsNoLog() {
        var machine = live()
        #expect(machine.offer(group, 1, 1) == .push)
        #expect(machine.offer(group, 2, 2) == .push)
    }

    @Test func whoComesBackIsGivenNothingOfTheTimeBetween() {
        var machine = live(9)
        #expect(machine.offer(group, 10, isLast: true, 10) == .push)
        #expect(machine.offer(group, 25, 25) == .behind)
        #expect(machine.next() == reading(10))
        machine.positions([(group, 24, 25)])
        #expect(machine.read(group, 25) == true)
        #expect(machine.ended().next == .synced([EventID(conversation: group, seq: 25)]))
        #expect(machine.offer(group, 26, 26) == .push)
    }

    @Test func whoIsAddedAgainAtOnceMissesNothing() {
        var machine = live(9)
        #expect(machine.offer(group, 10, isLast: true, 10) == .push)
        #expect(machine.offer(group, 11, 11) == .behind)
        #expect(machine.next() == reading(10))
        machine.positions([(group, 10, 11)])
        #expect(machine.read(group, 11) == true)
        _ = machine.ended()
        #expect(machine.offer(group, 12, 12) == .push)
    }

    @Test func nothingIsGivenAfterARemoval() {
        var machine = live(9)
        #expect(machine.offer(group, 10, isLast: true, 10) == .push)
        // A relay that has not heard of it yet.
        #expect(machine.offer(group, 11, 11) == .behind)
        var next = machine.next()
        var rounds = 0
        while rounds < 100 {
            rounds += 1
            switch next {
            case .read:
                machine.positions([(group, 10, 10)])
                #expect(machine.offer(group, 12, 12) == .hold)
                let ended = machine.ended()
                #expect(ended.push.isEmpty)
                next = ended.next
                continue
            case .pause:
                next = machine.resume()
                continue
            case .nothing, .synced: break
            }
            break
        }
        #expect(rounds < 20)
        #expect(machine.phase == .live)
        #expect(machine.cursors[group] == 10)
    }

    @Test func aRemovalDuringAReadingEndsIt() {
        var machine = live(9)
        #expect(machine.readAgain() == .read(.init(all: true, cursors: [EventID(conversation: group, seq: 9)])))
        machine.positions([(group, 9, 12)])
        #expect(machine.offer(group, 13, isLast: true, 13) == .hold)
        #expect(machine.offer(group, 14, 14) == .hold)
        for seq in 10...12 as ClosedRange<UInt64> { #expect(machine.read(group, seq) == true) }
        let (push, next) = machine.ended()
        #expect(push == [13])
        // The log is asked what became of 14: it is not this user's.
        #expect(next == reading(13))
        machine.positions([(group, 13, 13)])
        _ = machine.ended()
        #expect(machine.cursors[group] == 13)
        // The same where the reading brings the removal itself.
        machine = live(9)
        _ = machine.readAgain()
        machine.positions([(group, 9, 12)])
        #expect(machine.read(group, 10, isLast: true) == true)
        #expect(machine.read(group, 11) == false)
    }

    @Test func aDeletedGroupIsSilent() {
        var machine = live(9)
        #expect(machine.offer(group, 10, isLast: true, 10) == .push)
        #expect(machine.offer(group, 10, isLast: true, 10) == .drop)
        #expect(machine.readAgain() == .read(.init(all: true, cursors: [EventID(conversation: group, seq: 10)])))
        machine.positions([(group, 10, 10)])
        #expect(machine.ended().next == .nothing)
        #expect(machine.phase == .live)
    }
}

@Suite struct ConversationCursorsTests {
    @Test func behavesLikeADictionary() {
        var generator = SplitMix(state: 7)
        var cursors = ConversationCursors()
        var model: [UInt64: UInt64] = [:]
        for _ in 0..<5000 {
            let key = UInt64.random(in: 1...60, using: &generator)
            let value = UInt64.random(in: 0...9, using: &generator)
            if value == 9 {
                cursors[ConversationID(rawValue: key)] = nil
                model[key] = nil
            } else {
                cursors[ConversationID(rawValue: key)] = value
                model[key] = value
            }
            #expect(cursors[ConversationID(rawValue: key)] == model[key])
        }
        #expect(cursors.count == model.count)
        #expect(cursors.all.map(\.conversation.rawValue) == model.keys.sorted())
    }
}

/// A small generator that gives the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

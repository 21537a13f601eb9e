import Protocol
import Testing

@testable import ChatNode

/// What a follower does by the protocol's words, apart from being slow, deaf and forgetful.
private struct Follower {
    var held: Set<UInt32> = []
    var revision: UInt64?

    mutating func apply(_ update: RosterUpdate) -> Bool {
        if update.snapshot {
            held = Set(update.joined.map(\.handle))
            revision = update.revision
            return true
        }
        guard revision == update.base else { return false }
        held.formUnion(update.joined.map(\.handle))
        held.subtract(update.left)
        revision = update.revision
        return true
    }
}

@Suite struct RosterStateMachineTests {
    private func entry(_ handle: UInt32) -> RosterEntry {
        var entry = RosterEntry()
        entry.handle = handle
        entry.user = UInt64(handle)
        return entry
    }

    @Test func everyFollowerEndsUpKnowingEveryone() {
        for seed in 0..<400 as Range<UInt64> {
            var generator = SplitMix(state: seed)
            var configuration = RosterStateMachine.Configuration()
            configuration.historyLimit = 20
            var machine = RosterStateMachine(node: "n", incarnation: 1, configuration: configuration)
            var followers: [RosterStateMachine.FollowerID: Follower] = [:]
            var now: Int64 = 0
            var model: Set<UInt32> = []
            var next: UInt32 = 0
            var underWay: [RosterStateMachine.Sending] = []
            var waiting: [(revision: UInt64, handle: UInt32)] = []
            machine.add(.init(kind: .sessions), now: now)
            followers[.init(kind: .sessions)] = Follower()
            var relays: Set<String> = ["a"]
            for step in 0..<300 {
                let isSettling = step > 220
                now += Int64.random(in: 1...120, using: &generator)
                if !isSettling {
                    if Int.random(in: 0..<3, using: &generator) == 0 {
                        next += 1
                        model.insert(next)
                        waiting.append((machine.join(entry(next)), next))
                    }
                    if Int.random(in: 0..<5, using: &generator) == 0, let gone = model.randomElement(using: &generator)
                    {
                        model.remove(gone)
                        machine.leave(gone)
                    }
                    if step % 40 == 0 {
                        relays = [["a"], ["a", "b"], ["b"], ["a", "b", "c"]].randomElement(using: &generator)!
                    }
                    if Int.random(in: 0..<60, using: &generator) == 0,
                        let id = followers.keys.randomElement(using: &generator)
                    {
                        followers[id] = Follower()  // it was restarted
                    }
                }
                _ = machine.setRelays(relays, now: now)
                for id in relays where followers[.init(kind: .relay, id: id)] == nil {
                    followers[.init(kind: .relay, id: id)] = Follower()
                }
                for id in followers.keys where id.kind == .relay && !relays.contains(id.id) {
                    followers[id] = nil
                    underWay.removeAll { $0.follower == id }
                }
                underWay += machine.tick(now: now)
                let count = Int.random(in: 0...underWay.count, using: &generator)
                for sending in underWay.prefix(count) {
                    let id = sending.follower
                    let kind = isSettling ? 9 : Int.random(in: 0..<10, using: &generator)
                    switch kind {
                    case 0: machine.failed(id, now: now)  // it never came
                    case 1:
                        _ = followers[id]!.apply(sending.update)
                        machine.failed(id, now: now)  // it came, the answer did not
                    default:
                        let applied = followers[id]!.apply(sending.update)
                        _ = machine.answered(id, snapshotNeeded: !applied, now: now)
                    }
                }
                underWay.removeFirst(count)
                let reached = machine.reached
                waiting.removeAll { $0.revision <= reached }
            }
            for (id, follower) in followers { #expect(follower.held == model, "seed \(seed), \(id)") }
            #expect(waiting.isEmpty, "seed \(seed)")
        }
    }

    @Test func connectionsWaitForRelaysButNotForLateOnes() {
        var machine = RosterStateMachine(node: "n", incarnation: 1)
        _ = machine.setRelays(["a", "b"], now: 0)
        let revision = machine.join(entry(1))
        #expect(machine.reached < revision)
        let sendings = machine.tick(now: 1)
        #expect(Set(sendings.map(\.follower.id)) == ["a", "b"])
        let first = machine.answered(.init(kind: .relay, id: "a"), snapshotNeeded: false, now: 2)
        #expect(first)
        #expect(machine.reached < revision)
        _ = machine.tick(now: 2500)
        #expect(machine.reached == revision)
        // When it comes after all, whoever synced meanwhile reads again.
        let second = machine.answered(.init(kind: .relay, id: "b"), snapshotNeeded: false, now: 2600)
        #expect(second)
    }

    @Test func leasesAreRenewedAndTheEpochIsSaid() {
        var machine = RosterStateMachine(node: "n", incarnation: 1)
        machine.epoch = 7
        machine.add(.init(kind: .lastSeen), now: 0)
        let first = machine.tick(now: 0)
        #expect(first.first?.update.snapshot == true)
        #expect(first.first?.update.epoch == 7)
        _ = machine.answered(.init(kind: .lastSeen), snapshotNeeded: false, now: 10)
        #expect(machine.tick(now: 500).isEmpty)
        let renewal = machine.tick(now: 1000)
        #expect(renewal.count == 1)
        #expect(renewal.first?.update.snapshot == false)
        #expect(renewal.first?.update.joined.isEmpty == true)
    }

    @Test func whoCameAndWentIsNotMentioned() {
        var machine = RosterStateMachine(node: "n", incarnation: 1)
        _ = machine.setRelays(["a"], now: 0)
        _ = machine.tick(now: 0)
        _ = machine.answered(.init(kind: .relay, id: "a"), snapshotNeeded: false, now: 0)
        _ = machine.join(entry(1))
        machine.leave(1)
        _ = machine.join(entry(2))
        let update = machine.tick(now: 5).first?.update
        #expect(update?.joined.map(\.handle) == [2])
        #expect(update?.left == [])
    }
}

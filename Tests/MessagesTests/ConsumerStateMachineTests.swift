import Protocol
import Testing

@testable import LogConsumer

@Suite struct LeasePlanTests {
    private func rows(_ owners: [String?], live: Set<String>) -> [LeasePlan.Row] {
        owners.enumerated().map { .init(shard: $0, owner: $1, isLeased: $1.map { live.contains($0) } ?? false) }
    }

    @Test func aloneItTakesEverything() {
        let plan = LeasePlan(rows([nil, nil, "dead", nil], live: []), instance: "a", instances: 1)
        #expect(plan.take == [0, 1, 2, 3] && plan.release.isEmpty)
    }

    @Test func aNewcomerIsGivenItsPart() {
        let before = rows(["a", "a", "a", "a", "a"], live: ["a"])
        let old = LeasePlan(before, instance: "a", instances: 2)
        #expect(old.release == [3, 4] && old.take.isEmpty)
        #expect(LeasePlan(before, instance: "b", instances: 2).take.isEmpty)
        let after = rows(["a", "a", "a", nil, nil], live: ["a"])
        #expect(LeasePlan(after, instance: "b", instances: 2).take == [3, 4])
    }

    @Test func whatIsOnesOwnStaysSoThoughTheLeaseRanOut() {
        let plan = LeasePlan(rows(["a", "a"], live: []), instance: "a", instances: 1)
        #expect(plan.take.isEmpty && plan.release.isEmpty)
    }

    /// Whoever acts first, after a few rounds all shards are held and nobody has more than its part.
    @Test(arguments: 1...11, [1, 2, 3, 5, 8, 13]) func sharesAreFair(shards: Int, instances: Int) {
        var owners = [String?](repeating: "gone", count: shards)
        let names = (0..<instances).map { "i\($0)" }
        for _ in 0..<3 {
            for name in names.shuffled() {
                let plan = LeasePlan(rows(owners, live: Set(names)), instance: name, instances: instances)
                for shard in plan.release { owners[shard] = nil }
                for shard in plan.take { owners[shard] = name }
            }
        }
        let share = (shards + instances - 1) / instances
        #expect(owners.allSatisfy { $0.map { names.contains($0) } ?? false })
        for name in names { #expect(owners.filter { $0 == name }.count <= share) }
    }
}

@Suite struct ConsumerStateMachineTests {
    private let start = ContinuousClock.now
    private var settings: ConsumerStateMachine.Settings {
        var settings = ConsumerStateMachine.Settings()
        settings.batch = 8
        settings.gathering = .zero
        return settings
    }

    private func event(_ conversation: UInt64, _ seq: UInt64) -> LogEvent {
        var event = LogEvent()
        event.conversation = conversation
        event.seq = seq
        return event
    }

    private func position(_ transaction: UInt64, _ conversation: UInt64 = 2, _ seq: UInt64 = 1) -> LogPosition {
        LogPosition(transaction: transaction, conversation: conversation, seq: seq)
    }

    private func follow(_ step: ConsumerStateMachine.Step) throws -> ConsumerStateMachine.Follow {
        guard case .follow(let follow) = step else {
            Issue.record("\(step) instead of follow")
            throw NotInTime()
        }
        return follow
    }

    @Test func beginsByLookingWhatItHolds() throws {
        var state = ConsumerStateMachine(settings: settings)
        #expect(state.next(now: start) == .renew)
        state.renewed([0: .beginning, 1: .beginning], count: 2, now: start)
        let follow = try follow(state.next(now: start))
        #expect(follow.shards == [0, 1] && follow.after == .beginning && follow.limit == 8)
        #expect(follow.wait == .seconds(3), "leases are due then")
        #expect(state.next(now: start + .seconds(3)) == .renew)
    }

    @Test func withoutAShardItWaits() {
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([:], count: 2, now: start)
        #expect(state.next(now: start) == .pause(until: start + .seconds(3)))
    }

    @Test func onlyEventsOfItsShardsAreHandedOut() throws {
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([1: .beginning], count: 2, now: start)
        let follow = try follow(state.next(now: start))
        #expect(follow.only == 2)
        // Conversations 2 and 3 are of shard 1, 4 of shard 0.
        let batch = try #require(
            state.followed(follow, events: [event(2, 1), event(4, 1), event(3, 1)], next: position(9)))
        #expect(batch.events.map(\.conversation) == [2, 3])
        #expect(batch.from == .beginning && batch.to == position(9) && batch.shards == [1])
        state.committed(batch, now: start)
        #expect(try self.follow(state.next(now: start)).after == position(9))
        #expect(state.followed(follow, events: [], next: .beginning) == nil)
    }

    @Test func whatIsBehindCatchesUpAndGoesOnTogether() throws {
        var state = ConsumerStateMachine(settings: settings)
        let ahead = position(5, 2, 7)
        state.renewed([0: ahead, 1: .beginning], count: 2, now: start)
        var step = try follow(state.next(now: start))
        #expect(step.shards == [1] && step.until == ahead && step.wait == .zero)
        #expect(step.only == nil, "the event at which they meet may be of any shard")
        // The answer goes beyond where the other is: that part comes again, for both.
        let batch = try #require(
            state.followed(step, events: [event(2, 6), event(2, 7), event(2, 8)], next: position(6)))
        #expect(batch.events.map(\.seq) == [6, 7] && batch.to == ahead)
        state.committed(batch, now: start)
        step = try follow(state.next(now: start))
        #expect(step.shards == [0, 1] && step.after == ahead && step.until == nil)
    }

    @Test func nothingInBetweenBringsThemTogetherToo() throws {
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([0: position(5), 1: position(3)], count: 2, now: start)
        let step = try follow(state.next(now: start))
        let batch = try #require(state.followed(step, events: [], next: position(3)))
        #expect(batch.to == position(5) && batch.events.isEmpty)
    }

    @Test func failuresPauseAndGrow() throws {
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([0: .beginning], count: 1, now: start)
        _ = state.next(now: start)
        state.followFailed(now: start)
        #expect(state.next(now: start) == .pause(until: start + .milliseconds(100)))
        state.followFailed(now: start)
        #expect(state.next(now: start) == .pause(until: start + .milliseconds(200)))
        for _ in 0..<20 { state.followFailed(now: start) }
        #expect(state.next(now: start) == .pause(until: start + .seconds(10)))
        state.renewFailed(now: start)
        #expect(state.next(now: start + .seconds(10)) == .renew)
    }

    @Test func smallBatchesWaitForMore() throws {
        var settings = settings
        settings.gathering = .milliseconds(50)
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([0: .beginning], count: 1, now: start)
        var step = try follow(state.next(now: start))
        let small = try #require(state.followed(step, events: [event(2, 1)], next: position(1)))
        state.committed(small, now: start)
        #expect(state.next(now: start) == .pause(until: start + .milliseconds(50)))
        step = try follow(state.next(now: start + .milliseconds(50)))
        let large = try #require(
            state.followed(step, events: (2...9).map { event(2, $0) }, next: position(2, 2, 9)))
        state.committed(large, now: start + .milliseconds(50))
        #expect(try follow(state.next(now: start + .milliseconds(50))).after == position(2, 2, 9))
    }

    @Test func aLostShardIsLookedUpAgain() throws {
        var state = ConsumerStateMachine(settings: settings)
        state.renewed([0: .beginning], count: 1, now: start)
        state.lost()
        #expect(state.next(now: start) == .renew)
    }

    /// Batches shrink until the event that fails is alone; its shard waits, the other goes on.
    @Test func oneBadEventHoldsUpItsShardOnly() throws {
        var state = ConsumerStateMachine(settings: settings)
        let log = (1...20).map { event($0 == 6 ? 2 : 4, UInt64($0)) }  // the sixth is of shard 1 and can't be processed
        var positions: [Int: Int] = [0: 0, 1: 0]
        var done: [UInt64] = []
        var now = start
        var aside = 0
        for _ in 0..<200 {
            switch state.next(now: now) {
            case .pause(let until): now = until
            case .renew:
                state.renewed(
                    positions.mapValues {
                        $0 == 0 ? .beginning : position(UInt64($0), log[$0 - 1].conversation, UInt64($0))
                    },
                    count: 2, now: now)
            case .follow(let step):
                let after = Int(step.after.transaction)
                let events = Array(log.dropFirst(after).prefix(step.limit))
                let end = after + events.count
                let next = events.isEmpty ? step.after : position(UInt64(end), log[end - 1].conversation, UInt64(end))
                guard let batch = state.followed(step, events: events, next: next) else {
                    now += step.wait
                    continue
                }
                if batch.events.contains(where: { $0.seq == 6 }) {
                    if let stuck = state.commitFailed(batch, now: now) {
                        #expect(stuck.event.seq == 6)
                        aside = stuck.attempts
                    }
                } else {
                    done += batch.events.map(\.seq)
                    for shard in batch.shards { positions[shard] = Int(batch.to.transaction) }
                    state.committed(batch, now: now)
                }
            }
        }
        #expect(aside > 3)
        #expect(done == (1...20).filter { $0 != 6 })
        #expect(positions[1] == 5)
    }
}

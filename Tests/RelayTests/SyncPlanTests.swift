import Relay
import Testing

@Suite struct SyncPlanTests {
    private func standing(
        _ conversation: UInt64, acknowledged: UInt64, head: UInt64, joined: UInt64 = 0, floor: UInt64 = 0
    ) -> SyncPlan.Standing {
        .init(conversation: conversation, acknowledged: acknowledged, head: head, joined: joined, floor: floor)
    }

    @Test func everyConversationHasAPositionAndOnlyWhatLacksIsRead() {
        var plan = SyncPlan(
            [
                standing(1, acknowledged: 5, head: 5), standing(2, acknowledged: 1, head: 4),
                standing(3, acknowledged: 0, head: 0),
            ],
            cursors: [:])
        #expect(plan.isComplete)
        #expect(
            plan.positions == [
                .init(conversation: 1, after: 5, head: 5), .init(conversation: 2, after: 1, head: 4),
                .init(conversation: 3, after: 0, head: 0),
            ])
        #expect(plan.next(limit: 100) == [.init(conversation: 2, after: 1, head: 4)])
        #expect(plan.next(limit: 100).isEmpty)
    }

    @Test func rangesOfAPageAreBoundedTogetherAndCoverAllOnce() {
        var plan = SyncPlan(
            (1...50).map { standing($0, acknowledged: $0 % 7, head: $0 * 3) }, cursors: [:])
        var seen: [UInt64: UInt64] = Dictionary(
            uniqueKeysWithValues: plan.positions.map { ($0.conversation, $0.after) })
        while true {
            let ranges = plan.next(limit: 10)
            if ranges.isEmpty { break }
            #expect(ranges.reduce(0) { $0 + ($1.head - $1.after) } <= 10)
            for range in ranges {
                #expect(seen[range.conversation] == range.after)
                seen[range.conversation] = range.head
            }
        }
        for position in plan.positions { #expect(seen[position.conversation] == position.head) }
    }

    @Test func aClientsCursorIsWhereItStartsWithinWhatItMaySee() {
        let plan = SyncPlan(
            [
                standing(1, acknowledged: 5, head: 9), standing(2, acknowledged: 5, head: 9),
                standing(3, acknowledged: 0, head: 9, joined: 4),
            ], cursors: [1: 2, 3: 1, 99: 5])
        #expect(plan.positions.map(\.after) == [2, 5, 4])
        #expect(plan.isComplete)
    }

    @Test func whatIsNotThereAnyMoreIsSaid() {
        let kept = SyncPlan([standing(1, acknowledged: 5, head: 9, floor: 5)], cursors: [:])
        #expect(kept.isComplete)
        let dropped = SyncPlan([standing(1, acknowledged: 3, head: 9, floor: 5)], cursors: [:])
        #expect(!dropped.isComplete)
        #expect(dropped.positions == [.init(conversation: 1, after: 5, head: 9)])
        let ahead = SyncPlan([standing(1, acknowledged: 3, head: 9)], cursors: [1: 12])
        #expect(!ahead.isComplete)
        #expect(ahead.positions == [.init(conversation: 1, after: 9, head: 9)])
    }

    @Test func pagesAreBoundedByBytesAndNeverEmpty() {
        let pages = SyncPlan.pages([10, 20, 100, 5, 5, 30], bytes: 40) { $0 }
        #expect(pages.map(Array.init) == [[10, 20], [100], [5, 5, 30]])
        #expect(SyncPlan.pages([Int](), bytes: 40) { $0 }.isEmpty)
    }
}

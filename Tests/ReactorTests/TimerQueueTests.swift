import NIOConcurrencyHelpers
import Testing

@testable import Reactor

@Suite struct TimerQueueTests {
    @Test func firesInOrderOfDeadlines() {
        var queue = TimerQueue()
        let fired = NIOLockedValueBox<[UInt64]>([])
        var generator = SystemRandomNumberGenerator()
        var cancelled: Set<UInt64> = []
        for number in 1...500 {
            let deadline = UInt64.random(in: 1...100_000, using: &generator) * 1000 + UInt64(number)
            let timer = queue.add(deadline: deadline) { fired.withLockedValue { $0.append(deadline) } }
            if number % 3 == 0 {
                queue.cancel(timer)
                queue.cancel(timer)
                cancelled.insert(deadline)
            }
        }
        #expect(queue.count == 334)
        while let body = queue.takeDue(now: .max, addedBefore: queue.nextID) { body() }
        let order = fired.withLockedValue { $0 }
        #expect(order.count == 334)
        #expect(order == order.sorted())
        #expect(cancelled.isDisjoint(with: order))
        #expect(queue.milliseconds(from: 0) == -1)
    }

    @Test func waitIsRoundedUp() {
        var queue = TimerQueue()
        _ = queue.add(deadline: 1_500_000) {}
        #expect(queue.milliseconds(from: 0) == 2)
        #expect(queue.milliseconds(from: 1_400_000) == 1)
        #expect(queue.milliseconds(from: 1_500_000) == 0)
        #expect(queue.milliseconds(from: 9_000_000) == 0)
    }

    @Test func cancelledTimersDoNotPileUp() {
        var queue = TimerQueue()
        for number in 0..<10_000 { queue.cancel(queue.add(deadline: UInt64(10_000 - number)) {}) }
        #expect(queue.count == 0)
        #expect(queue.footprint <= 65)
    }
}

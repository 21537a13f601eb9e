import NIOConcurrencyHelpers

/// Runs one commit after the other over what a `BatchQueue` collects.
package final class Batcher<Element: Sendable>: Sendable {
    private let queue: NIOLockedValueBox<BatchQueue<Element>>
    private let starts: AsyncStream<Void>
    private let start: AsyncStream<Void>.Continuation

    package init(batchLimit: Int, queueLimit: Int) {
        queue = NIOLockedValueBox(BatchQueue(batchLimit: batchLimit, queueLimit: queueLimit))
        (starts, start) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// How many wait for the next commit.
    package var depth: Int { queue.withLockedValue { $0.depth } }

    /// False: too much waits, or no one runs commits any more; the element was not taken.
    package func submit(_ element: Element) -> Bool {
        switch queue.withLockedValue({ $0.submit(element) }) {
        case .start:
            start.yield()
            return true
        case .queued: return true
        case .refused: return false
        }
    }

    /// What waits for the next commit, for a commit that lets it go first.
    package func next() -> [Element] { queue.withLockedValue { $0.next() } }

    /// Hands out batches, one at a time, until cancelled; then what still waits goes to `abandon`.
    package func run(_ commit: ([Element]) async -> Void, abandon: ([Element]) -> Void) async {
        for await _ in starts {
            while true {
                let batch = queue.withLockedValue { $0.next() }
                if batch.isEmpty { break }
                await commit(batch)
            }
        }
        abandon(queue.withLockedValue { $0.close() })
    }
}

import CoreMetrics
package import Logging
import Postgres
package import Protocol
package import RPC

/// Moves cursors by group commit, on a connection of its own: acknowledging never delays a message.
package final class Acknowledger: Sendable {
    private struct Item: Sendable {
        var acknowledgements: [RelayAcknowledgement]
        var reply: @Sendable (RPCError?) -> Void
    }

    /// Cursors in one transaction. It holds the locks of their members, for which the appends of these people wait.
    private static let rows = 100

    private let batcher: Batcher<Item>
    private let store: LogStore
    private let pusher: Pusher
    private let metrics: RelayMetrics
    private let logger: Logger

    package init(
        store: LogStore, pusher: Pusher, configuration: RelayConfiguration, metrics: RelayMetrics, logger: Logger
    ) {
        batcher = Batcher(batchLimit: configuration.acknowledgeBatch, queueLimit: configuration.acknowledgeQueue)
        self.store = store
        self.pusher = pusher
        self.metrics = metrics
        self.logger = logger
    }

    /// Answers after the commit.
    package func acknowledge(_ acknowledgements: [RelayAcknowledgement]) async throws(RPCError) {
        guard !acknowledgements.isEmpty else { return }
        let failure: RPCError? = await withUnsafeContinuation { continuation in
            let item = Item(acknowledgements: acknowledgements) { continuation.resume(returning: $0) }
            if !batcher.submit(item) { continuation.resume(returning: .overloaded) }
        }
        if let failure { throw failure }
    }

    /// Commits until cancelled.
    package func run() async {
        await batcher.run { items in
            await commit(items)
        } abandon: { items in
            for item in items { item.reply(.storeUnavailable) }
        }
    }

    private func commit(_ items: [Item]) async {
        let merged = AcknowledgementBatch(items.lazy.flatMap(\.acknowledgements)).merged
        do {
            var moved: [MovedCursor] = []
            for start in stride(from: 0, to: merged.count, by: Self.rows) {
                moved += try await store(Array(merged[start..<min(start + Self.rows, merged.count)]))
            }
            for item in items { item.reply(nil) }
            metrics.acknowledgements.increment(by: merged.count)
            await pusher.moved(moved)
        } catch {
            logger.warning("Acknowledgements could not be stored.", metadata: ["error": "\(error)"])
            let failure = RPCError(error)
            for item in items { item.reply(failure) }
        }
    }

    /// Cursors only move forward, so doing it twice is the same as once: whatever may pass is tried again.
    private func store(_ merged: [RelayAcknowledgement]) async throws(PostgresError) -> [MovedCursor] {
        var attempts = 0
        while true {
            do {
                return try await store.acknowledge(merged)
            } catch {
                attempts += 1
                guard attempts < 3, error.code == .connection || error.isRetryable else { throw error }
            }
        }
    }
}

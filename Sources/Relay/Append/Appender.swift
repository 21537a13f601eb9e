import CoreMetrics
package import Logging
package import NIOCore
import Postgres
package import Protocol
package import RPC

/// Appends by group commit: whatever arrives while one transaction commits goes into the next.
package final class Appender: Sendable {
    package typealias Reply = @Sendable (Result<RelayAppendResponse, RPCError>) -> Void

    private struct Item: Sendable {
        var request: RelayAppendRequest
        var deadline: NIODeadline?
        var reply: Reply
    }

    private let batcher: Batcher<Item>
    private let store: LogStore
    private let timeout: Duration
    private let now: @Sendable () -> Int64
    private let pushes: Pusher
    private let metrics: RelayMetrics
    private let logger: Logger

    package init(
        store: LogStore, pushes: Pusher, configuration: RelayConfiguration, metrics: RelayMetrics, logger: Logger,
        now: @escaping @Sendable () -> Int64
    ) {
        batcher = Batcher(batchLimit: configuration.appendBatch, queueLimit: configuration.appendQueue)
        timeout = configuration.appendTimeout
        self.store = store
        self.pushes = pushes
        self.metrics = metrics
        self.logger = logger
        self.now = now
    }

    /// Appends that wait for a commit.
    package var depth: Int { batcher.depth }

    /// Stores an event; `reply` is called once, after the commit or when it failed, on any thread.
    package func append(_ request: RelayAppendRequest, deadline: NIODeadline?, reply: @escaping Reply) {
        if !batcher.submit(Item(request: request, deadline: deadline, reply: reply)) {
            metrics.shed.increment()
            reply(.failure(.overloaded))
        }
    }

    /// Stores an event; answers after the commit.
    package func append(
        _ request: RelayAppendRequest, deadline: NIODeadline?
    ) async throws(RPCError) -> RelayAppendResponse {
        let result = await withUnsafeContinuation { continuation in
            append(request, deadline: deadline) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// Commits until cancelled.
    package func run() async {
        await batcher.run { items in
            await commit(items)
        } abandon: { items in
            for item in items { item.reply(.failure(.storeUnavailable)) }
        }
    }

    private func commit(_ items: [Item]) async {
        // Who no longer waits doesn't get a message stored behind their back, and costs nothing.
        let time = NIODeadline.now()
        var live = items
        if items.contains(where: { $0.deadline.map { $0 <= time } ?? false }) {
            live = []
            for item in items {
                if let deadline = item.deadline, deadline <= time {
                    item.reply(.failure(RPCError(.deadlineExceeded, "The time ran out before it was stored.")))
                } else {
                    live.append(item)
                }
            }
            if live.isEmpty { return }
        }
        let batch = AppendBatch(live.map(\.request))
        let outcomes: [AppendOutcome]
        do {
            outcomes = try await store(batch)
        } catch {
            metrics.failedBatches.increment()
            logger.warning(
                "A batch could not be stored.",
                metadata: ["relay.batch": "\(batch.rows.count)", "error": "\(error)"])
            if error.outcomeUnknown { pushes.undecided() }
            let failure = RPCError(error)
            for item in live { item.reply(.failure(failure)) }
            return
        }
        for (index, item) in live.enumerated() { item.reply(batch.response(at: index, outcomes)) }
        let (stored, known) = batch.pushes(outcomes)
        pushes.committed(stored, again: known)
        metrics.appends.increment(by: stored.count)
        metrics.duplicates.increment(by: live.count - stored.count)
        metrics.batchSize.record(live.count)
        metrics.queueDepth.record(batcher.depth)
    }

    /// A batch that lost a race against another relay is done again at once; one whose connection was lost, once more: where
    /// the first attempt was committed after all, its client_ids are known by then. An event without one would be stored
    /// twice, so a batch with such is not repeated unless it surely wasn't stored.
    private func store(_ batch: AppendBatch) async throws(PostgresError) -> [AppendOutcome] {
        let now = now()
        let canRepeat = batch.rows.allSatisfy { $0.clientID != nil }
        var races = 0
        var losses = 0
        while true {
            let start = NIODeadline.now()
            do {
                let outcomes = try await store.append(batch.rows, now: now, timeout: timeout)
                metrics.commit.recordNanoseconds((NIODeadline.now() - start).nanoseconds)
                return outcomes
            } catch {
                if error.sqlState == .uniqueViolation || error.sqlState == .deadlockDetected
                    || error.sqlState == .serializationFailure
                {
                    races += 1
                    guard races < 10 else { throw error }
                } else {
                    losses += 1
                    guard losses < 2, error.code == .connection || error.sqlState?.category == "57",
                        canRepeat || !error.outcomeUnknown
                    else { throw error }
                }
                metrics.retriedBatches.increment()
                logger.debug("A batch is stored again.", metadata: ["error": "\(error)"])
            }
        }
    }
}

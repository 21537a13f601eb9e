import CoreMetrics
import DequeModule
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import Postgres
package import Protocol
package import RPC

/// Appends by group commit: whatever arrives while one transaction commits goes into the next. A change of a group is a
/// transaction of its own, after the commit that it arrived with.
package final class Appender: Sendable {
    package typealias Reply = @Sendable (Result<RelayAppendResponse, RPCError>) -> Void
    package typealias ChangeReply = @Sendable (Result<RelayChangeGroupResponse, RPCError>) -> Void

    private enum Work: Sendable {
        case append(RelayAppendRequest, Reply)
        case change(GroupChange, ChangeReply)
    }

    private struct Item: Sendable {
        var work: Work
        var deadline: NIODeadline?

        func fail(_ error: RPCError) {
            switch work {
            case .append(_, let reply): reply(.failure(error))
            case .change(_, let reply): reply(.failure(error))
            }
        }
    }

    private let batcher: Batcher<Item>
    /// Used by one commit after the other.
    private let memory: NIOLockedValueBox<ConversationMemory>
    private let store: LogStore
    private let timeout: Duration
    private let changeTimeout: Duration
    private let now: @Sendable () -> Int64
    private let pushes: Pusher
    private let metrics: RelayMetrics
    private let logger: Logger

    package init(
        store: LogStore, pushes: Pusher, configuration: RelayConfiguration, metrics: RelayMetrics, logger: Logger,
        now: @escaping @Sendable () -> Int64
    ) {
        batcher = Batcher(batchLimit: configuration.appendBatch, queueLimit: configuration.appendQueue)
        memory = NIOLockedValueBox(ConversationMemory(limit: configuration.rememberedConversations))
        timeout = configuration.appendTimeout
        changeTimeout = configuration.changeTimeout
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
        submit(Item(work: .append(request, reply), deadline: deadline))
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

    /// Changes a group; answers after the commit.
    package func change(
        _ change: GroupChange, deadline: NIODeadline?
    ) async throws(RPCError) -> RelayChangeGroupResponse {
        let result = await withUnsafeContinuation { continuation in
            submit(Item(work: .change(change) { continuation.resume(returning: $0) }, deadline: deadline))
        }
        return try result.get()
    }

    private func submit(_ item: Item) {
        if !batcher.submit(item) {
            metrics.shed.increment()
            item.fail(.overloaded)
        }
    }

    /// Commits until cancelled.
    package func run() async {
        await batcher.run { items in
            await commit(items)
        } abandon: { items in
            for item in items { item.fail(.storeUnavailable) }
        }
    }

    /// What arrives while a change is made is appended before the next one, however many changes wait.
    private func commit(_ items: [Item]) async {
        var changes: Deque<(GroupChange, ChangeReply)> = []
        await append(items, leaving: &changes)
        while let (change, reply) = changes.popFirst() {
            await commit(change, reply)
            if !changes.isEmpty { await append(batcher.next(), leaving: &changes) }
        }
        metrics.queueDepth.record(batcher.depth)
    }

    private func append(_ items: [Item], leaving changes: inout Deque<(GroupChange, ChangeReply)>) async {
        // Who no longer waits doesn't get a message stored behind their back, and costs nothing.
        let time = NIODeadline.now()
        var requests: [RelayAppendRequest] = []
        var replies: [Reply] = []
        requests.reserveCapacity(items.count)
        replies.reserveCapacity(items.count)
        for item in items {
            if let deadline = item.deadline, deadline <= time {
                item.fail(RPCError(.deadlineExceeded, "The time ran out before it was stored."))
                continue
            }
            switch item.work {
            case .append(let request, let reply):
                requests.append(request)
                replies.append(reply)
            case .change(let change, let reply): changes.append((change, reply))
            }
        }
        if !requests.isEmpty { await commit(AppendBatch(requests), replies) }
    }

    private func commit(_ batch: AppendBatch, _ replies: [Reply]) async {
        let outcomes: [AppendOutcome]
        let now = now()
        // Only the first attempt goes by what is remembered: if that fails, it may be because of it.
        var plan = memory.withLockedValue { $0.plan(batch, now: now) }
        do {
            outcomes = try await storing(isRepeatable: batch.isRepeatable) { () async throws(PostgresError) in
                let known = plan
                plan = nil
                let outcomes = try await store.append(batch, known: known, now: now, timeout: timeout)
                metrics.knownAppends.increment(by: known?.outcomes.count ?? 0)
                return outcomes
            }
            memory.withLockedValue { $0.stored(batch, outcomes) }
        } catch {
            memory.withLockedValue { $0.forget(batch.rows.lazy.map(\.conversation)) }
            let failure = failed(error, count: batch.rows.count)
            for reply in replies { reply(.failure(failure)) }
            return
        }
        store.afterwards { [self] in answer(batch, outcomes, replies) }
    }

    /// Tells of a commit, while PostgreSQL works on the next.
    private func answer(_ batch: AppendBatch, _ outcomes: [AppendOutcome], _ replies: [Reply]) {
        for (index, reply) in replies.enumerated() { reply(batch.response(at: index, outcomes)) }
        let (stored, known) = batch.pushes(outcomes)
        pushes.committed(
            stored,
            again: known.map { .init(conversation: $0.conversation, after: $0.seq - 1, head: $0.seq) })
        metrics.appends.increment(by: stored.count)
        metrics.duplicates.increment(by: replies.count - stored.count)
        metrics.batchSize.record(replies.count)
    }

    private func commit(_ change: GroupChange, _ reply: @escaping ChangeReply) async {
        let outcome: GroupChangeOutcome
        let now = now()
        memory.withLockedValue { $0.forget(CollectionOfOne(change.request.conversation.column)) }
        do {
            outcome = try await storing(isRepeatable: true) { () async throws(PostgresError) in
                try await store.change(change, now: now, timeout: changeTimeout)
            }
        } catch {
            return reply(.failure(failed(error, count: change.users.count, isMadeAgain: true)))
        }
        store.afterwards { [self] in answer(change, outcome, reply) }
    }

    private func answer(_ change: GroupChange, _ outcome: GroupChangeOutcome, _ reply: ChangeReply) {
        guard outcome.verdict == .stored || outcome.verdict == .duplicate else {
            return reply(.failure(.noConversation))
        }
        var again: [SyncPlan.Position] = []
        if outcome.first > 0 {
            again.append(
                .init(conversation: change.request.conversation, after: outcome.first - 1, head: outcome.seq))
        }
        pushes.committed(outcome.events, again: again)
        metrics.appends.increment(by: outcome.events.count)
        var response = RelayChangeGroupResponse()
        response.seq = outcome.seq
        response.duplicate = outcome.verdict == .duplicate
        reply(.success(response))
    }

    /// - Parameter isMadeAgain: the caller repeats it until it is there; what is known then is pushed again.
    private func failed(_ error: PostgresError, count: Int, isMadeAgain: Bool = false) -> RPCError {
        metrics.failedBatches.increment()
        logger.warning(
            "A batch could not be stored.", metadata: ["relay.batch": "\(count)", "error": "\(error)"])
        if error.outcomeUnknown && !isMadeAgain { pushes.undecided() }
        return RPCError(error)
    }

    /// What lost a race against another relay is done again at once; what lost its connection, once more: where the first
    /// attempt was committed after all, it is known by then. A message without a client_id would be stored twice, so a batch
    /// with such is not repeatable unless it surely wasn't stored.
    private func storing<Outcome>(
        isRepeatable: Bool, _ attempt: () async throws(PostgresError) -> Outcome
    ) async throws(PostgresError) -> Outcome {
        var races = 0
        var losses = 0
        while true {
            let start = NIODeadline.now()
            do {
                let outcome = try await attempt()
                metrics.commit.recordNanoseconds((NIODeadline.now() - start).nanoseconds)
                return outcome
            } catch {
                if error.sqlState == .uniqueViolation || error.sqlState == .deadlockDetected
                    || error.sqlState == .serializationFailure || error.sqlState == .divisionByZero
                {
                    races += 1
                    guard races < 10 else { throw error }
                } else {
                    losses += 1
                    guard losses < 2, error.code == .connection || error.sqlState?.category == "57",
                        isRepeatable || !error.outcomeUnknown
                    else { throw error }
                }
                metrics.retriedBatches.increment()
                logger.debug("A batch is stored again.", metadata: ["error": "\(error)"])
            }
        }
    }
}

package import ChatModel
import CoreMetrics
package import Logging
import NIOConcurrencyHelpers
package import Protocol
package import RPC
package import ServiceKit

/// Brings changes of groups to the log: each group's in the order in which they were made, each until it is there.
///
/// Any number of instances may do this for the same group at once. A change is taken from the outbox only after it was
/// appended, and one that is appended again is known to the log by its change_id; so whoever sees a change in the outbox
/// knows that those that are missing before it are in the log.
package final class ChangeOutbox: Sendable {
    /// Calls `Relay.ChangeGroup`.
    package typealias Append = @Sendable (RelayChangeGroupRequest, CallOptions) async throws(RPCError) -> Void

    private static let page = 100

    private let store: GroupStore
    private let append: Append
    /// How long a request waits for its change to be appended.
    private let patience: Duration
    /// How often changes are looked for that somebody left behind, and how old these are at least.
    private let period: Duration
    private let metrics: GroupsMetrics
    private let logger: Logger
    private let now: @Sendable () -> Int64
    private let turns = Turns()

    package init(
        store: GroupStore, patience: Duration = .seconds(3), period: Duration = .seconds(1),
        metrics: GroupsMetrics = .init(), logger: Logger, now: @escaping @Sendable () -> Int64,
        append: @escaping Append
    ) {
        self.store = store
        self.append = append
        self.patience = patience
        self.period = period
        self.metrics = metrics
        self.logger = logger
        self.now = now
    }

    /// Returns when the log has a group's changes up to one that is committed.
    ///
    /// - Throws: `unavailable` where that takes too long: the change is made, and will be in the log.
    package func settle(_ group: ConversationID, through number: Int64) async throws(Problem) {
        let deadline = ContinuousClock.now + patience
        do {
            // Whoever waits here came after the one that it waits for, whose deadline is the sooner.
            try await turns.withTurn(of: group) { try await send(group, through: number, deadline: deadline) }
        } catch {
            metrics.failures.increment()
            logger.warning(
                "A change of a group is not in the log yet",
                metadata: [LogKey.conversation: "\(group)", LogKey.error: "\(error)"])
            throw .unavailable("The change is kept, and takes effect as soon as the log can be reached.")
        }
    }

    private func send(
        _ group: ConversationID, through number: Int64, deadline: ContinuousClock.Instant
    ) async throws {
        while true {
            let changes = try await store.outbox(of: group, through: number, limit: Self.page)
            for change in changes {
                let left = deadline - .now
                guard left > .zero else { throw RPCError(.deadlineExceeded, "No time is left.") }
                try await append(change.request, CallOptions(timeout: left, key: group.rawValue))
                metrics.appended.increment()
                try await store.settled(group, change.number)
            }
            if changes.count < Self.page { return }
        }
    }

    /// Sends what crashed instances and failed requests have left behind, until cancelled.
    package func run() async {
        while !Task.isCancelled {
            do {
                let before = now() - Int64(period.milliseconds)
                let groups = try await store.unsettled(before: before, limit: Self.page)
                metrics.unsettled.record(groups.count)
                await withDiscardingTaskGroup { tasks in
                    for (group, through) in groups { tasks.addTask { try? await self.settle(group, through: through) } }
                }
            } catch {
                logger.debug("The outbox can't be read", metadata: [LogKey.error: "\(error)"])
            }
            try? await Task.sleep(for: period)
        }
    }
}

/// One at a time for each group, in the order of their coming.
private final class Turns: Sendable {
    private let waiting = NIOLockedValueBox<[ConversationID: [CheckedContinuation<Void, Never>]]>([:])

    func withTurn<R>(of group: ConversationID, _ body: () async throws -> R) async rethrows -> R {
        await withCheckedContinuation { continuation in
            let isFree = waiting.withLockedValue { waiting in
                guard waiting[group] == nil else {
                    waiting[group]?.append(continuation)
                    return false
                }
                waiting[group] = []
                return true
            }
            if isFree { continuation.resume() }
        }
        defer { pass(group) }
        return try await body()
    }

    private func pass(_ group: ConversationID) {
        let next = waiting.withLockedValue { waiting -> CheckedContinuation<Void, Never>? in
            if waiting[group]?.isEmpty ?? true {
                waiting[group] = nil
                return nil
            }
            return waiting[group]?.removeFirst()
        }
        next?.resume()
    }
}

import NIOConcurrencyHelpers

/// Wakes who waits for something new for a user: a long poll. A signal that nobody waits for is gone, so a waiter looks
/// at the log after it has begun to wait.
package final class UserSignals: Sendable {
    private struct State {
        var waiters: [UInt64: [UInt64: AsyncStream<Void>.Continuation]] = [:]
        var next: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    package init() {}

    package func signal(_ users: some Sequence<UInt64>) {
        let waiters = state.withLockedValue { state in
            state.waiters.isEmpty ? [] : users.flatMap { state.waiters[$0].map { Array($0.values) } ?? [] }
        }
        for waiter in waiters { waiter.yield() }
    }

    /// How many wait for something new for a user.
    package func waiting(for user: UInt64) -> Int { state.withLockedValue { $0.waiters[user]?.count ?? 0 } }

    /// Runs `body` with the signals for `user` from now on, and one every `period` in any case; several in a row may be one.
    package func withSignals<R: Sendable>(
        for user: UInt64, every period: Duration, _ body: (AsyncStream<Void>) async throws -> R
    ) async throws -> R {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLockedValue { state in
            state.next += 1
            state.waiters[user, default: [:]][state.next] = continuation
            return state.next
        }
        defer {
            state.withLockedValue { state in
                state.waiters[user]?[id] = nil
                if state.waiters[user]?.isEmpty == true { state.waiters[user] = nil }
            }
            continuation.finish()
        }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: period)
                    continuation.yield()
                }
            }
            defer { group.cancelAll() }
            return try await body(stream)
        }
    }
}

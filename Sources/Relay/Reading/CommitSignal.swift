import NIOConcurrencyHelpers

/// Wakes who follows the log when this relay has committed something. A signal that nobody waits for is gone, so a waiter
/// looks at the log after it has begun to wait.
package final class CommitSignal: Sendable {
    private struct State {
        var waiters: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var next: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    package init() {}

    /// Something was committed. Costs one lock while nobody waits.
    package func signal() {
        let waiters = state.withLockedValue { $0.waiters.isEmpty ? [] : Array($0.waiters.values) }
        for waiter in waiters { waiter.yield() }
    }

    /// Runs `body` with the signals from now on, and one every `period` in any case; several in a row may be one.
    package func withSignals<R: Sendable>(
        every period: Duration, _ body: (AsyncStream<Void>) async throws -> R
    ) async throws -> R {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLockedValue { state in
            state.next += 1
            state.waiters[state.next] = continuation
            return state.next
        }
        defer {
            state.withLockedValue { $0.waiters[id] = nil }
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

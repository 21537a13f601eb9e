import NIOConcurrencyHelpers

/// A value that others follow: each follower gets the present one and then the newest after each change. Who doesn't
/// keep up misses what was in between, never the last.
package final class Broadcast<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var followers: [UInt64: @Sendable (Value) -> Void] = [:]
        var next: UInt64 = 0
    }

    private let state: NIOLockedValueBox<State>

    package init(_ value: Value) {
        state = NIOLockedValueBox(State(value: value))
    }

    package var value: Value { state.withLockedValue { $0.value } }

    package func send(_ value: Value) {
        update { $0 = value }
    }

    /// Changes the value and tells the followers.
    ///
    /// Yielding happens under the lock: it keeps the order, and neither blocks nor runs foreign code.
    @discardableResult
    package func update<R>(_ change: (inout Value) -> R) -> R {
        state.withLockedValue { state in
            let result = change(&state.value)
            for follower in state.followers.values { follower(state.value) }
            return result
        }
    }

    /// Ends with the follower's task.
    package func follow() -> AsyncStream<Value> { follow { $0 } }

    /// The same, of something made of the value.
    package func follow<Element: Sendable>(_ transform: @escaping @Sendable (Value) -> Element) -> AsyncStream<Element>
    {
        let (stream, continuation) = AsyncStream.makeStream(of: Element.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLockedValue { state in
            state.next += 1
            state.followers[state.next] = { continuation.yield(transform($0)) }
            continuation.yield(transform(state.value))
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLockedValue { _ = $0.followers.removeValue(forKey: id) }
        }
        return stream
    }

    /// The first value, the present one included, that `transform` makes something of.
    ///
    /// - Throws: `CancellationError`.
    package func first<R: Sendable>(_ transform: @Sendable (Value) -> R?) async throws -> R {
        for await value in follow() {
            if let result = transform(value) { return result }
        }
        throw CancellationError()
    }
}

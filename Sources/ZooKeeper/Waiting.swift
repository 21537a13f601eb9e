import Dispatch
import NIOConcurrencyHelpers

/// A value that is given once and awaited once; what comes after the first is ignored.
final class Once<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, Never>)
        case given(Value)
        case taken
    }

    private let state = NIOLockedValueBox(State.open)

    /// Gives the value; the first one counts.
    func give(_ value: Value) {
        let waiter = self.state.withLockedValue { state -> CheckedContinuation<Value, Never>? in
            switch state {
            case .open:
                state = .given(value)
                return nil
            case .awaited(let continuation):
                state = .taken
                return continuation
            case .given, .taken:
                return nil
            }
        }
        waiter?.resume(returning: value)
    }

    /// The value; to be asked for once.
    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let given = self.state.withLockedValue { state -> Value? in
                    switch state {
                    case .open:
                        state = .awaited(continuation)
                        return nil
                    case .given(let value):
                        state = .taken
                        return value
                    case .awaited, .taken:
                        preconditionFailure("a value is awaited once")
                    }
                }
                if let given { continuation.resume(returning: given) }
            }
        }
    }
}

/// "Look again": set from anywhere, awaited by one task. Being set many times before the task looks counts once.
final class Signal: Sendable {
    private struct State {
        var isSet = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = NIOLockedValueBox(State())

    func set() {
        let waiter = self.state.withLockedValue { state -> CheckedContinuation<Void, Never>? in
            guard let waiter = state.waiter else {
                state.isSet = true
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns when it is (or was) set, which it then isn't any more; also after `timeout`, and when the task is cancelled.
    func wait(timeout: Duration? = nil) async {
        let timer = timeout.map { Timer(after: $0) { self.set() } }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goOn = self.state.withLockedValue { state -> Bool in
                    if state.isSet || Task.isCancelled {
                        state.isSet = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            self.set()
        }
        timer?.cancel()
    }
}

/// Calls something once, later; unlike `Task.sleep` also on behalf of a task that has been cancelled.
final class Timer: Sendable {
    private let isCancelled = NIOLockedValueBox(false)

    init(after delay: Duration, _ body: @escaping @Sendable () -> Void) {
        let (seconds, attoseconds) = delay.components
        let nanoseconds = max(0, min(seconds, 1_000_000)) * 1_000_000_000 + attoseconds / 1_000_000_000
        let isCancelled = self.isCancelled
        DispatchQueue.global().asyncAfter(deadline: .now() + .nanoseconds(Int(max(0, nanoseconds)))) {
            if !isCancelled.withLockedValue({ $0 }) { body() }
        }
    }

    func cancel() {
        self.isCancelled.withLockedValue { $0 = true }
    }
}

/// A value that many follow: each first gets the present one, then those that come. A slow follower misses the older ones
/// among those that it hasn't taken yet.
final class Broadcast<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var followers: [Int: AsyncStream<Value>.Continuation] = [:]
        var nextID = 0
        var isFinished = false
    }

    private let state: NIOLockedValueBox<State>
    private let depth: Int

    /// - Parameter depth: How many values wait for a follower.
    init(_ value: Value, depth: Int = 1) {
        self.state = NIOLockedValueBox(State(value: value))
        self.depth = depth
    }

    var value: Value { self.state.withLockedValue { $0.value } }

    func send(_ value: Value) {
        // Yielding under the lock keeps the order; it only puts the value into the follower's buffer.
        self.state.withLockedValue { state in
            state.value = value
            for follower in state.followers.values { follower.yield(value) }
        }
    }

    func finish() {
        let followers = self.state.withLockedValue { state -> [AsyncStream<Value>.Continuation] in
            state.isFinished = true
            defer { state.followers = [:] }
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish() }
    }

    func follow() -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Value.self, bufferingPolicy: .bufferingNewest(self.depth))
        let id = self.state.withLockedValue { state -> Int? in
            continuation.yield(state.value)
            if state.isFinished { return nil }
            state.nextID += 1
            state.followers[state.nextID] = continuation
            return state.nextID
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLockedValue { $0.followers[id] = nil }
        }
        return stream
    }
}

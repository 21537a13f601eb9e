import NIOConcurrencyHelpers
package import RPC

/// The messages of a stream, in order. Iterate it once. Credit is given as messages are consumed; the call is cancelled
/// when the iteration ends early or the stream is let go.
package final class RPCStream<Element: Sendable>: AsyncSequence, Sendable {
    package typealias Failure = RPCError

    private struct State {
        var buffer: [Element] = []
        var head = 0
        var ended = false
        var error: RPCError?
        var waiter: UnsafeContinuation<Void, Never>?
        var consumed: UInt32 = 0
        var control: RPCStreamControl?
    }

    private let credit: UInt32
    private let state = NIOLockedValueBox(State())

    init(credit: UInt32) {
        self.credit = credit
    }

    deinit {
        state.withLockedValue { $0.control }?.cancel()
    }

    /// Starts the call with callbacks that feed this sequence without keeping it alive.
    func open(
        _ start: (@escaping @Sendable (Element) -> Void, @escaping @Sendable (RPCError?) -> Void) -> RPCStreamControl
    ) {
        let state = state
        let control = start(
            { element in
                state.withLockedValue { state in
                    state.buffer.append(element)
                    return state.waiter.take()
                }?.resume()
            },
            { error in
                state.withLockedValue { state in
                    state.ended = true
                    state.error = error
                    return state.waiter.take()
                }?.resume()
            })
        state.withLockedValue { $0.control = control }
    }

    package func makeAsyncIterator() -> Iterator {
        Iterator(stream: self)
    }

    /// Hands out the messages.
    package struct Iterator: AsyncIteratorProtocol {
        private let scope: Scope

        fileprivate init(stream: RPCStream) {
            scope = Scope(stream: stream)
        }

        package mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(RPCError) -> Element? {
            try await scope.stream.next()
        }

        package mutating func next() async throws(RPCError) -> Element? {
            try await scope.stream.next()
        }
    }

    /// Ends the call when the iterator is let go.
    private final class Scope: Sendable {
        let stream: RPCStream
        init(stream: RPCStream) { self.stream = stream }
        deinit { stream.cancel() }
    }

    /// Ends the call. The iteration then throws `cancelled`, after what has arrived.
    package func cancel() {
        state.withLockedValue { $0.control }?.cancel()
    }

    private enum Step {
        case element(Element, grant: UInt32, RPCStreamControl?)
        case end(RPCError?)
        case wait
    }

    private func next() async throws(RPCError) -> Element? {
        while true {
            switch state.withLockedValue({ step(&$0) }) {
            case .element(let element, let grant, let control):
                if grant > 0 { control?.grant(grant) }
                return element
            case .end(nil):
                return nil
            case .end(.some(let error)):
                throw error
            case .wait:
                await withTaskCancellationHandler {
                    await withUnsafeContinuation { continuation in
                        let ready = state.withLockedValue { state in
                            if state.ended || state.head < state.buffer.count { return true }
                            state.waiter = continuation
                            return false
                        }
                        if ready { continuation.resume() }
                    }
                } onCancel: {
                    cancel()
                }
            }
        }
    }

    private func step(_ state: inout State) -> Step {
        guard state.head < state.buffer.count else {
            return state.ended ? .end(state.error) : .wait
        }
        let element = state.buffer[state.head]
        state.head += 1
        if state.head == state.buffer.count {
            state.buffer.removeAll(keepingCapacity: true)
            state.head = 0
        }
        state.consumed += 1
        guard state.consumed >= Swift.max(1, credit / 2) else { return .element(element, grant: 0, nil) }
        defer { state.consumed = 0 }
        return .element(element, grant: state.consumed, state.control)
    }
}

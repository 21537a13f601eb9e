/// The caller's side of a stream that was opened without a task.
package struct RPCStreamControl: Sendable {
    private let cancellation: RPCCancellation

    init(_ cancellation: RPCCancellation) {
        self.cancellation = cancellation
    }

    /// Lets the server send `messages` more.
    package func grant(_ messages: UInt32) {
        cancellation.grant(messages)
    }

    /// Ends the stream: the server's handler is cancelled; `onEnd` gets `cancelled` unless the stream had ended.
    package func cancel() {
        cancellation.cancel()
    }
}

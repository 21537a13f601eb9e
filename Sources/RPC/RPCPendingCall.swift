/// A call that waits for its answer. Whoever takes it out of the table that holds it finishes it, so it is finished once.
package protocol RPCPendingCall: AnyObject, Sendable {
    /// The answer of a unary call; the bytes are valid during the call only.
    func finish(response: UnsafeRawBufferPointer)
    /// The next message of a stream; the bytes are valid during the call only.
    func receive(message: UnsafeRawBufferPointer)
    /// The stream ended well.
    func finishStream()
    /// The server said that it failed, or this side gave up.
    func fail(_ error: RPCError)
    /// The connection is lost. `processed`: false when the server surely did not begin the call.
    func connectionLost(_ error: RPCError, processed: Bool)
}

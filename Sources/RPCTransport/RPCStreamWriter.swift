package import RPC
package import SwiftProtobuf

/// Sends the messages of a stream.
package struct RPCStreamWriter<Element: Message & Sendable>: Sendable {
    private let responder: RPCResponder

    init(_ responder: RPCResponder) {
        self.responder = responder
    }

    /// Sends a message. Suspends while the caller has given no credit or the connection is full; throws `cancelled` when
    /// the caller has gone.
    package func write(_ message: Element) async throws(RPCError) {
        try await responder.write(message)
    }
}

import NIOCore
import RPC
import SwiftProtobuf

/// Where a handler's answer goes: one call of a connection.
struct RPCResponder: Sendable {
    private let connection: ServerConnection
    private let callID: UInt64

    init(_ connection: ServerConnection, callID: UInt64) {
        self.connection = connection
        self.callID = callID
    }

    /// The answer of a unary call.
    func respond<M: Message>(_ message: M) throws {
        connection.finish(callID, .response, try message.serializedBytes())
    }

    /// The stream ended well.
    func end() {
        connection.finish(callID, .end, [])
    }

    /// The next message of a stream; waits for credit and for room.
    func write<M: Message>(_ message: M) async throws(RPCError) {
        let bytes: [UInt8]
        do {
            bytes = try message.serializedBytes()
        } catch {
            throw RPCError(.internalError, "message could not be encoded: \(error)")
        }
        try await connection.write(callID, bytes)
    }
}

import NIOCore
import RPC
import SwiftProtobuf

/// A call on its way, from the caller's side. Whoever takes it out of the table that holds it finishes it.
package class RPCCall: @unchecked Sendable {
}

final class RPCUnaryCall<Request: Message & Sendable, Response: Message & Sendable>: RPCCall, @unchecked Sendable {
    init(
        _ method: RPCMethod<Request, Response>, _ request: Request, options: CallOptions,
        cancellation: RPCCancellation?, loop: (any EventLoop)?,
        completion: @escaping @Sendable (Result<Response, RPCError>) -> Void
    ) {
    }
}

final class RPCStreamCall<Request: Message & Sendable, Response: Message & Sendable>: RPCCall, @unchecked Sendable {
    init(
        _ method: RPCMethod<Request, Response>, _ request: Request, options: CallOptions,
        cancellation: RPCCancellation, loop: (any EventLoop)?, onMessage: @escaping @Sendable (Response) -> Void,
        onEnd: @escaping @Sendable (RPCError?) -> Void
    ) {
    }
}

/// Where a call can be reached to cancel it or to give it credit.
final class RPCCancellation: Sendable {
    func cancel() {}
    func grant(_ messages: UInt32) {}
}

struct RPCResponder: Sendable {
    func respond<M: Message>(_ message: M) {}
    func write<M: Message>(_ message: M) async throws(RPCError) {}
    func end() {}
}

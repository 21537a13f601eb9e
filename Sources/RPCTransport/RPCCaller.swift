package import NIOCore
package import RPC
package import SwiftProtobuf

/// What stubs are made on: a role's pool, or one peer.
package protocol RPCCaller: Sendable {
    /// Takes charge of a call: starts it now or when a connection is there, and finishes it exactly once.
    func start(_ call: RPCCall)
}

extension RPCCaller {
    /// Makes a unary call and waits for its answer. Cancelling the task cancels the call on the server.
    package func unary<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: CallOptions
    ) async throws(RPCError) -> Response {
        let cancellation = RPCCancellation()
        let result: Result<Response, RPCError> = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                start(
                    RPCUnaryCall(
                        method, request, options: options, cancellation: cancellation, loop: nil,
                        completion: { continuation.resume(returning: $0) }))
            }
        } onCancel: {
            cancellation.cancel()
        }
        return try result.get()
    }

    /// Makes a unary call without a task: `completion` is called once, on `loop`.
    package func unary<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: CallOptions, on loop: any EventLoop,
        completion: @escaping @Sendable (Result<Response, RPCError>) -> Void
    ) {
        start(RPCUnaryCall(method, request, options: options, cancellation: nil, loop: loop, completion: completion))
    }

    /// Opens a stream and gives it as a sequence. The call is cancelled when the iteration ends early.
    package func stream<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: CallOptions
    ) async throws(RPCError) -> RPCStream<Response> {
        let stream = RPCStream<Response>(credit: options.credit)
        stream.open { onMessage, onEnd in
            self.stream(method, request, options, on: nil, onMessage: onMessage, onEnd: onEnd)
        }
        return stream
    }

    /// Opens a stream without a task: `onMessage` for each message in order, then `onEnd` once (`nil`: it ended well),
    /// both on `loop`. `options.credit` messages may come at first, then as many as are granted.
    package func stream<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>, _ request: Request, _ options: CallOptions, on loop: (any EventLoop)?,
        onMessage: @escaping @Sendable (Response) -> Void, onEnd: @escaping @Sendable (RPCError?) -> Void
    ) -> RPCStreamControl {
        let cancellation = RPCCancellation()
        start(
            RPCStreamCall(
                method, request, options: options, cancellation: cancellation, loop: loop, onMessage: onMessage,
                onEnd: onEnd))
        return RPCStreamControl(cancellation)
    }
}

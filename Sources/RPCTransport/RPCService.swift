package import RPC
package import SwiftProtobuf

/// A service that an `RPCServer` can serve: what generated registrations are.
package protocol RPCService: Sendable {
    /// `roost.relay.v1.Relay`.
    var name: String { get }
    var methods: [RPCServiceMethod] { get }
}

/// One method with its handler, ready to be looked up by the id on the wire.
package struct RPCServiceMethod: Sendable {
    /// Runs the handler of a decoded request and sends its answer; a thrown error is sent by whoever runs it.
    typealias Invocation = @Sendable (RPCContext, RPCResponder) async throws -> Void

    package let descriptor: RPCMethodDescriptor
    /// Decodes the request, which is only valid during the call, into the handler's invocation.
    let prepare: @Sendable (UnsafeRawBufferPointer) throws -> Invocation

    /// A unary method.
    package static func unary<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>,
        _ handler: @escaping @Sendable (Request, RPCContext) async throws -> Response
    ) -> RPCServiceMethod {
        RPCServiceMethod(descriptor: method.descriptor) { payload in
            let request = try Request(serializedBytes: PayloadView(payload))
            return { context, responder in
                try responder.respond(try await handler(request, context))
            }
        }
    }

    /// A method that answers with a stream.
    package static func serverStreaming<Request: Message & Sendable, Response: Message & Sendable>(
        _ method: RPCMethod<Request, Response>,
        _ handler: @escaping @Sendable (Request, RPCStreamWriter<Response>, RPCContext) async throws -> Void
    ) -> RPCServiceMethod {
        RPCServiceMethod(descriptor: method.descriptor) { payload in
            let request = try Request(serializedBytes: PayloadView(payload))
            return { context, responder in
                try await handler(request, RPCStreamWriter(responder), context)
                responder.end()
            }
        }
    }
}

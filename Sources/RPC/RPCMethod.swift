/// One method of a service, as the wire knows it. Generated.
package struct RPCMethodDescriptor: Sendable, Hashable {
    /// `roost.relay.v1.Relay/Append`.
    package let name: String
    /// FNV-1a, 32 bits, of `name`: what a REQUEST frame carries.
    package let id: UInt32
    /// Marked `IDEMPOTENT` or `NO_SIDE_EFFECTS`: may be made again without harm.
    package let idempotent: Bool
    /// The server answers with a stream.
    package let serverStreaming: Bool

    package init(name: String, idempotent: Bool, serverStreaming: Bool) {
        self.name = name
        self.id = Self.identifier(of: name)
        self.idempotent = idempotent
        self.serverStreaming = serverStreaming
    }

    /// FNV-1a, 32 bits, over the name's UTF-8.
    package static func identifier(of name: String) -> UInt32 {
        var hash: UInt32 = 0x811C_9DC5
        for byte in name.utf8 {
            hash = (hash ^ UInt32(byte)) &* 0x0100_0193
        }
        return hash
    }
}

/// A method with the types of its messages, so that stubs and servers agree at compile time. Generated.
package struct RPCMethod<Request: Sendable, Response: Sendable>: Sendable {
    package let descriptor: RPCMethodDescriptor

    package init(_ name: String, idempotent: Bool = false, serverStreaming: Bool = false) {
        descriptor = RPCMethodDescriptor(name: name, idempotent: idempotent, serverStreaming: serverStreaming)
    }
}

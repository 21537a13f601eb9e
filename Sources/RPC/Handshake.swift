/// Proves that this side holds the shared key, and checks that the other does. Implemented where the cryptography is.
package protocol HandshakeProver: Sendable {
    /// HMAC-SHA256 over the bytes: 32 bytes.
    func prove(_ bytes: [UInt8]) -> [UInt8]
    /// Whether `proof` is the proof of the bytes, in constant time.
    func verify(_ proof: [UInt8], of bytes: [UInt8]) -> Bool
}

/// What a server allows, as its WELCOME says.
package struct ServerLimits: Sendable, Hashable {
    package var maxConcurrentCalls: UInt32
    package var maxFrame: UInt32

    package init(maxConcurrentCalls: UInt32, maxFrame: UInt32) {
        self.maxConcurrentCalls = maxConcurrentCalls
        self.maxFrame = maxFrame
    }
}

/// The messages of the handshake and what is proved over them.
enum Handshake {
    static let magic: [UInt8] = Array("ROOST".utf8)
    static let nonceSize = 32
    static let proofFlag: UInt8 = 1

    struct Hello {
        var version: UInt16
        var proves: Bool
        var identity: RPCIdentity

        static func encode(identity: RPCIdentity, proves: Bool, nonce: [UInt8]) -> [UInt8] {
            var bytes = magic
            bytes.appendInteger(Frame.version)
            bytes.append(proves ? proofFlag : 0)
            bytes.appendShort(identity.role)
            bytes.appendShort(identity.id)
            bytes.append(contentsOf: nonce)
            return bytes
        }

        init(_ payload: UnsafeRawBufferPointer) throws(ProtocolViolation) {
            var reader = WireReader(payload)
            guard try reader.bytes(magic.count).elementsEqual(magic) else {
                throw ProtocolViolation("not a Roost RPC client")
            }
            version = try reader.uint16()
            proves = try reader.uint8() & proofFlag != 0
            identity = RPCIdentity(role: try reader.shortString(), id: try reader.shortString())
            _ = try reader.bytes(nonceSize)
            try reader.end()
        }
    }

    struct Welcome {
        var version: UInt16
        var proves: Bool
        var identity: RPCIdentity
        var limits: ServerLimits
        var proof: [UInt8]
        /// The part that is proved: all but the proof.
        var proved: [UInt8]

        /// The part that is proved.
        static func encode(
            identity: RPCIdentity, proves: Bool, nonce: [UInt8], limits: ServerLimits
        ) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.appendInteger(Frame.version)
            bytes.append(proves ? proofFlag : 0)
            bytes.appendShort(identity.role)
            bytes.appendShort(identity.id)
            bytes.append(contentsOf: nonce)
            bytes.appendInteger(limits.maxConcurrentCalls)
            bytes.appendInteger(limits.maxFrame)
            return bytes
        }

        init(_ payload: UnsafeRawBufferPointer) throws(ProtocolViolation) {
            var reader = WireReader(payload)
            version = try reader.uint16()
            proves = try reader.uint8() & proofFlag != 0
            identity = RPCIdentity(role: try reader.shortString(), id: try reader.shortString())
            _ = try reader.bytes(nonceSize)
            limits = ServerLimits(maxConcurrentCalls: try reader.uint32(), maxFrame: try reader.uint32())
            proved = Array(payload.prefix(reader.position))
            proof = Array(try reader.bytes(Int(try reader.uint8())))
            try reader.end()
        }
    }

    /// What each side's proof is over: a label of its side, then both messages as they were sent.
    static func transcript(server: Bool, hello: [UInt8], welcome: [UInt8]) -> [UInt8] {
        Array((server ? "roost-rpc-1 server" : "roost-rpc-1 client").utf8) + [0] + hello + welcome
    }

    static func encodeProof(_ proof: [UInt8]) -> [UInt8] {
        [UInt8(proof.count)] + proof
    }
}

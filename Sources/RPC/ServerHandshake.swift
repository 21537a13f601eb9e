/// The server's side of the handshake.
///
///     waiting --HELLO--> welcome sent --PROOF--> (done)
package struct ServerHandshake: Sendable {
    private enum State {
        case waiting
        case welcomeSent(client: RPCIdentity, expected: [UInt8]?)
    }

    /// What the shell has to do.
    package enum Action: Sendable, Hashable {
        /// Send these bytes.
        case send([UInt8])
        /// Send these bytes; calls are served from now on.
        case ready(RPCIdentity, [UInt8])
        /// Send these bytes, then close.
        case refuse([UInt8], reason: String)
    }

    private let identity: RPCIdentity
    private let prover: (any HandshakeProver)?
    private let limits: ServerLimits
    private let nonce: [UInt8]
    private var state = State.waiting

    /// - Parameters:
    ///   - prover: holds the shared key; `nil`: TLS alone proves who is who.
    ///   - nonce: 32 random bytes, never used before.
    package init(identity: RPCIdentity, prover: (any HandshakeProver)?, limits: ServerLimits, nonce: [UInt8]) {
        precondition(nonce.count == Handshake.nonceSize)
        self.identity = identity
        self.prover = prover
        self.limits = limits
        self.nonce = nonce
    }

    package mutating func receive(_ frame: Frame) throws(ProtocolViolation) -> Action {
        switch state {
        case .waiting:
            guard frame.kind == .hello else { throw ProtocolViolation("\(frame.kind) instead of HELLO") }
            let hello = try Handshake.Hello(frame.payload)
            guard hello.version == Frame.version else {
                return refuse("version \(hello.version) is not spoken here, \(Frame.version) is", .unimplemented)
            }
            guard hello.proves == (prover != nil) else {
                return refuse("the shared key must be proved by both sides or by none", .unauthorized)
            }
            let bytes = Array(frame.payload)
            let proved = Handshake.Welcome.encode(
                identity: identity, proves: prover != nil, nonce: nonce, limits: limits)
            let proof = prover?.prove(Handshake.transcript(server: true, hello: bytes, welcome: proved)) ?? []
            state = .welcomeSent(
                client: hello.identity,
                expected: prover == nil ? nil : Handshake.transcript(server: false, hello: bytes, welcome: proved))
            return .send(
                FrameEncoder.frame(.welcome, callID: 0, payload: proved + Handshake.encodeProof(proof)))
        case .welcomeSent(let client, let expected):
            guard frame.kind == .proof else { throw ProtocolViolation("\(frame.kind) instead of PROOF") }
            var reader = WireReader(frame.payload)
            let proof = Array(try reader.bytes(Int(try reader.uint8())))
            try reader.end()
            if let prover, let expected, !prover.verify(proof, of: expected) {
                return refuse("the key is wrong", .unauthorized)
            }
            return .ready(client, FrameEncoder.frame(.ready, callID: 0))
        }
    }

    private func refuse(_ reason: String, _ code: RPCError.Code) -> Action {
        .refuse(FrameEncoder.goaway(RPCError(code, reason), lastCallID: 0), reason: reason)
    }
}

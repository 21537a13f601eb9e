/// The client's side of the handshake.
///
///     hello sent --WELCOME--> proof sent --READY--> (done)
///
/// A refusal (GOAWAY) or anything else ends the connection.
package struct ClientHandshake: Sendable {
    private enum State {
        case helloSent
        case proofSent(RPCIdentity, ServerLimits)
    }

    /// What the shell has to do.
    package enum Action: Sendable, Hashable {
        /// Send these bytes.
        case send([UInt8])
        /// Calls may be made.
        case ready(RPCIdentity, ServerLimits)
        /// The server refused.
        case refused(RPCError)
    }

    private let hello: [UInt8]
    private let prover: (any HandshakeProver)?
    private let expectedID: String?
    private var state = State.helloSent

    /// - Parameters:
    ///   - prover: holds the shared key; `nil`: TLS alone proves who is who.
    ///   - expectedID: the id that the server must state; `nil`: any.
    ///   - nonce: 32 random bytes, never used before.
    package init(identity: RPCIdentity, prover: (any HandshakeProver)?, expectedID: String?, nonce: [UInt8]) {
        precondition(nonce.count == Handshake.nonceSize)
        self.prover = prover
        self.expectedID = expectedID
        hello = Handshake.Hello.encode(identity: identity, proves: prover != nil, nonce: nonce)
    }

    /// The frame that the connection begins with.
    package var firstFrame: [UInt8] { FrameEncoder.frame(.hello, callID: 0, payload: hello) }

    package mutating func receive(_ frame: Frame) throws(ProtocolViolation) -> Action {
        if frame.kind == .goaway { return .refused(try RPCError(payload: frame.payload)) }
        switch state {
        case .helloSent:
            guard frame.kind == .welcome else { throw ProtocolViolation("\(frame.kind) instead of WELCOME") }
            let welcome = try Handshake.Welcome(frame.payload)
            guard welcome.version == Frame.version else {
                throw ProtocolViolation("server speaks version \(welcome.version)")
            }
            if let expectedID, welcome.identity.id != expectedID {
                throw ProtocolViolation("server is \(welcome.identity), not \(expectedID)")
            }
            state = .proofSent(welcome.identity, welcome.limits)
            guard let prover else { return .send(FrameEncoder.frame(.proof, callID: 0, payload: [0])) }
            let proved = Handshake.transcript(server: true, hello: hello, welcome: welcome.proved)
            guard welcome.proves, prover.verify(welcome.proof, of: proved) else {
                throw ProtocolViolation("server did not prove that it holds the key")
            }
            let proof = prover.prove(Handshake.transcript(server: false, hello: hello, welcome: welcome.proved))
            return .send(FrameEncoder.frame(.proof, callID: 0, payload: Handshake.encodeProof(proof)))
        case .proofSent(let identity, let limits):
            guard frame.kind == .ready else { throw ProtocolViolation("\(frame.kind) instead of READY") }
            return .ready(identity, limits)
        }
    }
}

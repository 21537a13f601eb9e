import RPC

/// Records what becomes of a call.
final class RecordedCall: RPCPendingCall, @unchecked Sendable {
    enum Event: Equatable {
        case response([UInt8])
        case message([UInt8])
        case end
        case failed(RPCError.Code)
        case lost(processed: Bool)
    }

    var events: [Event] = []

    func finish(response: UnsafeRawBufferPointer) { events.append(.response(Array(response))) }
    func receive(message: UnsafeRawBufferPointer) { events.append(.message(Array(message))) }
    func finishStream() { events.append(.end) }
    func fail(_ error: RPCError) { events.append(.failed(error.code)) }
    func connectionLost(_ error: RPCError, processed: Bool) { events.append(.lost(processed: processed)) }
}

/// A prover whose proofs can be told apart by key and bytes; no cryptography.
struct FakeProver: HandshakeProver {
    var key: UInt8

    func prove(_ bytes: [UInt8]) -> [UInt8] {
        var proof = [UInt8](repeating: key, count: 32)
        for (index, byte) in bytes.enumerated() { proof[index % 32] = proof[index % 32] &* 31 &+ byte }
        return proof
    }

    func verify(_ proof: [UInt8], of bytes: [UInt8]) -> Bool { proof == prove(bytes) }
}

/// Gives `body` each frame that the bytes hold.
func forEachFrame(_ bytes: [UInt8], maxBody: Int = 8 << 20, _ body: (Frame) throws -> Void) throws {
    try bytes.withUnsafeBytes { bytes in
        var offset = 0
        while let frame = try Frame.parse(UnsafeRawBufferPointer(rebasing: bytes[offset...]), maxBody: maxBody) {
            offset += frame.size
            try body(frame)
        }
    }
}

/// Encodes a REQUEST.
func requestFrame(
    _ id: UInt64, method: UInt32 = 7, timeout: UInt32 = 0, credit: UInt32 = 0, trace: String? = nil,
    payload: [UInt8] = []
) -> [UInt8] {
    let header = RequestHeader(method: method, timeoutMilliseconds: timeout, credit: credit, trace: trace)
    var bytes = [UInt8](repeating: 0, count: FrameEncoder.requestSize(header, payload: payload.count))
    let count = bytes.withUnsafeMutableBytes { room in
        payload.withUnsafeBytes { FrameEncoder.request(header, callID: id, payload: $0, into: room) }
    }
    precondition(count == bytes.count)
    return bytes
}

let clientNonce = [UInt8](repeating: 1, count: 32)
let serverNonce = [UInt8](repeating: 2, count: 32)

func clientHandshake(key: UInt8? = 9, expectedID: String? = "relay-1") -> ClientHandshake {
    ClientHandshake(
        identity: RPCIdentity(role: "chat", id: "chat-1"), prover: key.map { FakeProver(key: $0) },
        expectedID: expectedID, nonce: clientNonce)
}

func serverHandshake(key: UInt8? = 9, maxCalls: UInt32 = 100) -> ServerHandshake {
    ServerHandshake(
        identity: RPCIdentity(role: "relay", id: "relay-1"), prover: key.map { FakeProver(key: $0) },
        limits: ServerLimits(maxConcurrentCalls: maxCalls, maxFrame: 1 << 20), nonce: serverNonce)
}

/// Both ends of a connection after their handshake.
func openConnection(
    maxCalls: Int = 100
) throws -> (client: ClientConnectionStateMachine, server: ServerConnectionStateMachine) {
    let handshake = clientHandshake()
    var client = ClientConnectionStateMachine(handshake: handshake, maxConcurrentCalls: 1000, maxFrame: 1 << 20)
    var server = ServerConnectionStateMachine(
        handshake: serverHandshake(maxCalls: UInt32(maxCalls)), maxConcurrentCalls: maxCalls, maxFrame: 1 << 20)
    var toServer = handshake.firstFrame
    while !toServer.isEmpty {
        var toClient: [UInt8] = []
        try forEachFrame(toServer) { frame in
            switch try server.receive(frame, now: 0) {
            case .send(let bytes), .ready(_, let bytes), .refuse(let bytes, _): toClient += bytes
            case .none, .start, .cancel, .credit: break
            }
        }
        toServer = []
        try forEachFrame(toClient) { frame in
            if case .send(let bytes) = try client.receive(frame) { toServer += bytes }
        }
    }
    return (client, server)
}

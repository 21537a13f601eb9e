import RPC
import Testing

@Suite struct HandshakeTests {
    /// Carries both sides as far as they go; gives what the client came to, or throws what it or the server threw.
    private func shake(_ client: ClientHandshake, _ server: ServerHandshake) throws -> ClientHandshake.Action? {
        var client = client
        var server = server
        var toServer = client.firstFrame
        var last: ClientHandshake.Action?
        while !toServer.isEmpty {
            var toClient: [UInt8] = []
            try forEachFrame(toServer) { frame in
                switch try server.receive(frame) {
                case .send(let bytes), .ready(_, let bytes), .refuse(let bytes, _): toClient += bytes
                }
            }
            toServer = []
            try forEachFrame(toClient) { frame in
                last = try client.receive(frame)
                if case .send(let bytes) = last { toServer += bytes }
            }
        }
        return last
    }

    @Test func bothProve() throws {
        let limits = ServerLimits(maxConcurrentCalls: 100, maxFrame: 1 << 20)
        let identity = RPCIdentity(role: "relay", id: "relay-1")
        #expect(try shake(clientHandshake(), serverHandshake()) == .ready(identity, limits))
        #expect(try shake(clientHandshake(expectedID: nil), serverHandshake()) == .ready(identity, limits))
        #expect(try shake(clientHandshake(key: nil), serverHandshake(key: nil)) == .ready(identity, limits))
    }

    @Test func wrongKeyIsSeenByTheClientFirst() {
        #expect(throws: ProtocolViolation("server did not prove that it holds the key")) {
            try shake(clientHandshake(key: 8), serverHandshake())
        }
    }

    @Test func wrongProofIsRefusedByTheServer() throws {
        var server = serverHandshake()
        try forEachFrame(clientHandshake(key: 8).firstFrame) { _ = try server.receive($0) }
        try forEachFrame(FrameEncoder.frame(.proof, callID: 0, payload: [32] + [UInt8](repeating: 0, count: 32))) {
            frame in
            guard case .refuse(_, let reason) = try server.receive(frame) else {
                Issue.record("not refused")
                return
            }
            #expect(reason == "the key is wrong")
        }
    }

    @Test func oneSideWithoutKeyIsRefused() throws {
        guard case .refused(let error) = try shake(clientHandshake(key: nil), serverHandshake()) else {
            Issue.record("not refused")
            return
        }
        #expect(error.code == .unauthorized)
        guard case .refused = try shake(clientHandshake(), serverHandshake(key: nil)) else {
            Issue.record("not refused")
            return
        }
    }

    @Test func anotherProcessAtTheAddressIsNotUsed() {
        #expect(throws: ProtocolViolation("server is relay/relay-1, not relay-2")) {
            try shake(clientHandshake(expectedID: "relay-2"), serverHandshake())
        }
    }

    @Test func anotherVersionIsRefusedWithWords() throws {
        var hello = clientHandshake().firstFrame
        hello[4 + 9 + 5 + 1] = 2
        var server = serverHandshake()
        try forEachFrame(hello) { frame in
            guard case .refuse(_, let reason) = try server.receive(frame) else {
                Issue.record("not refused")
                return
            }
            #expect(reason.contains("version 2"))
        }
    }

    @Test func cutOrStrangeHellosAreRefused() throws {
        let hello = clientHandshake().firstFrame
        for count in 13..<hello.count {
            var cut = Array(hello[..<count])
            cut.replaceSubrange(0..<4, with: [0, 0, 0, UInt8(count - 4)])
            var server = serverHandshake()
            #expect(throws: ProtocolViolation.self) { try forEachFrame(cut) { _ = try server.receive($0) } }
        }
        var server = serverHandshake()
        #expect(throws: ProtocolViolation.self) {
            try forEachFrame(requestFrame(1)) { _ = try server.receive($0) }
        }
    }
}

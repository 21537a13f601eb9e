import RPC
import Testing

@Suite struct ConnectionTests {
    /// What a test needs to see of a server's action.
    private enum Seen: Equatable {
        case none, send([UInt8]), start([UInt8], deadline: UInt64), cancel, credit, other
    }

    private func feed(
        _ server: inout ServerConnectionStateMachine, _ bytes: [UInt8], now: UInt64 = 0
    ) throws -> [Seen] {
        var seen: [Seen] = []
        try forEachFrame(bytes) { frame in
            switch try server.receive(frame, now: now) {
            case .none: seen.append(.none)
            case .send(let bytes): seen.append(.send(bytes))
            case .start(_, let payload, let deadline): seen.append(.start(Array(payload), deadline: deadline))
            case .cancel: seen.append(.cancel)
            case .credit: seen.append(.credit)
            case .ready, .refuse: seen.append(.other)
            }
        }
        return seen
    }

    private func feed(_ client: inout ClientConnectionStateMachine, _ bytes: [UInt8]) throws {
        try forEachFrame(bytes) { frame in
            switch try client.receive(frame) {
            case .none, .send, .ready, .refused: break
            case .response(let call): call.finish(response: frame.payload)
            case .message(let call): call.receive(message: frame.payload)
            case .streamEnded(let call): call.finishStream()
            case .failed(let call, let error): call.fail(error)
            case .goaway(let error, let unserved, _):
                for call in unserved { call.connectionLost(error, processed: false) }
            }
        }
    }

    private func open(
        _ client: inout ClientConnectionStateMachine, _ call: RecordedCall, credit: UInt32? = nil,
        deadline: UInt64 = .max
    ) -> ClientConnectionStateMachine.Opening {
        client.open(call, requestBytes: 10, streaming: credit != nil, credit: credit ?? 0, deadline: deadline)
    }

    @Test func unary() throws {
        var (client, server) = try openConnection()
        let call = RecordedCall()
        #expect(open(&client, call) == .opened(1))
        #expect(
            try feed(&server, requestFrame(1, timeout: 7, payload: [5]), now: 1) == [.start([5], deadline: 7_000_001)])
        #expect(server.outstanding == 1)
        let is1 = server.finish(1)
        #expect(is1)
        let is2 = server.finish(1)
        #expect(!is2)
        try feed(&client, FrameEncoder.frame(.response, callID: 1, payload: [6]))
        #expect(call.events == [.response([6])])
        #expect(client.outstanding == 0)
        // The same answer again is not an answer to anything open, but no fault either: it may have crossed a CANCEL.
        try feed(&client, FrameEncoder.frame(.response, callID: 1, payload: [6]))
        #expect(call.events.count == 1)
    }

    @Test func nothingIsServedBeforeTheHandshake() {
        var server = ServerConnectionStateMachine(
            handshake: serverHandshake(), maxConcurrentCalls: 10, maxFrame: 1 << 20)
        #expect(server.maxBody == Frame.maxHandshakeBody)
        #expect(throws: ProtocolViolation.self) { try feed(&server, requestFrame(1)) }
        var client = ClientConnectionStateMachine(
            handshake: clientHandshake(), maxConcurrentCalls: 10, maxFrame: 1 << 20)
        #expect(open(&client, RecordedCall()) == .notOpen)
    }

    @Test func creditBoundsAStream() throws {
        var (client, server) = try openConnection()
        let call = RecordedCall()
        #expect(open(&client, call, credit: 2) == .opened(1))
        _ = try feed(&server, requestFrame(1, credit: 2))
        #expect([server.send(1), server.send(1), server.send(1)] == [.send, .send, .wait])
        #expect(try feed(&server, FrameEncoder.credit(callID: 1, messages: 1)) == [.credit])
        #expect(server.send(1) == .send)
        let message = FrameEncoder.frame(.message, callID: 1, payload: [1])
        try feed(&client, message + message)
        #expect(throws: ProtocolViolation("MESSAGE without credit")) { try feed(&client, message) }
        let is3 = client.grant(1, 1)
        #expect(is3)
        try feed(&client, message + FrameEncoder.frame(.end, callID: 1))
        #expect(call.events == [.message([1]), .message([1]), .message([1]), .end])
        let is4 = client.grant(1, 1)
        #expect(!is4)
    }

    @Test func cancelEndsBothSides() throws {
        var (client, server) = try openConnection()
        let call = RecordedCall()
        _ = open(&client, call)
        _ = try feed(&server, requestFrame(1))
        #expect(client.cancel(1) === call)
        #expect(client.cancel(1) == nil)
        #expect(try feed(&server, FrameEncoder.frame(.cancel, callID: 1)) == [.cancel])
        let is5 = server.send(1) == .gone
        #expect(is5)
        let is6 = server.finish(1)
        #expect(!is6)
        #expect(try feed(&server, FrameEncoder.frame(.cancel, callID: 1)) == [.none])
    }

    @Test func deadlinesExpireInTheirOrder() throws {
        var (client, server) = try openConnection()
        let calls = (0..<3).map { _ in RecordedCall() }
        _ = open(&client, calls[0], deadline: 300)
        _ = open(&client, calls[1], deadline: 100)
        _ = open(&client, calls[2])
        #expect(client.nextDeadline == 100)
        #expect(client.expire(now: 99).isEmpty)
        #expect(client.expire(now: 100).map(\.id) == [2])
        #expect(client.nextDeadline == 300)
        #expect(client.expire(now: 1000).map(\.id) == [1])
        #expect(client.nextDeadline == .max)
        #expect(client.outstanding == 1)
        _ = try feed(&server, requestFrame(1, timeout: 1) + requestFrame(2))
        #expect(server.expire(now: 999_999).isEmpty)
        #expect(server.expire(now: 1_000_000) == [1])
        #expect(server.outstanding == 1)
    }

    @Test func limits() throws {
        var (client, server) = try openConnection(maxCalls: 2)
        let calls = (0..<3).map { _ in RecordedCall() }
        #expect(open(&client, calls[0]) == .opened(1))
        #expect(open(&client, calls[1]) == .opened(2))
        #expect(open(&client, calls[2]) == .full)
        #expect(
            client.open(calls[2], requestBytes: 2 << 20, streaming: false, credit: 0, deadline: .max) == .full)
        _ = client.cancel(1)
        #expect(
            client.open(calls[2], requestBytes: 2 << 20, streaming: false, credit: 0, deadline: .max) == .tooLarge)
        // A client that does not keep to it gets errors.
        let seen = try feed(&server, requestFrame(1) + requestFrame(2) + requestFrame(3))
        guard case .send(let bytes) = seen[2] else {
            Issue.record("not refused: \(seen[2])")
            return
        }
        try forEachFrame(bytes) { frame in
            let error = try RPCError(payload: frame.payload)
            #expect(error.code == .unavailable)
        }
    }

    @Test func goawayLetsOpenCallsFinish() throws {
        var (client, server) = try openConnection()
        let served = RecordedCall()
        let unserved = RecordedCall()
        _ = open(&client, served)
        _ = try feed(&server, requestFrame(1))
        let said = server.drain(RPCError(.unavailable, "shutting down"))
        let goaway = try #require(said)
        let again = server.drain(RPCError(.unavailable, "again"))
        #expect(again == nil)
        _ = open(&client, unserved)
        #expect(try feed(&server, requestFrame(2)) == [.none])
        try feed(&client, goaway)
        #expect(unserved.events == [.lost(processed: false)])
        #expect(!client.isOpen)
        #expect(open(&client, RecordedCall()) == .notOpen)
        #expect(!server.isDrained)
        #expect(!client.isDrained)
        let is7 = server.finish(1)
        #expect(is7)
        #expect(server.isDrained)
        try feed(&client, FrameEncoder.frame(.response, callID: 1))
        #expect(served.events == [.response([])])
        #expect(client.isDrained)
    }

    @Test func pingIsAnswered() throws {
        var (_, server) = try openConnection()
        #expect(
            try feed(&server, FrameEncoder.frame(.ping, callID: 42)) == [.send(FrameEncoder.frame(.pong, callID: 42))])
    }

    @Test func whatNoHonestPeerSends() throws {
        let (client, server) = try openConnection()
        for bytes in [
            FrameEncoder.frame(.response, callID: 9), FrameEncoder.frame(.request, callID: 1),
            FrameEncoder.frame(.hello, callID: 0), FrameEncoder.frame(.goaway, callID: 0),
        ] {
            var client = client
            #expect(throws: ProtocolViolation.self) { try feed(&client, bytes) }
        }
        for bytes in [
            FrameEncoder.frame(.response, callID: 1), FrameEncoder.frame(.request, callID: 1, payload: [1, 2, 3]),
            requestFrame(0), requestFrame(2) + requestFrame(2), requestFrame(2) + requestFrame(1),
            FrameEncoder.frame(.credit, callID: 1), FrameEncoder.frame(.cancel, callID: 1, payload: [1]),
        ] {
            var server = server
            #expect(throws: ProtocolViolation.self) { try feed(&server, bytes) }
        }
    }

    @Test func randomFramesNeverTrap() throws {
        var random = SplitMix64(seed: 2)
        for _ in 0..<500 {
            var (client, server) = try openConnection(maxCalls: 4)
            for _ in 0..<3 { _ = open(&client, RecordedCall(), credit: Bool.random(using: &random) ? 1 : nil) }
            for _ in 0..<40 {
                let kind = try #require(FrameKind.allCases.randomElement(using: &random))
                let payload = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: .min ... .max, using: &random)
                }
                let bytes = FrameEncoder.frame(kind, callID: .random(in: 0...5, using: &random), payload: payload)
                try? feed(&client, bytes)
                _ = try? feed(&server, bytes, now: 1)
                #expect(server.outstanding <= 4)
            }
        }
    }
}

import NIOCore
import Protocol
import RPC
import SwiftProtobuf

// Frames between processes, and a whole call but for the socket.

let rpcKernels = [
    Kernel("rpc-request-encode", operations: 40_000) {
        let payloads = try Samples.appends(Samples.count).map { try $0.serializedBytes() as [UInt8] }
        let header = RequestHeader(method: 0xABCD_EF01, timeoutMilliseconds: 5000, credit: 0, trace: nil)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 8)
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= payloads[number % Samples.count].withUnsafeBytes { payload in
                    FrameEncoder.request(header, callID: UInt64(number), payload: payload, into: room)
                }
            }
            return sum
        }
    },
    Kernel("rpc-frame-parse", operations: 40_000) {
        let frames = Samples.texts.enumerated().map { number, text in
            FrameEncoder.frame(.response, callID: UInt64(number + 1), payload: Array(text.utf8))
        }
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= try frames[number % Samples.count].withUnsafeBytes { bytes in
                    guard let frame = try Frame.parse(bytes, maxBody: 8 << 20) else {
                        throw KernelFailure("a frame is not whole")
                    }
                    return frame.payload.count
                }
            }
            return sum
        }
    },
    Kernel("rpc-read-of-64-frames", operations: 600) {
        // Reads of 8 KiB that end within a frame, as a busy socket gives them.
        let frames = (1...1024).flatMap { number in
            FrameEncoder.frame(
                .response, callID: UInt64(number), payload: Array(Samples.texts[number % Samples.count].utf8))
        }
        let size = frames.count / 16
        let reads = (0..<16).map { ByteBuffer(bytes: frames[($0 * size)..<(($0 + 1) * size)]) }
        var accumulator = FrameAccumulator()
        return { count in
            var sum = 0
            // All reads in turn, from where the last run ended.
            for number in 0..<count {
                if number % reads.count == 0 { accumulator = FrameAccumulator() }
                try accumulator.feed(reads[number % reads.count], maxBody: { 8 << 20 }) { frame in
                    sum &+= frame.payload.count
                }
            }
            return sum
        }
    },
    Kernel("rpc-call", operations: 1_500) {
        var call = try LoopbackCall()
        let request = Samples.appends(1)[0]
        return { count in
            var sum = 0
            for _ in 0..<count { sum &+= try call.make(request) }
            return sum
        }
    },
    Kernel("rpc-64-calls", operations: 30) {
        var call = try LoopbackCall()
        let requests = Samples.appends(64)
        return { count in
            var sum = 0
            for _ in 0..<count { sum &+= try call.make(requests) }
            return sum
        }
    },
]

/// Both ends of a connection with nothing between them: encode, state machine, frames, decode, and back.
private struct LoopbackCall {
    private var client: ClientConnectionStateMachine
    private var server: ServerConnectionStateMachine
    private var requests = Outbox()
    private var responses = Outbox()
    private var toServer = FrameAccumulator()
    private var toClient = FrameAccumulator()
    private let answer: Answer
    private var now: UInt64 = 0

    /// Takes the answers.
    private final class Answer: RPCPendingCall {
        func finish(response: UnsafeRawBufferPointer) {}
        func receive(message: UnsafeRawBufferPointer) {}
        func finishStream() {}
        func fail(_ error: RPCError) {}
        func connectionLost(_ error: RPCError, processed: Bool) {}
    }

    /// A connection after its handshake.
    init() throws {
        let handshake = ClientHandshake(
            identity: RPCIdentity(role: "chat", id: "chat-1"), prover: nil, expectedID: nil,
            nonce: [UInt8](repeating: 1, count: 32))
        client = ClientConnectionStateMachine(handshake: handshake, maxConcurrentCalls: 1000, maxFrame: 1 << 20)
        server = ServerConnectionStateMachine(
            handshake: ServerHandshake(
                identity: RPCIdentity(role: "relay", id: "relay-1"), prover: nil,
                limits: ServerLimits(maxConcurrentCalls: 1000, maxFrame: 1 << 20),
                nonce: [UInt8](repeating: 2, count: 32)),
            maxConcurrentCalls: 1000, maxFrame: 1 << 20)
        answer = Answer()
        var outgoing = handshake.firstFrame
        while !outgoing.isEmpty {
            var incoming: [UInt8] = []
            try Self.forEachFrame(outgoing) { frame in
                switch try server.receive(frame, now: 0) {
                case .send(let bytes), .ready(_, let bytes): incoming += bytes
                case .none, .refuse, .start, .cancel, .credit: break
                }
            }
            outgoing = []
            try Self.forEachFrame(incoming) { frame in
                if case .send(let bytes) = try client.receive(frame) { outgoing += bytes }
            }
        }
        guard client.isOpen else { throw KernelFailure("a handshake does not end") }
    }

    private static func forEachFrame(_ bytes: [UInt8], _ body: (Frame) throws -> Void) throws {
        try bytes.withUnsafeBytes { bytes in
            var offset = 0
            while let frame = try Frame.parse(UnsafeRawBufferPointer(rebasing: bytes[offset...]), maxBody: 1 << 20) {
                offset += frame.size
                try body(frame)
            }
        }
    }

    /// One call and its answer; gives bytes of the answer.
    mutating func make(_ request: RelayAppendRequest) throws -> Int {
        try send(request)
        try serve()
        return try receive()
    }

    /// Calls that travel together.
    mutating func make(_ requests: [RelayAppendRequest]) throws -> Int {
        for request in requests { try send(request) }
        try serve()
        return try receive()
    }

    private mutating func send(_ request: RelayAppendRequest) throws {
        let payload: [UInt8] = try request.serializedBytes()
        now += 1000
        guard
            case .opened(let id) = client.open(
                answer, requestBytes: payload.count, streaming: false, credit: 0, deadline: now + 5_000_000_000)
        else { throw KernelFailure("a call can't be opened") }
        let header = RequestHeader(method: 7, timeoutMilliseconds: 5000, credit: 0, trace: nil)
        requests.append(header, callID: id, payload: payload)
    }

    /// The server's turn: what came is decoded and answered.
    private mutating func serve() throws {
        guard let sent = requests.take() else { throw KernelFailure("nothing was sent") }
        requests.written(sent.readableBytes)
        let now = now
        var failure: (any Error)?
        try toServer.feed(sent, maxBody: { 1 << 20 }) { frame throws(ProtocolViolation) in
            guard case .start(_, let payload, _) = try server.receive(frame, now: now) else { return }
            do {
                let request = try RelayAppendRequest(serializedBytes: PayloadView(payload))
                var response = RelayAppendResponse()
                response.conversation = request.conversation
                response.seq = frame.callID
                response.sentAtMs = 1_780_000_000_123
                guard server.finish(frame.callID) else { throw KernelFailure("a call is gone") }
                responses.append(.response, callID: frame.callID, payload: try response.serializedBytes())
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// The client's turn.
    private mutating func receive() throws -> Int {
        guard let sent = responses.take() else { throw KernelFailure("nothing was answered") }
        responses.written(sent.readableBytes)
        var sum = 0
        try toClient.feed(sent, maxBody: { 1 << 20 }) { frame throws(ProtocolViolation) in
            guard case .response(let call) = try client.receive(frame) else { return }
            call.finish(response: frame.payload)
            sum &+= frame.payload.count
        }
        return sum
    }
}

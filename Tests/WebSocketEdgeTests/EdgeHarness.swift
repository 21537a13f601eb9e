import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
@testable import WebSocketEdge

/// Records what happens on a socket.
final class RecordingSession: EdgeSession {
    let connection: EdgeConnection
    var messages: [[UInt8]] = []
    var controls = 0
    var writability: [Bool] = []
    var isClosed = false

    init(_ connection: EdgeConnection) { self.connection = connection }

    func received(_ message: UnsafeRawBufferPointer) { messages.append(Array(message)) }
    func receivedControl() { controls += 1 }
    func writabilityChanged(_ isWritable: Bool) { writability.append(isWritable) }
    func closed() { isClosed = true }
}

/// Accepts the ticket `good`, at once.
struct RecordingDelegate: EdgeDelegate {
    let opened: @Sendable (EdgeConnection) -> any EdgeSession

    func authenticate(
        _ request: UpgradeRequest, on loop: any EventLoop,
        completion: @escaping @Sendable (Result<EdgeDelegate.Opener, HTTPProblem>) -> Void
    ) {
        switch request.credential {
        case .ticket("good"), .bearer("good"): completion(.success(opened))
        case .ticket, .bearer: completion(.failure(.unauthorized))
        }
    }

    func respond(to path: String) async -> HTTPResponse? {
        path == "/livez" ? HTTPResponse(status: 200, text: "alive") : nil
    }
}

/// A connection without a socket, its clock in the test's hands.
final class EdgeHarness {
    let eventLoop = EmbeddedEventLoop()
    let loop: EdgeLoop
    let channel: EmbeddedChannel
    let box = NIOLockedValueBox<[RecordingBox]>([])

    struct RecordingBox: @unchecked Sendable { let session: RecordingSession }

    init(_ configuration: EdgeConfiguration = EdgeConfiguration()) throws {
        loop = EdgeLoop(eventLoop, configuration: configuration)
        let box = box
        let delegate = RecordingDelegate { connection in
            let session = RecordingSession(connection)
            box.withLockedValue { $0.append(RecordingBox(session: session)) }
            return session
        }
        channel = EmbeddedChannel(
            handler: EdgeConnection(loop: loop, server: EdgeServerShared(delegate: delegate, limit: 1)), loop: eventLoop
        )
        loop.start()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
    }

    var session: RecordingSession? { box.withLockedValue { $0.first?.session } }

    func receive(_ bytes: [UInt8]) {
        _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
        eventLoop.run()
    }

    /// Everything written so far.
    func sent() -> [UInt8] {
        eventLoop.run()
        var bytes: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { bytes += buffer.readableBytesView }
        return bytes
    }

    /// Upgrades, and forgets the answer.
    func open(protobuf: Bool = false) {
        receive(Self.upgrade(subprotocol: protobuf ? "roost.v1.proto" : "roost.v1.json"))
        _ = sent()
    }

    /// The code of the close frame written last.
    func closeCode() -> UInt16? {
        var rest = sent()[...]
        var code: UInt16?
        while rest.count >= 2 {
            let length = Int(rest[rest.startIndex + 1])
            if rest.first == 0x88, length >= 2 {
                code = UInt16(rest[rest.startIndex + 2]) << 8 | UInt16(rest[rest.startIndex + 3])
            }
            rest = rest.dropFirst(2 + length)
        }
        return code
    }

    static func upgrade(
        path: String = "/chat-service/v1/ws?ticket=good", subprotocol: String? = nil, extra: String = "",
        version: String = "13", method: String = "GET"
    ) -> [UInt8] {
        let named = subprotocol.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
        return Array(
            ("\(method) \(path) HTTP/1.1\r\nHost: roost.test:8080\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: \(version)\r\n\(named)\(extra)\r\n")
                .utf8)
    }

    /// A frame as clients send it.
    static func frame(
        _ opcode: UInt8, _ payload: [UInt8], fin: Bool = true, masked: Bool = true, reserved: UInt8 = 0
    ) -> [UInt8] {
        var bytes = [(fin ? 0x80 : 0) | reserved << 4 | opcode]
        let flag: UInt8 = masked ? 0x80 : 0
        switch payload.count {
        case ...125: bytes.append(flag | UInt8(payload.count))
        case ...0xFFFF: bytes += [flag | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [flag | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
        guard masked else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    static func text(_ text: String, fin: Bool = true) -> [UInt8] { frame(1, Array(text.utf8), fin: fin) }
}

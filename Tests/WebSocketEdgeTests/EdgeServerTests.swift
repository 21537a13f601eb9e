import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import WebSocketEdge

/// A TCP client that keeps everything it got.
final class RawPeer: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let state = NIOLockedValueBox((bytes: [UInt8](), isClosed: false))

    var bytes: [UInt8] { state.withLockedValue(\.bytes) }
    var isClosed: Bool { state.withLockedValue(\.isClosed) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        state.withLockedValue { $0.bytes += buffer.readableBytesView }
    }
    func channelInactive(context: ChannelHandlerContext) { state.withLockedValue { $0.isClosed = true } }

    static func connect(_ address: String) async throws -> (RawPeer, any Channel) {
        let peer = RawPeer()
        let parts = address.split(separator: ":")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(peer) }
            }
            .connect(host: String(parts[0]), port: Int(parts[1])!).get()
        return (peer, channel)
    }

    /// Until the condition holds, or the test's time is over.
    func wait(_ condition: (RawPeer) -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while !condition(self), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        try #require(condition(self), "got \(bytes.count) bytes: \(bytes.suffix(20))", sourceLocation: sourceLocation)
    }
}

/// Sends every message back.
private final class EchoSession: EdgeSession {
    let connection: EdgeConnection
    init(_ connection: EdgeConnection) { self.connection = connection }
    func received(_ message: UnsafeRawBufferPointer) {
        connection.write(ServerFrames.frame(connection.subprotocol == .json ? .text : .binary, Array(message)))
    }
    func receivedControl() {}
    func writabilityChanged(_ isWritable: Bool) {}
    func closed() {}
}

@Suite(.timeLimit(.minutes(1))) struct EdgeServerTests {
    private func withServer(
        _ configuration: EdgeConfiguration = EdgeConfiguration(), _ body: (EdgeServer, String) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let server = try await EdgeServer(
            configuration: configuration, delegate: RecordingDelegate { EchoSession($0) }, eventLoopGroup: group,
            logger: Logger(label: "test"))
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await server.run() }
            try await body(server, try await server.boundAddress())
            tasks.cancelAll()
            try await tasks.waitForAll()
        }
        try await group.shutdownGracefully()
    }

    @Test func echoesOverASocketAndSaysGoodbye() async throws {
        let kept = NIOLockedValueBox<RawPeer?>(nil)
        try await withServer { server, address in
            let (peer, channel) = try await RawPeer.connect(address)
            // The first frame comes with the request.
            try await channel.writeAndFlush(ByteBuffer(bytes: EdgeHarness.upgrade() + EdgeHarness.text("hello")))
            try await peer.wait { $0.bytes.suffix(7) == [0x81, 5] + Array("hello".utf8) }
            let big = String(repeating: "z", count: 60_000)
            try await channel.writeAndFlush(ByteBuffer(bytes: EdgeHarness.text(big)))
            try await peer.wait { $0.bytes.count > 60_000 && $0.bytes.suffix(60_000) == Array(big.utf8)[...] }
            #expect(await server.metrics().open == 1)
            kept.withLockedValue { $0 = peer }
        }
        let peer = try #require(kept.withLockedValue { $0 })
        try await peer.wait { Array($0.bytes.suffix(12)) == [0x88, 10, 0x03, 0xE9] + Array("shutdown".utf8) }
    }

    @Test func plainRequestsAreAnsweredAndClosed() async throws {
        try await withServer { _, address in
            for (path, status) in [("/livez", "200 OK"), ("/nothing", "404 Not Found")] {
                let (peer, channel) = try await RawPeer.connect(address)
                try await channel.writeAndFlush(ByteBuffer(string: "GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n"))
                try await peer.wait(\.isClosed)
                #expect(String(decoding: peer.bytes, as: UTF8.self).hasPrefix("HTTP/1.1 \(status)\r\n"))
            }
        }
    }

    @Test func manyConnectionsCloseOnRequest() async throws {
        try await withServer { server, address in
            var peers: [RawPeer] = []
            for _ in 0..<300 {
                let (peer, channel) = try await RawPeer.connect(address)
                channel.writeAndFlush(ByteBuffer(bytes: EdgeHarness.upgrade()), promise: nil)
                peers.append(peer)
            }
            for peer in peers { try await peer.wait { !$0.bytes.isEmpty } }
            await server.closeAll(.drained, "bye", patience: .zero)
            for peer in peers {
                try await peer.wait { $0.bytes.suffix(7) == [0x88, 5, 0x03, 0xF4] + Array("bye".utf8) }
            }
        }
    }
}

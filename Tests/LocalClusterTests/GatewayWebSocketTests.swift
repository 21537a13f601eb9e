import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import LocalCluster

/// What an open WebSocket costs the gateway, and that all passes its small buffers whole.
@Suite(.serialized, .timeLimit(.minutes(2))) struct GatewayWebSocketTests {
    /// Runs a gateway that leads every WebSocket to a node that sends back what it gets.
    private func withEcho(_ body: @escaping @Sendable (StagedGateway) async throws -> Void) async throws {
        try await EchoNode.with { node in
            try await withGateway(
                routes: { _ in .init(status: 204, headers: [("X-Upstream", node)]) }, body)
        }
    }

    @Test func anIdleOneHoldsLittleMemory() async throws {
        try await withEcho { gateway in
            let (first, more) = (240, 80)
            var clients: [RawClient] = []
            func open(_ count: Int) async throws -> Int {
                for _ in 0..<count { clients.append(try await RawClient.open(gateway.address)) }
                // Both directions have had something to carry.
                for client in clients.suffix(count) { client.send(Array("hello".utf8)) }
                for client in clients.suffix(count) { try await client.wait { $0 == Array("hello".utf8) } }
                return try gateway.memory()
            }
            // The first ones live in what reading the configuration has left.
            let before = try await open(first)
            let each = Double(try await open(more) - before) / Double(more)
            #expect(each > 1 && each < 25, "\(each) KiB a WebSocket")
            for client in clients { client.close() }
        }
    }

    @Test func largeFramesPassWhole() async throws {
        try await withEcho { gateway in
            let client = try await RawClient.open(gateway.address)
            let sent = (0..<(1 << 18)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            client.send(sent)
            try await client.wait { $0.count >= sent.count }
            #expect(client.bytes == sent)
            client.close()
        }
    }

    @Test func largeHeadersAndAnswersPassWhole() async throws {
        let refusal = String(repeating: "no ", count: 20_000)
        try await withGateway(answer: .init(status: 401, headers: [("X-Why", "ticket")], body: refusal)) { gateway in
            let cookie = String(repeating: "c", count: 12 << 10)
            let ticket = String(repeating: "t", count: 12 << 10)
            let answer = try await gateway.get(
                "/chat-service/v1/ws?ticket=\(ticket)", headers: [("Upgrade", "websocket"), ("Cookie", cookie)])
            #expect(answer.status == 401)
            #expect(answer.headers["X-Why"] == ["ticket"])
            #expect(answer.body == refusal)
            let got = try #require(gateway.one.requests.last)
            #expect(got.uri == "/chat-service/v1/ws?ticket=\(ticket)")
            #expect(got.header("Cookie") == cookie)
        }
    }

    @Test func whatDiscoverySaysMayBeLong() async throws {
        try await EchoNode.with { node in
            let route = StubServer.Response(
                status: 204, headers: [("X-Node", String(repeating: "n", count: 600)), ("X-Upstream", node)])
            try await withGateway(routes: { _ in route }) { gateway in
                try await RawClient.open(gateway.address).close()
            }
        }
    }
}

extension StagedGateway {
    /// KiB of memory that nginx's workers have for themselves.
    fileprivate func memory() throws -> Int {
        let main = try readFile("\(directory)/nginx.pid").trimmingCharacters(in: .whitespacesAndNewlines)
        let workers = try readFile("/proc/\(main)/task/\(main)/children").split(separator: " ")
        return try workers.reduce(0) { sum, worker in
            let lines = try readFile("/proc/\(worker)/smaps_rollup").split(separator: "\n")
            let line = try #require(lines.first { $0.hasPrefix("Anonymous:") })
            return sum + (try #require(Int(line.filter(\.isNumber))))
        }
    }
}

/// Stands for a chat node: accepts every WebSocket and sends back the bytes that follow.
private enum EchoNode {
    static func with(_ body: (_ address: String) async throws -> Void) async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Handler()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body("127.0.0.1:\(channel.localAddress?.port ?? 0)")
            try await channel.close()
        } catch {
            try? await channel.close()
            throw error
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        /// Of the request; nil once it was answered.
        private var head: [UInt8]? = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            guard var head else { return context.writeAndFlush(wrapOutboundOut(buffer), promise: nil) }
            head += buffer.readableBytesView
            self.head = head
            guard head.suffix(4) == Array("\r\n\r\n".utf8)[...] else { return }
            self.head = nil
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}

/// A TCP client that has asked for a WebSocket; `bytes` are those after the answer's head.
private final class RawClient: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private let all = Watched<[UInt8]>([])
    private let channel = NIOLockedValueBox<(any Channel)?>(nil)

    var bytes: [UInt8] { Self.body(all.read { $0 }) }

    private static func body(_ all: [UInt8]) -> [UInt8] {
        guard let end = all.firstRange(of: Array("\r\n\r\n".utf8)) else { return [] }
        return Array(all[end.upperBound...])
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let buffer = unwrapInboundIn(data)
        all.update { $0 += buffer.readableBytesView }
    }

    static func open(_ address: String) async throws -> RawClient {
        let client = RawClient()
        let parts = address.split(separator: ":")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(client) }
            }
            .connect(host: String(parts[0]), port: Int(parts[1])!).get()
        client.channel.withLockedValue { $0 = channel }
        client.send(
            Array(
                """
                GET /chat-service/v1/ws?ticket=t HTTP/1.1\r\nHost: \(address)\r\nUpgrade: websocket\r\nConnection: Upgrade\r
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n
                """.utf8))
        let opened = Array("HTTP/1.1 101 ".utf8)
        try await client.expect { $0.starts(with: opened) && $0.firstRange(of: Array("\r\n\r\n".utf8)) != nil }
        return client
    }

    func send(_ bytes: [UInt8]) {
        let channel = channel.withLockedValue { $0 }
        channel?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    func wait(_ condition: @escaping @Sendable ([UInt8]) -> Bool) async throws {
        try await expect { condition(Self.body($0)) }
    }

    func close() {
        channel.withLockedValue { $0 }?.close(promise: nil)
    }

    private func expect(_ condition: @escaping @Sendable ([UInt8]) -> Bool) async throws {
        let holds = await all.wait(for: .seconds(20), until: condition)
        try #require(holds, "got \(all.read { String(decoding: $0.prefix(200), as: UTF8.self) })")
    }
}

package import NIOCore
import NIOHTTP1
import NIOPosix
package import NIOWebSocket

/// Why a WebSocket could not be opened.
package enum WebSocketFailure: Error, Equatable {
    /// The server answered the upgrade with something else.
    case refused(status: Int)
    case badURL(String)
    case closedWhileOpening
}

/// A client's WebSocket: messages in and out on one event loop, without tasks.
package final class WebSocketConnection: Sendable {
    package enum Incoming: Sendable {
        case text(ByteBuffer)
        case binary(ByteBuffer)
        /// The last one. 1006 where the connection broke without a close frame (RFC 6455, 7.1.5).
        case closed(code: Int)
    }

    package let channel: any Channel

    private init(channel: any Channel) { self.channel = channel }

    /// Opens a connection.
    /// - Parameters:
    ///   - url: `ws://host:port/path?query`.
    ///   - receive: called on the connection's loop, the last time with `closed`.
    package static func open(
        url: String, subprotocol: String? = "roost.v1.json", headers: [(String, String)] = [],
        on loop: any EventLoop, receive: @escaping @Sendable (Incoming) -> Void
    ) async throws -> WebSocketConnection {
        let target = try Target(url)
        let opened = loop.makePromise(of: WebSocketConnection.self)
        let bootstrap = ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try addHandlers(
                        to: channel, target: target, subprotocol: subprotocol, headers: headers, opened: opened,
                        receive: receive)
                }
            }
        do {
            _ = try await bootstrap.connect(host: target.host, port: target.port).get()
        } catch {
            opened.fail(error)
        }
        return try await opened.futureResult.get()
    }

    private static func addHandlers(
        to channel: any Channel, target: Target, subprotocol: String?, headers: [(String, String)],
        opened: EventLoopPromise<WebSocketConnection>, receive: @escaping @Sendable (Incoming) -> Void
    ) throws {
        let upgrader = NIOWebSocketClientUpgrader(maxFrameSize: 1 << 20) { channel, _ in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(FrameHandler(receive: receive))
                opened.succeed(WebSocketConnection(channel: channel))
            }
        }
        let request = UpgradeRequest(target: target, subprotocol: subprotocol, headers: headers, opened: opened)
        try channel.pipeline.syncOperations.addHTTPClientHandlers(
            withClientUpgrade: (
                upgraders: [upgrader],
                completionHandler: { context in context.pipeline.removeHandler(name: UpgradeRequest.name, promise: nil)
                }
            ))
        try channel.pipeline.syncOperations.addHandler(request, name: UpgradeRequest.name)
    }

    package func send(text: String) { send(.text, ByteBuffer(string: text)) }
    package func send(binary: ByteBuffer) { send(.binary, binary) }

    /// Sends a frame as it is given, well-formed or not.
    package func send(_ opcode: WebSocketOpcode, _ data: ByteBuffer, final: Bool = true) {
        let frame = WebSocketFrame(fin: final, opcode: opcode, maskKey: .random(), data: data)
        channel.writeAndFlush(frame, promise: nil)
    }

    /// Starts the closing handshake; the server's answer ends the connection.
    package func close(code: UInt16 = 1000) {
        var data = ByteBuffer()
        data.writeInteger(code)
        send(.connectionClose, data)
    }

    /// Cuts the connection without a word.
    package func cut() { channel.close(promise: nil) }

    struct Target {
        var host: String
        var port: Int
        var path: String

        /// Takes `ws://host:port/path?query` apart; anything else is refused.
        init(_ url: String) throws(WebSocketFailure) {
            guard url.hasPrefix("ws://") else { throw .badURL(url) }
            let rest = url.dropFirst(5)
            let slash = rest.firstIndex(of: "/") ?? rest.endIndex
            let authority = rest[..<slash]
            guard let colon = authority.lastIndex(of: ":"), let port = Int(authority[authority.index(after: colon)...])
            else {
                (host, port, path) = (String(authority), 80, String(rest[slash...]))
                return
            }
            (host, self.port, path) = (String(authority[..<colon]), port, String(rest[slash...]))
        }
    }
}

/// Sends the upgrade request, and reports an answer that is no upgrade.
private final class UpgradeRequest: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart
    static let name = "upgrade request"

    let target: WebSocketConnection.Target
    let subprotocol: String?
    let headers: [(String, String)]
    let opened: EventLoopPromise<WebSocketConnection>

    init(
        target: WebSocketConnection.Target, subprotocol: String?, headers: [(String, String)],
        opened: EventLoopPromise<WebSocketConnection>
    ) {
        (self.target, self.subprotocol, self.headers, self.opened) = (target, subprotocol, headers, opened)
    }

    func channelActive(context: ChannelHandlerContext) {
        var fields = HTTPHeaders([("host", "\(target.host):\(target.port)"), ("content-length", "0")])
        if let subprotocol { fields.add(name: "sec-websocket-protocol", value: subprotocol) }
        for (name, value) in headers { fields.add(name: name, value: value) }
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: target.path, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data) else { return }
        opened.fail(WebSocketFailure.refused(status: Int(head.status.code)))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        opened.fail(WebSocketFailure.closedWhileOpening)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        opened.fail(error)
        context.close(promise: nil)
    }
}

/// Answers pings and closes, and hands messages over.
private final class FrameHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let receive: @Sendable (WebSocketConnection.Incoming) -> Void
    private var closeCode = 1006

    init(receive: @escaping @Sendable (WebSocketConnection.Incoming) -> Void) { self.receive = receive }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        // A server's frames are never fragmented here: none is larger than 64 KiB.
        switch frame.opcode {
        case .text: receive(.text(frame.unmaskedData))
        case .binary: receive(.binary(frame.unmaskedData))
        case .ping:
            let pong = WebSocketFrame(fin: true, opcode: .pong, maskKey: .random(), data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(pong), promise: nil)
        case .connectionClose:
            var data = frame.unmaskedData
            closeCode = Int(data.readInteger(as: UInt16.self) ?? 1005)
            let answer = WebSocketFrame(
                fin: true, opcode: .connectionClose, maskKey: .random(), data: frame.unmaskedData)
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
            context.close(promise: nil)
        default: break
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        receive(.closed(code: closeCode))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// A small HTTP server for what stands behind the gateway, answering as a test wants.
final class StubServer: Sendable {
    struct Request: Sendable {
        var method: String
        var uri: String
        var headers: [(String, String)]
        var body: String

        func header(_ name: String) -> String? {
            headers.first { $0.0.lowercased() == name.lowercased() }?.1
        }
    }

    struct Response: Sendable {
        var status = 200
        var headers: [(String, String)] = []
        var body = ""
        /// Close the connection without an answer.
        var hangsUp = false
    }

    let address: String
    private let log = NIOLockedValueBox<[Request]>([])

    var requests: [Request] { log.withLockedValue { $0 } }

    private init(address: String) {
        self.address = address
    }

    static func with<R: Sendable>(
        answering answer: @escaping @Sendable (Request) -> Response, _ body: (StubServer) async throws -> R
    ) async throws -> R {
        let holder = NIOLockedValueBox<StubServer?>(nil)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Handler { request in
                            let server = holder.withLockedValue { $0 }
                            server?.log.withLockedValue { $0.append(request) }
                            return answer(request)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let server = StubServer(address: "127.0.0.1:\(channel.localAddress?.port ?? 0)")
        holder.withLockedValue { $0 = server }
        do {
            let result = try await body(server)
            try await channel.close()
            return result
        } catch {
            try? await channel.close()
            throw error
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let answer: (Request) -> Response
        private var request: Request?

        init(answer: @escaping (Request) -> Response) {
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                request = Request(
                    method: head.method.rawValue, uri: head.uri, headers: head.headers.map { ($0.name, $0.value) },
                    body: "")
            case .body(let buffer):
                request?.body += String(buffer: buffer)
            case .end:
                guard let request else { return }
                let response = answer(request)
                if response.hangsUp { return context.close(promise: nil) }
                var headers = HTTPHeaders(response.headers)
                headers.replaceOrAdd(name: "Content-Length", value: "\(response.body.utf8.count)")
                let head = HTTPResponseHead(
                    version: .http1_1, status: .init(statusCode: response.status), headers: headers)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: response.body)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}

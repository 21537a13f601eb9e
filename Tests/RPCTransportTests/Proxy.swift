import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Passes bytes on between its clients and a server, until it is told to freeze: then it takes none and passes none,
/// and keeps its connections open, as a stopped process would.
final class Proxy: Sendable {
    private let listener: any Channel
    private let channels: NIOLockedValueBox<[any Channel]>

    private init(_ listener: any Channel, _ channels: NIOLockedValueBox<[any Channel]>) {
        self.listener = listener
        self.channels = channels
    }

    static func start(to address: String) async throws -> Proxy {
        let port = Int(address.split(separator: ":")[1]) ?? 0
        let channels = NIOLockedValueBox<[any Channel]>([])
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { inbound in
                ClientBootstrap(group: inbound.eventLoop).connect(host: "127.0.0.1", port: port).flatMap { outbound in
                    channels.withLockedValue { $0 += [inbound, outbound] }
                    return inbound.pipeline.addHandler(Pipe(outbound)).and(outbound.pipeline.addHandler(Pipe(inbound)))
                        .map { _ in }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Proxy(listener, channels)
    }

    var address: String { "127.0.0.1:\(listener.localAddress?.port ?? 0)" }

    func freeze() {
        for channel in channels.withLockedValue({ $0 }) {
            channel.setOption(.autoRead, value: false).whenComplete { _ in }
        }
    }

    func stop() {
        listener.close(promise: nil)
        for channel in channels.withLockedValue({ $0 }) { channel.close(promise: nil) }
    }

    private final class Pipe: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let other: any Channel

        init(_ other: any Channel) { self.other = other }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            other.writeAndFlush(unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            other.close(promise: nil)
        }
    }
}

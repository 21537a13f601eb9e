import NIOCore
import RPC

/// Feeds a connection with what its channel receives.
final class ServerConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: ServerConnection
    private var accumulator = FrameAccumulator()

    init(_ connection: ServerConnection) {
        self.connection = connection
    }

    func channelActive(context: ChannelHandlerContext) {
        connection.opened()
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let now = connection.readBegins()
        do throws(ProtocolViolation) {
            try accumulator.feed(unwrapInboundIn(data), maxBody: { connection.maxBody }) {
                frame throws(ProtocolViolation) in try connection.receive(frame, now: now)
            }
        } catch {
            connection.reject(error.reason)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.readComplete()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.reject("\(error)")
    }
}

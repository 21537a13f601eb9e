import HummingbirdCore
import Logging
import NIOCore
import RPCTransport

/// HTTP/1.1 of which each connection is served on its event loop: what a request awaits of its socket, or of another role
/// on the same loop, costs no change of threads. Handlers must not take long without awaiting something.
struct LoopHTTPChannel: ServerChildChannel {
    private let base: HTTP1Channel

    init(_ base: HTTP1Channel) { self.base = base }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        base.setup(channel: channel, logger: logger)
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await withTaskExecutorPreference(EventLoopTaskExecutor(value.channel.eventLoop)) {
            await base.handle(value: value, logger: logger)
        }
    }
}

package import Logging
package import NIOCore
import RPC

/// Serves calls on a TCP port.
package final class RPCServer: Sendable {
    package init(
        configuration: RPCServerConfiguration, services: [any RPCService], eventLoopGroup: any EventLoopGroup,
        logger: Logger
    ) {
        fatalError("unfinished")
    }

    /// Serves until the task is cancelled, then tells clients to go away and lets open calls finish, up to the drain
    /// time-out. Throws when the port can't be bound.
    package func run() async throws {
        fatalError("unfinished")
    }

    /// The address it is bound to, `host:port`; waits until it is. Throws when binding failed.
    package func boundAddress() async throws -> String {
        fatalError("unfinished")
    }

    /// Starts the end: no new calls, the open ones finish, then `run` returns.
    package func shutdown() {
        fatalError("unfinished")
    }
}

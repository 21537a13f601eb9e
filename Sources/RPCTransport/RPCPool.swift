package import Logging
package import NIOCore
package import RPC

/// The connections to all peers of one role, and the choice among them.
package final class RPCPool: RPCCaller {
    package let role: String

    package init(
        role: String, configuration: RPCPoolConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.role = role
    }

    /// Until cancelled; then closes every connection.
    package func run() async {
        fatalError("unfinished")
    }

    /// Tells who serves the role now.
    package func update(_ peers: [RPCPeer]) {
        fatalError("unfinished")
    }

    /// Who serves the role, as last told.
    package var peers: [RPCPeer] { fatalError("unfinished") }

    /// Calls to one peer alone; `nil` when it isn't known. Its calls fail with `unavailable` once it is gone.
    package func caller(to id: String) -> (any RPCCaller)? {
        fatalError("unfinished")
    }

    /// The peer that calls with this key go to, whether it can be reached or not.
    package func peer(forKey key: UInt64) -> RPCPeer? {
        fatalError("unfinished")
    }

    package func start(_ call: RPCCall) {
        fatalError("unfinished")
    }
}

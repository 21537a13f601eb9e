/// Where the client stands with ZooKeeper.
package enum ZooKeeperState: Sendable, Hashable {
    /// A session is being opened.
    case connecting
    /// There is a session and a connection.
    case connected
    /// The connection was lost; the session lives on if it is back in time. Nobody tells a client that is cut off that
    /// its session has expired: `ZooKeeperClient.isPresumedExpired` estimates it by the local clock.
    case suspended
    /// The session is gone, and its ephemeral nodes with it. A new one is being opened.
    case expired
    /// The client has ended.
    case closed
}

/// A session's name and secret; whoever has both can take part in it.
package struct ZooKeeperSession: Sendable, Equatable {
    package var id: Int64
    package var password: [UInt8]

    package init(id: Int64, password: [UInt8]) {
        self.id = id
        self.password = password
    }
}

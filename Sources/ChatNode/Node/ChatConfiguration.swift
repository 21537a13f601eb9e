package import NIOCore
package import RPCTransport
package import ServiceKit
package import WebSocketEdge

/// How a chat node behaves; the defaults are the contract's.
package struct ChatConfiguration: Sendable {
    package var nodeID: String
    package var edge = EdgeConfiguration()
    /// nil: no limits.
    package var limits: ChatLimits? = .init()
    package var roster = RosterStateMachine.Configuration()
    /// From the upgrade to the `hello`.
    package var helloTimeout: TimeAmount = .seconds(10)
    /// From the `hello` to the log's first answer.
    package var welcomeTimeout: TimeAmount = .seconds(15)
    /// For how long what clients acknowledge is gathered, at least and at most. In between it is so much longer for each
    /// acknowledgement that was passed on the last time: a busy node tells relays, the database and the others of a
    /// conversation less often, a quiet one at once.
    package var acknowledgementDelay: TimeAmount = .milliseconds(75)
    package var acknowledgementDelayEach: TimeAmount = .milliseconds(2)
    package var longestAcknowledgementDelay: TimeAmount = .milliseconds(750)
    /// For how long connections that come and go are gathered before relays are told.
    package var rosterDelay: TimeAmount = .milliseconds(5)
    /// Connections that read the log again at once, every 20 ms, when relays changed.
    package var rereadsPerStep = 50
    /// At shutdown clients are told to come back after up to this long.
    package var reconnectSpread: TimeAmount = .seconds(2)

    package init(nodeID: String) { self.nodeID = nodeID }

    /// For how long acknowledgements are gathered after so many were passed on together.
    func acknowledgementDelay(after count: Int) -> TimeAmount {
        min(
            max(acknowledgementDelay, longestAcknowledgementDelay),
            acknowledgementDelay + acknowledgementDelayEach * count)
    }
}

/// What the node lets clients do, and no more.
package struct ChatLimits: Sendable {
    /// Of one connection.
    package var connection = RateLimiter.Configuration()
    /// Of all connections that a user has to this node.
    package var user = RateLimiter.Configuration()
    /// Frames refused within ten seconds after which a connection is closed as flooding.
    package var refusals: UInt16 = 300
    /// Connections of one user to this node.
    package var connectionsPerUser = 50
    /// Typing signals of a connection in a second; more are passed over.
    package var typingPerSecond = 5

    package init() {}

    package init(_ limits: SocketLimits) {
        connection = RateLimiter.Configuration(frames: limits.connectionFrames, bytes: limits.connectionBytes)
        user = RateLimiter.Configuration(frames: limits.userFrames, bytes: limits.userBytes)
        connectionsPerUser = limits.connections
        typingPerSecond = limits.typing
    }
}

extension RateLimiter.Configuration {
    fileprivate init(frames: SocketLimits.Rule, bytes: SocketLimits.Rule) {
        unitsPerSecond = Int64(frames.rate) * 10
        unitBurst = Int64(frames.burst) * 10
        bytesPerSecond = Int64(bytes.rate)
        byteBurst = Int64(bytes.burst)
    }
}

/// The services that a node calls.
package struct ChatBackend: Sendable {
    package var users: any RPCCaller
    /// The rules of direct conversations, and of groups.
    package var messages: any RPCCaller
    package var groupMessages: any RPCCaller
    package var sessions: any RPCCaller
    package var lastSeen: any RPCCaller
    /// Any relay, or the one for a key.
    package var relay: any RPCCaller
    /// The relays that there are.
    package var relays: @Sendable () -> Set<String>
    package var relayNamed: @Sendable (String) -> (any RPCCaller)?
    /// The relay that a conversation's calls go to.
    package var relayForKey: @Sendable (UInt64) -> String?

    package init(
        users: any RPCCaller, messages: any RPCCaller, groupMessages: any RPCCaller, sessions: any RPCCaller,
        lastSeen: any RPCCaller, relay: any RPCCaller, relays: @escaping @Sendable () -> Set<String>,
        relayNamed: @escaping @Sendable (String) -> (any RPCCaller)?,
        relayForKey: @escaping @Sendable (UInt64) -> String?
    ) {
        self.users = users
        self.messages = messages
        self.groupMessages = groupMessages
        self.sessions = sessions
        self.lastSeen = lastSeen
        self.relay = relay
        self.relays = relays
        self.relayNamed = relayNamed
        self.relayForKey = relayForKey
    }
}

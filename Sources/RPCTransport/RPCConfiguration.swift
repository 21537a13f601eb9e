import NIOCore
package import NIOSSL
package import RPC

/// How the ends of a connection prove themselves.
package struct RPCSecurity: Sendable {
    /// Both sides prove by HMAC-SHA256 that they hold this key. `nil`: only with mutual TLS.
    package var sharedKey: [UInt8]?
    /// TLS for outgoing connections.
    package var clientTLS: TLSConfiguration?
    /// TLS for incoming connections; for mutual TLS it must verify certificates.
    package var serverTLS: TLSConfiguration?

    package init(sharedKey: [UInt8]?, clientTLS: TLSConfiguration? = nil, serverTLS: TLSConfiguration? = nil) {
        self.sharedKey = sharedKey
        self.clientTLS = clientTLS
        self.serverTLS = serverTLS
    }

    /// A key shared by all processes of the cluster, no TLS.
    package static func sharedKey(_ key: String) -> RPCSecurity {
        RPCSecurity(sharedKey: Array(key.utf8))
    }
}

/// How connections behave; the same for both ends unless said otherwise.
package struct RPCConnectionConfiguration: Sendable {
    /// The longest frame body that is accepted or sent, in bytes.
    package var maxFrame: Int = 8 << 20
    /// Calls open at once on one connection. The server states its own limit in the handshake.
    package var maxConcurrentCalls: Int = 16_384
    /// Bytes that may wait to be written. A client fails calls beyond it; a server stops reading, streams wait.
    package var maxOutbound: Int = 32 << 20
    /// After this long without a sign of life the peer is pinged.
    package var pingInterval: Duration = .seconds(1)
    /// After this long without an answer to a ping the connection is closed.
    package var pingTimeout: Duration = .seconds(3)
    /// How long a handshake may take.
    package var handshakeTimeout: Duration = .seconds(5)
    /// How long a TCP connection may take to open.
    package var connectTimeout: Duration = .seconds(1)

    package init() {}
}

/// What a server needs.
package struct RPCServerConfiguration: Sendable {
    /// The address to bind.
    package var host: String
    /// The port to bind; 0: a free one.
    package var port: Int
    /// Who this process is.
    package var identity: RPCIdentity
    package var security: RPCSecurity
    package var connection = RPCConnectionConfiguration()
    /// How long open calls may take after a shutdown began.
    package var drainTimeout: Duration = .seconds(5)

    package init(host: String = "127.0.0.1", port: Int = 0, identity: RPCIdentity, security: RPCSecurity) {
        self.host = host
        self.port = port
        self.identity = identity
        self.security = security
    }
}

/// What a pool needs.
package struct RPCPoolConfiguration: Sendable {
    /// Who this process is.
    package var identity: RPCIdentity
    package var security: RPCSecurity
    package var connection = RPCConnectionConfiguration()
    /// Connections to each peer.
    package var connectionsPerPeer = 1
    /// How long a call waits for a peer when none can be reached.
    package var peerWait: Duration = .seconds(2)
    /// Calls that may wait for a peer.
    package var maxWaiting = 10_000
    /// The first pause before connecting again; it doubles up to `maxBackoff`, each with jitter.
    package var minBackoff: Duration = .milliseconds(50)
    package var maxBackoff: Duration = .seconds(2)
    /// Whether a server must state the id that the membership gave it.
    package var verifyPeerID = true

    package init(identity: RPCIdentity, security: RPCSecurity) {
        self.identity = identity
        self.security = security
    }
}

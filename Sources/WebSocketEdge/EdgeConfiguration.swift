package import NIOCore

/// How the edge behaves; the defaults are the contract's.
package struct EdgeConfiguration: Sendable {
    package var host = "127.0.0.1"
    /// 0: any free one.
    package var port = 0
    /// Where the WebSocket is.
    package var path = "/chat-service/v1/ws"
    /// Origins that may connect besides the host itself; `*` allows any.
    package var origins: Set<String> = []
    /// Most bytes of a request's head.
    package var headBytes = 8 * 1024
    /// From the connection's start to the whole request, and from the close frame to the peer's answer.
    package var requestTimeout: TimeAmount = .seconds(10)
    package var closeTimeout: TimeAmount = .seconds(5)
    /// Most bytes of a message.
    package var messageBytes = 64 * 1024
    /// Between pings; a peer that leaves two unanswered is given up.
    package var heartbeat: TimeAmount = .seconds(25)
    /// The clock's resolution.
    package var tick: TimeAmount = .seconds(1)
    /// Bytes waiting to be sent above which a connection counts as slow, and below which it no longer does.
    package var highWatermark = 256 * 1024
    package var lowWatermark = 64 * 1024
    /// How long a frame that can wait does so at most.
    package var unhurried: TimeAmount = .milliseconds(5)
    /// How long a slow peer may take none of what waits for it before the connection is cut.
    package var stallTimeout: TimeAmount = .seconds(60)
    /// Connections accepted in one turn of the loop.
    package var acceptsPerTick: UInt = 64
    /// Plain requests being answered at one time.
    package var plainRequests = 64
    /// Connections closed at once, every 10 ms, when all are closed.
    package var closesPerStep = 200

    package init() {}
}

/// What the edge counts, one of these a loop; sum them for a process.
package struct EdgeMetrics: Sendable, Equatable {
    /// TCP connections.
    package var accepted: UInt64 = 0
    package var open: Int = 0
    /// Upgrades done and refused.
    package var upgraded: UInt64 = 0
    package var refused: UInt64 = 0
    /// Whole messages received, bytes received of all kinds, frames written and their bytes.
    package var messagesIn: UInt64 = 0
    package var bytesIn: UInt64 = 0
    package var framesOut: UInt64 = 0
    package var bytesOut: UInt64 = 0
    /// Peers that broke the protocol, that left pings unanswered, that took nothing of what waited for them.
    package var violations: UInt64 = 0
    package var heartbeatsMissed: UInt64 = 0
    package var stalled: UInt64 = 0

    package init() {}

    package static func + (left: EdgeMetrics, right: EdgeMetrics) -> EdgeMetrics {
        var sum = left
        sum.accepted += right.accepted
        sum.open += right.open
        sum.upgraded += right.upgraded
        sum.refused += right.refused
        sum.messagesIn += right.messagesIn
        sum.bytesIn += right.bytesIn
        sum.framesOut += right.framesOut
        sum.bytesOut += right.bytesOut
        sum.violations += right.violations
        sum.heartbeatsMissed += right.heartbeatsMissed
        sum.stalled += right.stalled
        return sum
    }
}

/// What happens on one WebSocket. All calls are on the connection's loop.
package protocol EdgeSession: AnyObject {
    /// A whole message; the bytes are only valid during the call.
    func received(_ message: UnsafeRawBufferPointer)
    /// A control frame: nothing to do but to count it against the peer.
    func receivedControl()
    /// The connection became slow (false), or is no longer (true). Writing to a slow one only makes it slower.
    func writabilityChanged(_ isWritable: Bool)
    /// The connection is gone: the last call.
    func closed()
}

/// Who uses the edge.
package protocol EdgeDelegate: Sendable {
    /// Makes the session of a connection that was accepted; called on its loop when frames may be written.
    typealias Opener = @Sendable (EdgeConnection) -> any EdgeSession

    /// Decides on a request for a WebSocket. Called on `loop`; `completion` must be called once, on `loop`.
    func authenticate(
        _ request: UpgradeRequest, on loop: any EventLoop,
        completion: @escaping @Sendable (Result<Opener, HTTPProblem>) -> Void)

    /// Answers a plain GET of a path; nil: not found.
    func respond(to path: String) async -> HTTPResponse?
}

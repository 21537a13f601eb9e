package import NIOCore
package import RPC

/// What a handler knows of the call that it serves.
package struct RPCContext: Sendable {
    /// Who calls, as the handshake proved it.
    package let peer: RPCIdentity
    /// The call's id on its connection.
    package let callID: UInt64
    /// `roost.relay.v1.Relay/Append`.
    package let method: String
    /// When the caller gives up; `nil`: never.
    package let deadline: NIODeadline?
    /// The caller's trace context (`traceparent`).
    package let trace: String?
    /// The event loop of the connection, on which handlers run while they are on no actor.
    package let eventLoop: any EventLoop

    package init(
        peer: RPCIdentity, callID: UInt64, method: String, deadline: NIODeadline?, trace: String?,
        eventLoop: any EventLoop
    ) {
        self.peer = peer
        self.callID = callID
        self.method = method
        self.deadline = deadline
        self.trace = trace
        self.eventLoop = eventLoop
    }

    /// What is left of the caller's time; `nil`: no bound.
    package var remaining: Duration? {
        deadline.map { .nanoseconds(max(0, ($0 - .now()).nanoseconds)) }
    }

    /// Options for a call made on behalf of this one: its remaining time, at most `timeout`, and its trace.
    package func options(timeout: Duration = .seconds(5), key: UInt64? = nil) -> CallOptions {
        CallOptions(timeout: min(remaining ?? timeout, timeout), key: key, trace: trace)
    }
}

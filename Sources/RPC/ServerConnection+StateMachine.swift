/// One connection from the server's side: its calls, their deadlines and credit, and how it ends. No I/O: it is told
/// what happened and says what to do. Times are nanoseconds of one monotonic clock.
///
///     handshaking --PROOF--> serving --shutdown--> draining --last call ends--> closed
///     any --connection lost, violation, close--> closed
package struct ServerConnectionStateMachine {
    private enum Phase {
        case handshaking(ServerHandshake)
        case serving
        case draining
        case closed
    }

    private struct Entry {
        var deadline: UInt64
        /// Streams: messages that may still be sent.
        var credit: UInt64
    }

    /// What the shell has to do with a frame received.
    package enum Action {
        case none
        case send([UInt8])
        /// Send the bytes; the client is who it says.
        case ready(RPCIdentity, [UInt8])
        /// Send the bytes, then close.
        case refuse([UInt8], reason: String)
        /// Start a handler. `deadline` is `UInt64.max` where there is none.
        case start(RequestHeader, payload: UnsafeRawBufferPointer, deadline: UInt64)
        /// The call isn't in the table any more: cancel its handler, wake its writer.
        case cancel
        /// Wake the call's writer.
        case credit
    }

    /// What became of a stream's message.
    package enum Sending: Sendable, Hashable {
        case send
        /// Wait for credit.
        case wait
        /// The call has ended.
        case gone
    }

    private var phase: Phase
    private var calls: [UInt64: Entry] = [:]
    private let maxCalls: Int
    private let maxFrame: Int
    /// The client's last call.
    private var lastID: UInt64 = 0

    /// No call expires before this; it may be earlier than the first deadline.
    package private(set) var nextDeadline = UInt64.max

    package init(handshake: ServerHandshake, maxConcurrentCalls: Int, maxFrame: Int) {
        phase = .handshaking(handshake)
        maxCalls = maxConcurrentCalls
        self.maxFrame = maxFrame
    }

    /// Calls that are open.
    package var outstanding: Int { calls.count }

    /// The longest frame body that may be received now.
    package var maxBody: Int {
        if case .handshaking = phase { Frame.maxHandshakeBody } else { maxFrame }
    }

    /// Whether the client has not proved yet who it is.
    package var isHandshaking: Bool {
        if case .handshaking = phase { true } else { false }
    }

    /// Whether a draining connection has nothing left to do.
    package var isDrained: Bool {
        if case .draining = phase { calls.isEmpty } else { false }
    }

    /// Whether the call is open.
    package func contains(_ id: UInt64) -> Bool {
        calls[id] != nil
    }

    /// Whether a stream's message may be sent now.
    package func hasCredit(_ id: UInt64) -> Bool {
        (calls[id]?.credit ?? 0) > 0
    }

    /// A handler has ended. False: the call was taken out before; nothing to send.
    package mutating func finish(_ id: UInt64) -> Bool {
        calls.removeValue(forKey: id) != nil
    }

    /// A stream's handler wants to send a message.
    package mutating func send(_ id: UInt64) -> Sending {
        guard let entry = calls[id] else { return .gone }
        guard entry.credit > 0 else { return .wait }
        calls[id]?.credit -= 1
        return .send
    }

    /// Takes out the calls whose time is over; cancel their handlers.
    package mutating func expire(now: UInt64) -> [UInt64] {
        guard now >= nextDeadline else { return [] }
        var expired: [UInt64] = []
        var next = UInt64.max
        for (id, entry) in calls {
            if entry.deadline <= now { expired.append(id) } else { next = min(next, entry.deadline) }
        }
        for id in expired { calls[id] = nil }
        nextDeadline = next
        return expired
    }

    /// No new calls from now on: the GOAWAY to send, or `nil` when there is nothing to say.
    package mutating func drain(_ reason: RPCError) -> [UInt8]? {
        switch phase {
        case .serving:
            phase = .draining
            return FrameEncoder.goaway(reason, lastCallID: lastID)
        case .handshaking:
            phase = .draining
            return FrameEncoder.goaway(reason, lastCallID: 0)
        case .draining, .closed:
            return nil
        }
    }

    /// The connection is gone: the calls whose handlers are to be cancelled.
    package mutating func close() -> [UInt64] {
        phase = .closed
        nextDeadline = .max
        defer { calls = [:] }
        return Array(calls.keys)
    }

    package mutating func receive(_ frame: Frame, now: UInt64) throws(ProtocolViolation) -> Action {
        switch phase {
        case .handshaking(var handshake):
            let action = try handshake.receive(frame)
            phase = .handshaking(handshake)
            switch action {
            case .send(let bytes):
                return .send(bytes)
            case .refuse(let bytes, let reason):
                return .refuse(bytes, reason: reason)
            case .ready(let identity, let bytes):
                phase = .serving
                return .ready(identity, bytes)
            }
        case .serving, .draining:
            return try receiveServing(frame, now: now)
        case .closed:
            return .none
        }
    }

    private mutating func receiveServing(_ frame: Frame, now: UInt64) throws(ProtocolViolation) -> Action {
        let id = frame.callID
        switch frame.kind {
        case .request:
            return try request(frame, now: now)
        case .cancel:
            guard frame.payload.isEmpty else { throw ProtocolViolation("CANCEL with a payload") }
            return calls.removeValue(forKey: id) == nil ? .none : .cancel
        case .credit:
            let messages = try creditMessages(frame.payload)
            guard calls[id] != nil else { return .none }
            calls[id]?.credit += UInt64(messages)
            return .credit
        case .ping:
            return .send(FrameEncoder.frame(.pong, callID: id))
        case .pong, .goaway:
            return .none
        case .hello, .welcome, .proof, .ready, .response, .error, .message, .end:
            // A client that was told GOAWAY within its handshake may still send the rest of it.
            if case .draining = phase, lastID == 0, frame.kind == .hello || frame.kind == .proof { return .none }
            throw ProtocolViolation("\(frame.kind) from a client")
        }
    }

    private mutating func request(_ frame: Frame, now: UInt64) throws(ProtocolViolation) -> Action {
        guard frame.callID > lastID else { throw ProtocolViolation("call ids must rise") }
        let (header, payload) = try RequestHeader.parse(frame.payload)
        // The client learns from GOAWAY that this call was not begun.
        if case .draining = phase { return .none }
        lastID = frame.callID
        guard calls.count < maxCalls else {
            let error = RPCError(.unavailable, "\(maxCalls) calls are open on this connection")
            return .send(FrameEncoder.error(error, callID: frame.callID))
        }
        let deadline =
            header.timeoutMilliseconds == 0 ? .max : now + UInt64(header.timeoutMilliseconds) * 1_000_000
        calls[frame.callID] = Entry(deadline: deadline, credit: UInt64(header.credit))
        if deadline < nextDeadline { nextDeadline = deadline }
        return .start(header, payload: payload, deadline: deadline)
    }
}

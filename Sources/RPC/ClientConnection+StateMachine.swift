/// One connection from the client's side: its calls, their deadlines and credit, and how it ends. No I/O: it is told
/// what happened and says what to do. Times are nanoseconds of one monotonic clock.
///
///     handshaking --READY--> open --GOAWAY--> draining --last call ends--> closed
///     any --connection lost, violation, close--> closed
package struct ClientConnectionStateMachine {
    private enum Phase {
        case handshaking(ClientHandshake)
        case open
        case draining
        case closed
    }

    private struct Entry {
        var call: any RPCPendingCall
        var deadline: UInt64
        /// Streams: messages that the server may still send.
        var credit: UInt64
        var streaming: Bool
    }

    /// What the shell has to do with a frame received.
    package enum Action {
        case none
        case send([UInt8])
        /// The handshake is done.
        case ready(RPCIdentity)
        /// The server refused the handshake: close.
        case refused(RPCError)
        case response(any RPCPendingCall)
        case message(any RPCPendingCall)
        case streamEnded(any RPCPendingCall)
        case failed(any RPCPendingCall, RPCError)
        /// The server takes no new calls: these it never began. `close`: no call is left.
        case goaway(RPCError, unserved: [any RPCPendingCall], close: Bool)
    }

    /// What became of a call that was to be opened.
    package enum Opening: Sendable, Hashable {
        /// Send a REQUEST with this id.
        case opened(UInt64)
        /// This connection takes no calls (yet, or any more).
        case notOpen
        /// As many calls are open as the server allows.
        case full
        /// The request is longer than the server takes.
        case tooLarge
    }

    private var phase: Phase
    private var calls: [UInt64: Entry] = [:]
    private var nextID: UInt64 = 1
    private let maxFrame: Int
    private var maxCalls: Int
    private var peerMaxFrame: Int

    /// No call expires before this; it may be earlier than the first deadline.
    package private(set) var nextDeadline = UInt64.max

    package init(handshake: ClientHandshake, maxConcurrentCalls: Int, maxFrame: Int) {
        phase = .handshaking(handshake)
        maxCalls = maxConcurrentCalls
        self.maxFrame = maxFrame
        peerMaxFrame = maxFrame
    }

    /// Calls that are open.
    package var outstanding: Int { calls.count }

    /// Whether calls can be opened.
    package var isOpen: Bool {
        if case .open = phase { true } else { false }
    }

    /// Whether calls can't be made yet.
    package var isHandshaking: Bool {
        if case .handshaking = phase { true } else { false }
    }

    /// The longest frame body that may be received now.
    package var maxBody: Int {
        if case .handshaking = phase { Frame.maxHandshakeBody } else { maxFrame }
    }

    /// Whether a draining connection has nothing left to do.
    package var isDrained: Bool {
        if case .draining = phase { calls.isEmpty } else { false }
    }

    /// Enters a call into the table.
    package mutating func open(
        _ call: any RPCPendingCall, requestBytes: Int, streaming: Bool, credit: UInt32, deadline: UInt64
    ) -> Opening {
        guard case .open = phase else { return .notOpen }
        guard calls.count < maxCalls else { return .full }
        guard requestBytes <= peerMaxFrame else { return .tooLarge }
        let id = nextID
        nextID += 1
        calls[id] = Entry(call: call, deadline: deadline, credit: UInt64(credit), streaming: streaming)
        if deadline < nextDeadline { nextDeadline = deadline }
        return .opened(id)
    }

    /// Takes a call out because its caller has given it up; a CANCEL is due.
    package mutating func cancel(_ id: UInt64) -> (any RPCPendingCall)? {
        calls.removeValue(forKey: id)?.call
    }

    /// The caller lets the server send more. False: the call has ended; nothing to send.
    package mutating func grant(_ id: UInt64, _ messages: UInt32) -> Bool {
        guard messages > 0, calls[id]?.streaming == true else { return false }
        calls[id]?.credit += UInt64(messages)
        return true
    }

    /// Takes out the calls whose time is over; a CANCEL is due for each.
    package mutating func expire(now: UInt64) -> [(id: UInt64, call: any RPCPendingCall)] {
        guard now >= nextDeadline else { return [] }
        var expired: [(UInt64, any RPCPendingCall)] = []
        var next = UInt64.max
        for (id, entry) in calls {
            if entry.deadline <= now {
                expired.append((id, entry.call))
            } else {
                next = min(next, entry.deadline)
            }
        }
        for (id, _) in expired { calls[id] = nil }
        nextDeadline = next
        return expired
    }

    /// The connection is gone: every call that was open, with its id.
    package mutating func close() -> [(id: UInt64, call: any RPCPendingCall)] {
        phase = .closed
        nextDeadline = .max
        defer { calls = [:] }
        return calls.map { ($0.key, $0.value.call) }
    }

    /// No new calls from now on, by this side's own wish.
    package mutating func retire() {
        switch phase {
        case .open, .handshaking: phase = .draining
        case .draining, .closed: break
        }
    }

    /// The id of the last call opened.
    package var lastID: UInt64 { nextID - 1 }

    package mutating func receive(_ frame: Frame) throws(ProtocolViolation) -> Action {
        switch phase {
        case .handshaking(var handshake):
            let action = try handshake.receive(frame)
            phase = .handshaking(handshake)
            return entered(action)
        case .open, .draining:
            return try receiveOpen(frame)
        case .closed:
            return .none
        }
    }

    private mutating func entered(_ action: ClientHandshake.Action) -> Action {
        switch action {
        case .send(let bytes):
            return .send(bytes)
        case .refused(let error):
            return .refused(error)
        case .ready(let identity, let limits):
            phase = .open
            maxCalls = min(maxCalls, Int(limits.maxConcurrentCalls))
            peerMaxFrame = min(maxFrame, Int(limits.maxFrame))
            return .ready(identity)
        }
    }

    private mutating func receiveOpen(_ frame: Frame) throws(ProtocolViolation) -> Action {
        let id = frame.callID
        switch frame.kind {
        case .response:
            // An answer to a call that was cancelled meanwhile is no fault.
            guard let entry = try take(id) else { return .none }
            guard !entry.streaming else { throw ProtocolViolation("RESPONSE to a stream") }
            return .response(entry.call)
        case .error:
            guard let entry = try take(id) else { return .none }
            return .failed(entry.call, try RPCError(payload: frame.payload))
        case .end:
            guard let entry = try take(id) else { return .none }
            guard entry.streaming else { throw ProtocolViolation("END of a unary call") }
            return .streamEnded(entry.call)
        case .message:
            try check(id)
            guard let entry = calls[id] else { return .none }
            guard entry.streaming else { throw ProtocolViolation("MESSAGE to a unary call") }
            guard entry.credit > 0 else { throw ProtocolViolation("MESSAGE without credit") }
            calls[id]?.credit -= 1
            return .message(entry.call)
        case .ping:
            return .send(FrameEncoder.frame(.pong, callID: id))
        case .pong:
            return .none
        case .goaway:
            return goaway(try RPCError(payload: frame.payload), last: id)
        case .hello, .welcome, .proof, .ready, .request, .credit, .cancel:
            throw ProtocolViolation("\(frame.kind) from a server")
        }
    }

    private mutating func goaway(_ error: RPCError, last: UInt64) -> Action {
        phase = .draining
        let unserved = calls.filter { $0.key > last }
        for id in unserved.keys { calls[id] = nil }
        return .goaway(error, unserved: unserved.values.map(\.call), close: calls.isEmpty)
    }

    private mutating func take(_ id: UInt64) throws(ProtocolViolation) -> Entry? {
        try check(id)
        return calls.removeValue(forKey: id)
    }

    private func check(_ id: UInt64) throws(ProtocolViolation) {
        guard id > 0, id < nextID else { throw ProtocolViolation("answer to call \(id), which was never made") }
    }
}

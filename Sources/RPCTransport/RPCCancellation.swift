import NIOConcurrencyHelpers
import RPC

/// Holds a call that can be cancelled or given credit.
protocol RPCCallHolder: AnyObject, Sendable {
    /// Takes the call out and fails it, if it is still there.
    func cancel(_ call: RPCCall, id: UInt64, with error: RPCError)
    /// Gives the call credit, if it is still there.
    func grant(id: UInt64, messages: UInt32)
}

/// Where a call can be reached to cancel it or to give it credit, wherever it is at that moment.
final class RPCCancellation: Sendable {
    private struct State {
        var cancelled: RPCError?
        var holder: (any RPCCallHolder)?
        var call: RPCCall?
        var id: UInt64 = 0
        /// Credit given while no connection held the call.
        var credit: UInt32 = 0
        var isOver = false
    }

    private let state = NIOLockedValueBox(State())

    /// The call is held there now. If it was cancelled before, that happens now; credit given before is passed on.
    func enter(_ holder: any RPCCallHolder, _ call: RPCCall, id: UInt64) {
        let (cancelled, credit) = state.withLockedValue { state -> (RPCError?, UInt32) in
            guard !state.isOver else { return (nil, 0) }
            state.holder = holder
            state.call = call
            state.id = id
            defer { if id > 0 { state.credit = 0 } }
            return (state.cancelled, id > 0 ? state.credit : 0)
        }
        if credit > 0 { holder.grant(id: id, messages: credit) }
        if let cancelled { holder.cancel(call, id: id, with: cancelled) }
    }

    /// The call has ended: nothing is kept of it.
    func leave() {
        state.withLockedValue { state in
            state.isOver = true
            state.holder = nil
            state.call = nil
        }
    }

    func cancel(with error: RPCError = RPCError(.cancelled, "cancelled by the caller")) {
        let (holder, call, id) = state.withLockedValue { state -> ((any RPCCallHolder)?, RPCCall?, UInt64) in
            if state.cancelled == nil { state.cancelled = error }
            return (state.holder, state.call, state.id)
        }
        if let holder, let call { holder.cancel(call, id: id, with: error) }
    }

    func grant(_ messages: UInt32) {
        let (holder, id) = state.withLockedValue { state -> ((any RPCCallHolder)?, UInt64) in
            if state.id == 0 || state.holder == nil { state.credit &+= messages }
            return (state.holder, state.id)
        }
        if id > 0 { holder?.grant(id: id, messages: messages) }
    }
}

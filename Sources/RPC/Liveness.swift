/// Decides when to ping a peer and when to give it up. Times are nanoseconds of one monotonic clock.
package struct Liveness: Sendable {
    /// What the shell has to do.
    package enum Action: Sendable, Hashable {
        case none
        /// Send a PING with this number.
        case ping(UInt64)
        /// Close the connection: the peer hangs.
        case dead
    }

    private let interval: UInt64
    private let timeout: UInt64
    private var lastReceived: UInt64
    private var lastCheck: UInt64
    private var pingSent: UInt64?
    private var pings: UInt64 = 0

    package init(interval: UInt64, timeout: UInt64, now: UInt64) {
        self.interval = interval
        self.timeout = timeout
        lastReceived = now
        lastCheck = now
    }

    /// Something came from the peer.
    package mutating func sawLife(now: UInt64) {
        lastReceived = now
        pingSent = nil
    }

    /// The socket took bytes. Where many wait, that shows that the peer reads: it gets its time for an answer anew. A
    /// peer that hangs takes no more than its buffers hold, so this can't go on.
    package mutating func tookBytes(now: UInt64) {
        if pingSent != nil { pingSent = now }
    }

    /// To be called about every `interval`. When this process itself was late (stopped, starved), the peer gets its
    /// time anew: what it sent may still lie unread.
    package mutating func check(now: UInt64) -> Action {
        let late = now > lastCheck + interval * 2
        lastCheck = now
        if let sent = pingSent {
            if late {
                pingSent = now
                return .none
            }
            return now >= sent + timeout ? .dead : .none
        }
        guard now >= lastReceived + interval else { return .none }
        pingSent = now
        pings += 1
        return .ping(pings)
    }
}

/// How one call is made.
package struct CallOptions: Sendable {
    /// How long the caller waits in all, retries included. It travels with the call as the time that remains. For a
    /// stream it bounds the whole stream; `nil` means no bound.
    package var timeout: Duration?
    /// Routes by rendezvous hashing: calls with the same key go to the same peer while the peers stay the same.
    package var key: UInt64?
    /// Whether a call that failed with its connection is made again. `nil`: when the method is marked idempotent, or the
    /// request surely never left.
    package var retries: Bool?
    /// Streams: how many messages the server may send before the caller has consumed one.
    package var credit: UInt32
    /// W3C trace context (`traceparent`), passed to the handler. At most 255 bytes.
    package var trace: String?

    package init(
        timeout: Duration? = .seconds(5), key: UInt64? = nil, retries: Bool? = nil, credit: UInt32 = 16,
        trace: String? = nil
    ) {
        self.timeout = timeout
        self.key = key
        self.retries = retries
        self.credit = credit
        self.trace = trace
    }
}

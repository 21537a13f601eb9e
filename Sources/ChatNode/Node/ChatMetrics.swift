/// What a node counts, one of these a loop; sum them for a process. What goes over the wire is in `EdgeMetrics`.
package struct ChatMetrics: Sendable, Equatable {
    /// Connections that have said hello.
    package var sessions = 0
    /// Events given to connections by push, and by reading the log.
    package var pushed: UInt64 = 0
    package var read: UInt64 = 0
    /// Pushes that a connection had already, and that were for a connection that is gone.
    package var repeats: UInt64 = 0
    package var handleMisses: UInt64 = 0
    /// Deliveries for another process of this name.
    package var foreign: UInt64 = 0
    /// Readings of the log begun; because a push was missing; because the peer was slow; that failed.
    package var syncs: UInt64 = 0
    package var gaps: UInt64 = 0
    package var lagging: UInt64 = 0
    package var syncFailures: UInt64 = 0
    /// Sends, and how many were answered with an error.
    package var sends: UInt64 = 0
    package var sendErrors: UInt64 = 0
    /// Frames refused as malformed, for their rate; connections closed for either.
    package var malformed: UInt64 = 0
    package var limited: UInt64 = 0
    package var expelled: UInt64 = 0
    /// What clients acknowledged that was passed on, and that could not be.
    package var acknowledged: UInt64 = 0
    package var acknowledgeFailures: UInt64 = 0
    /// From a `send` to its `ack`, in the buckets of `latencyBounds` and one above, and their sum in seconds.
    package var latency = [UInt64](repeating: 0, count: ChatMetrics.latencyBounds.count + 1)
    package var latencySum = 0.0

    /// Upper bounds in seconds.
    package static let latencyBounds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]

    package init() {}

    mutating func acknowledged(after seconds: Double) {
        latencySum += seconds
        latency[Self.latencyBounds.firstIndex { seconds <= $0 } ?? Self.latencyBounds.count] += 1
    }

    package static func + (left: ChatMetrics, right: ChatMetrics) -> ChatMetrics {
        var sum = left
        sum.sessions += right.sessions
        sum.pushed += right.pushed
        sum.read += right.read
        sum.repeats += right.repeats
        sum.handleMisses += right.handleMisses
        sum.foreign += right.foreign
        sum.syncs += right.syncs
        sum.gaps += right.gaps
        sum.lagging += right.lagging
        sum.syncFailures += right.syncFailures
        sum.sends += right.sends
        sum.sendErrors += right.sendErrors
        sum.malformed += right.malformed
        sum.limited += right.limited
        sum.expelled += right.expelled
        sum.acknowledged += right.acknowledged
        sum.acknowledgeFailures += right.acknowledgeFailures
        for index in sum.latency.indices { sum.latency[index] += right.latency[index] }
        sum.latencySum += right.latencySum
        return sum
    }
}

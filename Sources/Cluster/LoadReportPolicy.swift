/// Decides when a node's load is worth a write to ZooKeeper: at once when its state or capacity changed, when its load
/// moved by `threshold`, and otherwise every `interval` if it changed at all; never per connection.
package struct LoadReportPolicy: Sendable {
    /// What is reported.
    package struct Report: Sendable, Equatable {
        package var connections: Int
        package var capacity: Int
        package var state: NodeRecord.State

        package init(connections: Int, capacity: Int, state: NodeRecord.State = .serving) {
            self.connections = connections
            self.capacity = capacity
            self.state = state
        }
    }

    /// The move, as a part of the capacity (of the last report where there is none), that is reported at once.
    package var threshold: Double
    /// How long a smaller change may wait.
    package var interval: Duration
    private var last: (report: Report, at: ContinuousClock.Instant)?

    package init(threshold: Double = 0.05, interval: Duration = .seconds(3)) {
        self.threshold = threshold
        self.interval = interval
    }

    /// Whether `report` is to be published now; if so it counts as published.
    package mutating func shouldPublish(_ report: Report, now: ContinuousClock.Instant) -> Bool {
        guard self.isDue(report, now: now) else { return false }
        self.last = (report, now)
        return true
    }

    private func isDue(_ report: Report, now: ContinuousClock.Instant) -> Bool {
        guard let last = self.last else { return true }
        if report == last.report { return false }
        if report.state != last.report.state || report.capacity != last.report.capacity { return true }
        let scale = report.capacity > 0 ? report.capacity : max(last.report.connections, 1)
        let moved = abs(report.connections - last.report.connections)
        return Double(moved) >= Double(scale) * self.threshold || now - last.at >= self.interval
    }
}

package import CoreMetrics

/// All that the groups service measures. No label is an id.
package struct GroupsMetrics: Sendable {
    /// Changes that the log has taken.
    let appended: Counter
    /// Attempts that left a change in the outbox.
    let failures: Counter
    /// Groups with changes that were left in the outbox, at the last look.
    let unsettled: Gauge

    package init(factory: any MetricsFactory = NOOPMetricsHandler.instance) {
        appended = Counter(label: "roost_groups_changes_appended_total", factory: factory)
        failures = Counter(label: "roost_groups_failed_appends_total", factory: factory)
        unsettled = Gauge(label: "roost_groups_unsettled", factory: factory)
    }
}

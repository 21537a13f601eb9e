import Metrics

/// All that a relay measures. Times are seconds; no label is an id.
package struct RelayMetrics: Sendable {
    /// Events stored.
    let appends = Counter(label: "roost_relay_appends_total")
    /// Appends that were answered with an event stored before.
    let duplicates = Counter(label: "roost_relay_duplicates_total")
    /// Appends refused because too many waited.
    let shed = Counter(label: "roost_relay_shed_total")
    /// Batches that failed in the end.
    let failedBatches = Counter(label: "roost_relay_failed_batches_total")
    /// Batches tried again.
    let retriedBatches = Counter(label: "roost_relay_retried_batches_total")
    /// Events in a commit.
    let batchSize = Recorder(label: "roost_relay_batch_events")
    /// From sending a batch to PostgreSQL to its commit.
    let commit = Timer(label: "roost_relay_commit_seconds")
    /// Appends that wait for a commit.
    let queueDepth = Gauge(label: "roost_relay_append_queue")
    /// Acknowledgements stored, and those that moved nothing or were merged with another.
    let acknowledgements = Counter(label: "roost_relay_acknowledgements_total")
    /// Events pushed, once for each node that got it.
    let pushes = Counter(label: "roost_relay_pushes_total")
    /// `Deliver` calls that failed.
    let failedPushes = Counter(label: "roost_relay_failed_pushes_total")
    /// Nodes whose pushes were given up until they attach again.
    let lostNodes = Counter(label: "roost_relay_lost_nodes_total")
    /// Connections known.
    let connections = Gauge(label: "roost_relay_connections")
    /// Pages and events of syncs.
    let syncPages = Counter(label: "roost_relay_sync_pages_total")
    let syncEvents = Counter(label: "roost_relay_sync_events_total")

    package init() {}
}

package import CoreMetrics

/// All that a relay measures. No label is an id.
package struct RelayMetrics: Sendable {
    /// Events stored.
    let appends: Counter
    /// Of these, messages whose place the relay knew.
    let knownAppends: Counter
    /// Appends that were answered with an event stored before.
    let duplicates: Counter
    /// Appends refused because too many waited.
    let shed: Counter
    /// Batches that failed in the end.
    let failedBatches: Counter
    /// Batches tried again.
    let retriedBatches: Counter
    /// Appends in a commit.
    let batchSize: Recorder
    /// From sending a batch to PostgreSQL to its commit.
    let commit: Timer
    /// Appends that wait for a commit.
    let queueDepth: Gauge
    /// Acknowledgements stored; those merged with another are one.
    let acknowledgements: Counter
    /// Events pushed, once for each node that got it.
    let pushes: Counter
    /// `Deliver` calls that failed.
    let failedPushes: Counter
    /// Times that pushes to a node were given up until it attaches again.
    let lostNodes: Counter
    /// Connections known.
    let connections: Gauge
    /// Pages of syncs, and the events in them.
    let syncPages: Counter
    let syncEvents: Counter
    /// Newest pages of history found in Redis, not found there, and asked for while Redis is away.
    let cachedPages: Counter
    let uncachedPages: Counter
    let bypassedPages: Counter

    package init(factory: any MetricsFactory = NOOPMetricsHandler.instance) {
        func counter(_ name: String) -> Counter { Counter(label: "roost_relay_\(name)_total", factory: factory) }
        appends = counter("appends")
        knownAppends = counter("appends_known")
        duplicates = counter("duplicates")
        shed = counter("shed")
        failedBatches = counter("failed_batches")
        retriedBatches = counter("retried_batches")
        batchSize = Recorder(label: "roost_relay_batch_events", factory: factory)
        commit = Timer(label: "roost_relay_commit_seconds", factory: factory)
        queueDepth = Gauge(label: "roost_relay_append_queue", factory: factory)
        acknowledgements = counter("acknowledgements")
        pushes = counter("pushes")
        failedPushes = counter("failed_pushes")
        lostNodes = counter("lost_nodes")
        connections = Gauge(label: "roost_relay_connections", factory: factory)
        syncPages = counter("sync_pages")
        syncEvents = counter("sync_events")
        cachedPages = counter("page_cache_hits")
        uncachedPages = counter("page_cache_misses")
        bypassedPages = counter("page_cache_bypassed")
    }
}

package import CoreMetrics

/// All that a consumer measures.
package struct ConsumerMetrics: Sendable {
    /// Events processed, and batches of them.
    let events: Counter
    let batches: Counter
    /// Batches that failed; they come again.
    let failures: Counter
    /// Shards that this instance holds.
    let shards: Gauge
    /// Seconds between the last event processed and now, while there are more.
    let lag: Gauge

    package init(consumer: String, factory: any MetricsFactory = NOOPMetricsHandler.instance) {
        let dimensions = [("consumer", consumer)]
        func counter(_ name: String) -> Counter {
            Counter(label: "roost_consumer_\(name)_total", dimensions: dimensions, factory: factory)
        }
        events = counter("events")
        batches = counter("batches")
        failures = counter("failures")
        shards = Gauge(label: "roost_consumer_shards", dimensions: dimensions, factory: factory)
        lag = Gauge(label: "roost_consumer_lag_seconds", dimensions: dimensions, factory: factory)
    }
}

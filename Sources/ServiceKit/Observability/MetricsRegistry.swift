package import CoreMetrics
import NIOConcurrencyHelpers
import Synchronization

/// All metrics of a process: a swift-metrics factory whose state is rendered as Prometheus text.
///
/// Counters become counters, meters and non-aggregating recorders gauges, aggregating recorders and timers histograms
/// (timers in seconds). A family keeps at most `seriesLimit` label sets: what comes after is counted under the label
/// value `other`, so that a bug can't make a process's memory grow with its labels.
package final class MetricsRegistry: Sendable {
    package static let seriesLimit = 500

    enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    struct Family: Sendable {
        var kind: Kind
        var series: [SeriesKey: any MetricSeries] = [:]
    }

    /// Label names and values, sorted by name.
    struct SeriesKey: Hashable, Sendable {
        var labels: [Label]

        struct Label: Hashable, Sendable {
            var name: String
            var value: String
        }

        init(_ dimensions: [(String, String)]) {
            var labels: [Label] = []
            for (name, value) in dimensions {
                let name = MetricName.label(name)
                if !labels.contains(where: { $0.name == name }) { labels.append(Label(name: name, value: value)) }
            }
            self.labels = labels.sorted { $0.name < $1.name }
        }

        /// The label set that takes what is too much.
        var overflow: SeriesKey {
            var copy = self
            for index in copy.labels.indices { copy.labels[index].value = "other" }
            return copy
        }
    }

    private struct State {
        var families: [String: Family] = [:]
        var help: [String: String] = [:]
    }

    private let state = NIOLockedValueBox(State())

    package init() {}

    /// Sets a family's HELP text.
    package func describe(_ name: String, _ help: String) {
        state.withLockedValue { $0.help[MetricName.metric(name)] = help }
    }

    /// A counter; its name should end in `_total`.
    package func counter(_ name: String, _ labels: [(String, String)] = []) -> CounterSeries {
        series(name, labels, .counter) { CounterSeries() }
    }

    package func gauge(_ name: String, _ labels: [(String, String)] = []) -> GaugeSeries {
        series(name, labels, .gauge) { GaugeSeries() }
    }

    /// A histogram; the buckets are those of the family's first series.
    package func histogram(
        _ name: String, _ labels: [(String, String)] = [], buckets: [Double] = HistogramSeries.durations
    ) -> HistogramSeries {
        series(name, labels, .histogram) { HistogramSeries(bounds: buckets) }
    }

    /// The series of that name and labels, made when it isn't there. A name that is in use for another kind gives a
    /// series that isn't rendered: a clash of names must not end a process.
    private func series<S: MetricSeries>(
        _ name: String, _ labels: [(String, String)], _ kind: Kind, make: () -> S
    ) -> S {
        let name = MetricName.metric(name)
        let key = SeriesKey(labels)
        return state.withLockedValue { state in
            var family = state.families[name] ?? Family(kind: kind)
            guard family.kind == kind else { return make() }
            if let known = family.series[key] as? S { return known }
            let key = family.series.count >= Self.seriesLimit ? key.overflow : key
            if let known = family.series[key] as? S { return known }
            let new = make()
            family.series[key] = new
            state.families[name] = family
            return new
        }
    }

    /// The Prometheus text format, version 0.0.4, with the process's own figures at the end.
    package func render() -> String {
        let (families, help) = state.withLockedValue { ($0.families, $0.help) }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.family(name, help: help[name] ?? MetricName.words(name), kind: family.kind)
            let ordered = family.series.sorted { left, right in
                left.key.labels.lexicographicallyPrecedes(right.key.labels) {
                    ($0.name, $0.value) < ($1.name, $1.value)
                }
            }
            for (key, series) in ordered { series.render(name, key.labels, into: &text) }
        }
        ProcessMetrics.render(into: &text)
        return text.string
    }

    /// What `/metrics` answers with.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"
}

/// One label set of a family.
protocol MetricSeries: AnyObject, Sendable {
    func render(_ name: String, _ labels: [MetricsRegistry.SeriesKey.Label], into text: inout PrometheusText)
}

/// A number that only grows.
package final class CounterSeries: MetricSeries, CounterHandler, FloatingPointCounterHandler {
    private let whole = Atomic<Int64>(0)
    private let fraction = NIOLockedValueBox(0.0)

    package func increment(by amount: Int64) {
        if amount > 0 { whole.wrappingAdd(amount, ordering: .relaxed) }
    }

    package func increment(by amount: Double) {
        guard amount > 0 else { return }
        fraction.withLockedValue { $0 += amount }
    }

    package func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.withLockedValue { $0 = 0 }
    }

    /// Takes what someone else has counted so far.
    package func take(total: UInt64) { whole.store(Int64(clamping: total), ordering: .relaxed) }

    package var value: Double { Double(whole.load(ordering: .relaxed)) + fraction.withLockedValue { $0 } }

    func render(_ name: String, _ labels: [MetricsRegistry.SeriesKey.Label], into text: inout PrometheusText) {
        text.sample(name, labels, value)
    }
}

/// A number that goes up and down.
package final class GaugeSeries: MetricSeries, MeterHandler, RecorderHandler {
    private let bits = Atomic<UInt64>(0)

    package func set(_ value: Int64) { set(Double(value)) }
    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    package func record(_ value: Int64) { set(Double(value)) }
    package func record(_ value: Double) { set(value) }

    package func increment(by amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.compareExchange(
                expected: old, desired: new, successOrdering: .relaxed, failureOrdering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    package func decrement(by amount: Double) { increment(by: -amount) }

    package var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func render(_ name: String, _ labels: [MetricsRegistry.SeriesKey.Label], into text: inout PrometheusText) {
        text.sample(name, labels, value)
    }
}

/// How values are distributed: a count for each bucket, their number and their sum.
package final class HistogramSeries: MetricSeries, RecorderHandler, TimerHandler {
    /// Seconds, from half a millisecond to ten seconds.
    package static let durations = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    /// Sizes and counts, in powers of four.
    package static let sizes: [Double] = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576]

    private struct State {
        var counts: [UInt64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: NIOLockedValueBox<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = NIOLockedValueBox(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLockedValue { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// Takes what someone else has counted so far in the same buckets, the last one being what is above all bounds.
    package func take(counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1)
        state.withLockedValue { $0 = State(counts: counts, sum: sum) }
    }

    package func observe(_ duration: Duration) { observe(duration.milliseconds / 1000) }

    package func record(_ value: Int64) { observe(Double(value)) }
    package func record(_ value: Double) { observe(value) }
    package func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9) }

    func render(_ name: String, _ labels: [MetricsRegistry.SeriesKey.Label], into text: inout PrometheusText) {
        let state = state.withLockedValue { $0 }
        var total: UInt64 = 0
        for (index, count) in state.counts.enumerated() {
            total += count
            let bound = index < bounds.count ? PrometheusText.number(bounds[index]) : "+Inf"
            text.sample(name + "_bucket", labels + [.init(name: "le", value: bound)], Double(total))
        }
        text.sample(name + "_sum", labels, state.sum)
        text.sample(name + "_count", labels, Double(total))
    }
}

extension MetricsRegistry: MetricsFactory {
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate { return histogram(label, dimensions, buckets: HistogramSeries.sizes) }
        return gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    // Prometheus wants a series to stay once it was seen.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}
}

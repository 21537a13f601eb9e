import Histogram

/// Latencies in an HDR histogram: three digits, from a microsecond to an hour.
package struct LatencyRecorder: Sendable {
    private var histogram = Histogram<UInt32>(
        highestTrackableValue: Self.highest, numberOfSignificantValueDigits: .three)
    private static let highest: UInt64 = 3_600_000_000

    package init() {}

    package var count: Int { Int(histogram.totalCount) }

    package mutating func record(nanoseconds: UInt64) { histogram.record(min(nanoseconds / 1000, Self.highest)) }

    package mutating func add(_ other: LatencyRecorder) { histogram.add(other.histogram) }

    /// 0 where nothing was recorded.
    package func milliseconds(at percentile: Double) -> Double {
        count == 0 ? 0 : Double(histogram.valueAtPercentile(percentile)) / 1000
    }

    package func summary(_ name: String) -> LatencySummary {
        LatencySummary(
            name: name, count: count, meanMs: count == 0 ? 0 : histogram.mean / 1000, p50Ms: milliseconds(at: 50),
            p90Ms: milliseconds(at: 90), p99Ms: milliseconds(at: 99), p999Ms: milliseconds(at: 99.9),
            maxMs: milliseconds(at: 100),
            curve: count == 0
                ? []
                : LatencySummary.curvePercentiles(count: count).map {
                    LatencySummary.Point(percentile: $0, ms: milliseconds(at: $0))
                })
    }
}

/// What a report says of one kind of latency.
package struct LatencySummary: Codable, Sendable, Equatable {
    package struct Point: Codable, Sendable, Equatable {
        package var percentile: Double
        package var ms: Double
    }

    package var name: String
    package var count: Int
    package var meanMs: Double
    package var p50Ms: Double
    package var p90Ms: Double
    package var p99Ms: Double
    package var p999Ms: Double
    package var maxMs: Double
    /// The percentile curve, as far as the count can tell.
    package var curve: [Point]

    /// Percentiles at equal steps of "one in so many": as many nines as `count` values can tell.
    static func curvePercentiles(count: Int) -> [Double] {
        var percentiles: [Double] = [0]
        var share = 1.0  // one in `1 / share` values is slower
        while share * Double(count) >= 1, share > 1e-6 {
            share *= 0.794_328_234_724_281_5  // ten steps a digit
            percentiles.append(100 * (1 - share))
        }
        return percentiles + [100]
    }
}

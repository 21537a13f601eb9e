/// How often things happened in each second of a run.
package struct Timeline: Sendable {
    package let start: UInt64
    package private(set) var counts: [[Int]]
    package let names: [String]

    /// - Parameter start: nanoseconds of the run's clock.
    package init(start: UInt64, names: [String]) {
        (self.start, self.names) = (start, names)
        counts = names.map { _ in [] }
    }

    package mutating func count(_ kind: Int, now: UInt64) {
        let second = now > start ? Int((now - start) / 1_000_000_000) : 0
        while counts[kind].count <= second { counts[kind].append(0) }
        counts[kind][second] += 1
    }

    /// A line each, a point a second; the last second is left out: it is not whole.
    package var series: [Report.Series] {
        let seconds = (counts.map(\.count).max() ?? 0) - 1
        guard seconds > 0 else { return [] }
        return zip(names, counts).map { name, counts in
            Report.Series(
                name: name,
                points: (0..<seconds).map { Report.Point(x: Double($0), y: $0 < counts.count ? Double(counts[$0]) : 0) }
            )
        }
    }
}

import Foundation

/// What was measured, and how many times the one is the other. A ratio is of the two that ran in one round.
struct Table {
    private let callers: [Int]
    /// By side, by round, by number of callers.
    private var rounds: [Side: [[Figures]]] = [:]

    init(callers: [Int]) { self.callers = callers }

    mutating func add(_ figures: [Figures], of side: Side) { rounds[side, default: []].append(figures) }

    /// In Markdown: medians of the rounds.
    var text: String {
        var lines = [
            "| callers | | calls/s | p50 | p99 | CPU a call, client + server |",
            "|---|---|---|---|---|---|",
        ]
        for (place, count) in callers.enumerated() {
            let (roost, grpc) = (figures(.roost, place), figures(.grpc, place))
            lines += [(Side.roost, roost), (.grpc, grpc)].map { side, figures in
                func median(_ value: (Figures) -> Double) -> Double { Spread(figures.map(value)).median }
                return row(
                    [
                        "\(count)", side.rawValue, String(format: "%.0f", median(\.callsPerSecond)),
                        String(format: "%.0f us", median(\.p50)), String(format: "%.0f us", median(\.p99)),
                        String(format: "%.1f + %.1f us", median(\.clientCPU), median(\.serverCPU)),
                    ])
            }
            let pairs = Array(zip(roost, grpc))
            func less(_ value: (Figures) -> Double) -> String {
                "1/" + Spread(pairs.map { value($1) / value($0) }).text
            }
            lines.append(
                row(
                    [
                        "\(count)", "Roost to gRPC",
                        Spread(pairs.map { $0.callsPerSecond / $1.callsPerSecond }).text + " times", less(\.p50),
                        less(\.p99), less(\.cpu),
                    ]))
        }
        return lines.joined(separator: "\n")
    }

    private func figures(_ side: Side, _ place: Int) -> [Figures] { rounds[side, default: []].map { $0[place] } }

    private func row(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |" }
}

/// A median, and how far the values are apart.
private struct Spread {
    private let values: [Double]

    init(_ values: [Double]) { self.values = values.sorted() }

    var median: Double {
        guard !values.isEmpty else { return .nan }
        return (values[values.count / 2] + values[(values.count - 1) / 2]) / 2
    }

    var text: String {
        let text = String(format: "%.1f", median)
        guard let first = values.first, let last = values.last, values.count > 1 else { return text }
        return text + String(format: " (%.1f to %.1f)", first, last)
    }
}

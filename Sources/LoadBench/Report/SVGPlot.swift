import Foundation

/// A line plot as one SVG element.
package struct SVGPlot: Sendable {
    package enum Scale: Sendable {
        case linear
        /// Powers of ten.
        case logarithmic
        /// Percentiles, with as much room for each further nine.
        case percentile
    }

    package var title: String
    package var series: [Report.Series]
    package var xLabel: String
    package var xScale = Scale.linear
    package var yScale = Scale.linear
    package var yUnit: FigureUnit

    private static let (width, height) = (880.0, 300.0)
    private static let (left, right, top, bottom) = (90.0, 20.0, 14.0, 40.0)
    static let colors = [
        "#2a78d6", "#e0662c", "#17937a", "#c23b8f", "#8a6d1d", "#6a55c2", "#5b9a2f", "#c93a3a", "#3a9bb5", "#84878c",
        "#b07cc6", "#4b6a9b", "#d69a2a", "#3f7f5f", "#e58fa3", "#7fc4c9", "#a3531f", "#5c5cff",
    ]

    package init(
        title: String, series: [Report.Series], xLabel: String, xScale: Scale = .linear, yScale: Scale = .linear,
        yUnit: FigureUnit
    ) {
        (self.title, self.series, self.xLabel) = (title, series, xLabel)
        (self.xScale, self.yScale, self.yUnit) = (xScale, yScale, yUnit)
    }

    /// Empty where there is nothing to draw.
    package var svg: String {
        let drawn = series.filter { !$0.points.isEmpty }
        guard !drawn.isEmpty else { return "" }
        let x = Axis(drawn.flatMap { $0.points.map(\.x) }, scale: xScale)
        let y = Axis(drawn.flatMap { $0.points.map(\.y) }, scale: yScale, unit: yUnit)
        func px(_ value: Double) -> String {
            number(Self.left + x.place(value) * (Self.width - Self.left - Self.right))
        }
        func py(_ value: Double) -> String {
            number(Self.height - Self.bottom - y.place(value) * (Self.height - Self.top - Self.bottom))
        }
        var parts = [
            "<svg viewBox=\"0 0 \(number(Self.width)) \(number(Self.height))\" role=\"img\" aria-label=\"\(HTML.escape(title))\">"
        ]
        let (floor, ceiling) = (number(Self.height - Self.bottom), number(Self.top))
        for tick in y.ticks {
            parts.append(
                "<line class=\"grid\" x1=\"\(number(Self.left))\" x2=\"\(number(Self.width - Self.right))\" y1=\"\(py(tick))\" y2=\"\(py(tick))\"/>"
                    + "<text x=\"\(number(Self.left - 8))\" y=\"\(py(tick))\" dy=\"4\" text-anchor=\"end\">\(HTML.escape(yUnit.text(tick)))</text>"
            )
        }
        for tick in x.ticks {
            parts.append(
                "<line class=\"grid\" x1=\"\(px(tick))\" x2=\"\(px(tick))\" y1=\"\(floor)\" y2=\"\(ceiling)\"/>"
                    + "<text x=\"\(px(tick))\" y=\"\(number(Self.height - Self.bottom + 16))\" text-anchor=\"middle\">\(x.label(tick))</text>"
            )
        }
        parts.append(
            "<text x=\"\(number((Self.left + Self.width - Self.right) / 2))\" y=\"\(number(Self.height - 6))\" text-anchor=\"middle\">\(HTML.escape(xLabel))</text>"
        )
        for (place, line) in drawn.enumerated() {
            let points = line.points.map { "\(px($0.x)),\(py($0.y))" }.joined(separator: " ")
            let last = line.points[line.points.count - 1].y
            parts.append(
                "<polyline points=\"\(points)\" stroke=\"\(Self.colors[place % Self.colors.count])\"><title>\(HTML.escape(line.name)), last \(HTML.escape(yUnit.text(last)))</title></polyline>"
            )
        }
        parts.append("</svg>")
        let legend = drawn.enumerated().map { place, line in
            "<span><i style=\"background:\(Self.colors[place % Self.colors.count])\"></i>\(HTML.escape(line.name))</span>"
        }
        return "<figure><figcaption>\(HTML.escape(title))</figcaption>\(parts.joined(separator: "\n"))"
            + "<div class=\"legend\">\(legend.joined())</div></figure>"
    }

    private func number(_ value: Double) -> String { String(format: "%.1f", value) }

    /// Where values lie between 0 and 1, and where the marks are.
    struct Axis {
        let scale: Scale
        let ticks: [Double]
        /// Where a logarithmic axis ends below.
        private static let least = 0.01
        private let low: Double
        private let high: Double

        init(_ values: [Double], scale: Scale, unit: FigureUnit = .count) {
            self.scale = scale
            let (least, most) = (values.min() ?? 0, values.max() ?? 1)
            switch scale {
            case .linear:
                let rough = max(most - min(0, least), 1e-9) / 5
                // Memory counts by 1024.
                let step =
                    unit == .kibibytes && rough > 100 ? Self.niceStep(rough / 1024) * 1024 : Self.niceStep(rough)
                low = least >= 0 ? 0 : (least / step).rounded(.down) * step
                high = max((most / step).rounded(.up) * step, low + step)
                let count = Int(((high - low) / step).rounded())
                let from = low
                ticks = (0...count).map { from + Double($0) * step }
            case .logarithmic:
                let first = Int(Foundation.log10(max(least, Self.least)).rounded(.down))
                let last = max(first + 1, Int(Foundation.log10(max(most, Self.least)).rounded(.up)))
                (low, high) = (Double(first), Double(last))
                ticks = (first...last).map { Foundation.pow(10, Double($0)) }
            case .percentile:
                let most = values.filter { $0 < 100 }.max() ?? 99
                // 1 - 0.999 is a little less than 0.001: that is no fourth nine.
                let nines = max(1, Int((-Foundation.log10(1 - most / 100) - 1e-6).rounded(.up)))
                (low, high) = (0, Double(nines))
                ticks = [0, 50] + (1...nines).map { 100 * (1 - Foundation.pow(10, -Double($0))) }
            }
        }

        func place(_ value: Double) -> Double {
            let scaled =
                switch scale {
                case .linear: value
                case .logarithmic: Foundation.log10(max(value, Self.least))
                case .percentile: value >= 100 ? high : -Foundation.log10(1 - value / 100)
                }
            return min(1, max(0, (scaled - low) / (high - low)))
        }

        func label(_ tick: Double) -> String {
            switch scale {
            case .linear, .logarithmic: FigureUnit.grouped(tick)
            case .percentile: "p" + (tick == tick.rounded() ? FigureUnit.fixed(tick, 0) : String(format: "%.6g", tick))
            }
        }

        /// 1, 2 or 5 times a power of ten.
        static func niceStep(_ step: Double) -> Double {
            let power = Foundation.pow(10, Foundation.log10(step).rounded(.down))
            let digit = step / power
            return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10)
        }
    }
}

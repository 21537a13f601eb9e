import Foundation

/// Text for HTML.
package enum HTML {
    package static func escape(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case _: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

extension Report {
    /// One page that needs nothing else: no script, no font, no picture from elsewhere.
    package var html: String {
        let title = "roost bench \(facts.scenario)" + (facts.label.isEmpty ? "" : ": \(facts.label)")
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
            <title>\(HTML.escape(title))</title><style>\(Self.style)</style></head><body><main>
            <h1>\(HTML.escape(title))</h1>
            <p>\(HTML.escape("\(facts.date), Roost \(facts.version), \(facts.cores) cores (\(facts.processor)), Linux \(facts.kernel)"))</p>
            \(verdict)
            \(warnings.map { "<p class=\"warning\">\(HTML.escape($0))</p>" }.joined(separator: "\n"))
            \(section("Figures", figureTable))
            \(section("Steps", stepTable))
            \(section("Latency", latencyTable + latencyPlot))
            \(section("Over time", timePlots))
            \(section("Who used the cores", coresTable))
            \(section("The run", factsTable))
            </main></body></html>
            """
    }

    private func section(_ title: String, _ content: String) -> String {
        content.isEmpty ? "" : "<h2>\(title)</h2>\n\(content)"
    }

    private var verdict: String {
        "<p class=\"\(correctness.isClean ? "clean" : "warning")\">\(HTML.escape(correctness.text))</p>"
    }

    private func table(_ head: [String], _ rows: [[String]]) -> String {
        guard !rows.isEmpty else { return "" }
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\(HTML.escape($0))</\(tag)>" }.joined() + "</tr>"
        }
        return "<div class=\"wide\"><table>" + row(head, "th")
            + rows.map { row($0, "td") }.joined(separator: "\n") + "</table></div>"
    }

    private var figureTable: String {
        table(
            ["what", "figure", ""], figures.map { [$0.name, $0.unit.text($0.value), $0.note ?? ""] })
    }

    private var stepTable: String {
        table(
            [
                "step", "a second", "p50", "p99", "send lag p99", "servers, each", "generator, each", "others", "lost",
                "",
            ],
            steps.map { step in
                [
                    step.name, FigureUnit.perSecond.text(step.perSecond), FigureUnit.milliseconds.text(step.p50Ms),
                    FigureUnit.milliseconds.text(step.p99Ms),
                    step.lagP99Ms.map { FigureUnit.milliseconds.text($0) } ?? "",
                    FigureUnit.microseconds.text(step.serverUsEach), FigureUnit.microseconds.text(step.generatorUsEach),
                    FigureUnit.cores.text(step.othersCores), "\(step.lost)",
                    step.passed.map { $0 ? "passed" : "failed" } ?? "",
                ]
            })
    }

    private var latencyTable: String {
        table(
            ["of", "count", "mean", "p50", "p90", "p99", "p99.9", "max"],
            latencies.map { latency in
                [latency.name, FigureUnit.count.text(Double(latency.count))]
                    + [
                        latency.meanMs, latency.p50Ms, latency.p90Ms, latency.p99Ms, latency.p999Ms, latency.maxMs,
                    ].map { FigureUnit.milliseconds.text($0) }
            })
    }

    private var latencyPlot: String {
        let ofSteps = steps.count > 1 ? steps.compactMap(\.latency) : []
        return plot("Latency by percentile", latencies) + plot("Latency of each step", ofSteps)
    }

    private func plot(_ title: String, _ latencies: [LatencySummary]) -> String {
        SVGPlot(
            title: title,
            series: latencies.map { latency in
                Series(name: latency.name, points: latency.curve.map { Point(x: $0.percentile, y: $0.ms) })
            },
            xLabel: "percentile", xScale: .percentile, yScale: .logarithmic, yUnit: .milliseconds
        ).svg
    }

    private var timePlots: String {
        let seconds = "seconds of the run"
        return [
            SVGPlot(title: "Events a second", series: throughput, xLabel: seconds, yUnit: .perSecond),
            SVGPlot(title: "CPU by role", series: cpu, xLabel: seconds, yUnit: .cores),
            SVGPlot(title: "Anonymous memory by process", series: memory, xLabel: seconds, yUnit: .kibibytes),
        ].map(\.svg).joined(separator: "\n")
    }

    private var coresTable: String {
        guard let cores else { return "" }
        let rows =
            [Figure("servers", cores.servers, .cores), Figure("generator", cores.generator, .cores)]
            + [Figure("others", cores.others, .cores), Figure("withheld by the host", cores.stolen, .cores)]
            + cores.byRole.map { Figure("of the servers: \($0.name)", $0.value, .cores) }
        return table(["who", "while it was measured"], rows.map { [$0.name, $0.unit.text($0.value)] })
    }

    private var factsTable: String {
        table(
            ["option", "value"],
            facts.options.map { [$0.name, $0.value] }
                + [["processes", facts.processes.map { "\($0.name) (\($0.value))" }.joined(separator: ", ")]])
    }

    private static let style = """
        :root{color-scheme:light dark;--ink:#1d2025;--soft:#667;--line:#dde;--paper:#fff}
        @media(prefers-color-scheme:dark){:root{--ink:#e6e8ec;--soft:#9aa;--line:#334;--paper:#15171b}}
        body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
        main{max-width:920px;margin:0 auto;padding:24px 16px 64px}
        h1{font-size:1.5rem;margin:.2em 0}h2{font-size:1.1rem;margin:2em 0 .5em}
        table{border-collapse:collapse;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:3px 14px 3px 0;border-bottom:1px solid var(--line);vertical-align:top}
        th{color:var(--soft);font-weight:500}.wide{overflow-x:auto}
        .clean{color:#17834a}.warning{color:#c4411f;font-weight:600}
        figure{margin:1.5em 0}figcaption{color:var(--soft);margin-bottom:4px}
        svg{width:100%;height:auto}svg text{fill:var(--soft);font-size:11px}
        svg .grid{stroke:var(--line);stroke-width:1}svg polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
        .legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px}
        .legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
        """
}

import Foundation
import Testing

@testable import LoadBench

@Suite struct FigureUnitTests {
    @Test(arguments: [
        (FigureUnit.count, 1_234_567.0, "1,234,567"), (.count, 0, "0"), (.count, 999, "999"),
        (.count, -1_234, "-1,234"),
        (.perSecond, 12_345.6, "12,346/s"), (.perSecond, 2.5, "2.5/s"), (.milliseconds, 0.456, "0.46 ms"),
        (.milliseconds, 12.34, "12.3 ms"), (.milliseconds, 1_234, "1.23 s"), (.microseconds, 7.2, "7.20 us"),
        (.microseconds, 2_500, "2.50 ms"), (.kibibytes, 3.004, "3.00 KiB"), (.kibibytes, 22_528, "22.0 MiB"),
        (.kibibytes, 3_145_728, "3.00 GiB"), (.cores, 0.456, "0.46 cores"), (.seconds, 5.25, "5.25 s"),
    ])
    func reads(_ unit: FigureUnit, _ value: Double, _ text: String) {
        #expect(unit.text(value) == text)
    }
}

@Suite struct ReportFormTests {
    private func report() -> Report {
        let facts = Report.Facts(
            label: "a <label>", scenario: "direct", date: "2026-11-20T10:00:00Z", version: "0.1",
            options: [.init("rate", "5/s"), .init("odd", "\"<&>'")], cores: 2, kernel: "6.1", processor: "Some CPU",
            processes: [.init("chat-1", "chat")])
        var report = Report(facts: facts)
        var latencies = LatencyRecorder()
        for value in 1...2000 as ClosedRange<UInt64> { latencies.record(nanoseconds: value * 10_000) }
        report.latencies = [latencies.summary("send to receive")]
        report.figures = [.init("delivered", 1_999.5, .perSecond, note: "in the window")]
        report.throughput = [.init(name: "sent", points: [.init(x: 0, y: 10), .init(x: 1, y: 20)])]
        report.steps = [
            .init(
                name: "1,000/s", askedPerSecond: 1000, perSecond: 998, p50Ms: 2, p99Ms: 20, lagP99Ms: 0.4,
                serverUsEach: 300, generatorUsEach: 8, othersCores: 0.3, lost: 0, passed: true)
        ]
        report.correctness.lost = 3
        report.warnings = ["beware"]
        return report
    }

    @Test func jsonIsReadAgain() throws {
        let report = report()
        let json = try #require(try JSONSerialization.jsonObject(with: report.json) as? [String: Any])
        let latency = try #require((json["latencies"] as? [[String: Any]])?.first)
        #expect(latency["p99_ms"] as? Double == report.latencies[0].p99Ms)
        #expect(latency["p999_ms"] != nil)
        #expect((json["correctness"] as? [String: Any])?["out_of_order"] as? Int == 0)
        #expect((json["facts"] as? [String: Any])?["label"] as? String == "a <label>")
        let figure = try #require((json["figures"] as? [[String: Any]])?.first)
        #expect(figure["unit"] as? String == "1/s")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        #expect(try decoder.decode(Report.self, from: report.json) == report)
    }

    @Test func htmlIsWholeEscapedAndNeedsNothingElse() throws {
        let html = report().html
        #expect(html.contains("a &lt;label&gt;"))
        #expect(html.contains("&quot;&lt;&amp;&gt;&#39;"))
        #expect(!html.contains("<label>"))
        for elsewhere in ["http://", "https://", "src=", "href=", "@import", "url(", "<script"] {
            #expect(!html.contains(elsewhere), "\(elsewhere)")
        }
        #expect(html.contains("2,000/s") || html.contains("2.0/s") || html.contains("2,000"))
        #expect(html.contains("lost 3"))
        #expect(html.contains("beware"))
        #expect(html.components(separatedBy: "<svg").count == 3)
    }

    /// Elements close in the order in which they were opened.
    @Test func plotsAreWellFormed() throws {
        var report = report()
        report.cpu = [.init(name: "a & b", points: [.init(x: 0, y: 0), .init(x: 1, y: 1.5)])]
        for figure in report.html.components(separatedBy: "<figure>").dropFirst() {
            let text = "<figure>" + (figure.components(separatedBy: "</figure>").first ?? "") + "</figure>"
            #expect(XMLBalance.isBalanced(text), "\(text.prefix(200))")
        }
    }

    @Test func textHasEveryFigure() {
        let text = report().text
        for part in ["2,000/s; in the window", "p50", "lost 3", "WARNING", "beware", "passed", "direct (a <label>)"] {
            #expect(text.contains(part), "\(part)")
        }
    }
}

/// Whether every element is closed, in order.
private enum XMLBalance {
    static func isBalanced(_ text: String) -> Bool {
        var open: [Substring] = []
        for piece in text.split(separator: "<").map({ $0.prefix { $0 != ">" } }) {
            if piece.hasSuffix("/") { continue }
            let name = piece.prefix { $0 != " " }
            if name.hasPrefix("/") {
                guard open.popLast() == name.dropFirst() else { return false }
            } else {
                open.append(name)
            }
        }
        return open.isEmpty
    }
}

@Suite struct PlotTests {
    @Test func nothingIsNoPlot() {
        #expect(SVGPlot(title: "t", series: [], xLabel: "x", yUnit: .count).svg.isEmpty)
        #expect(SVGPlot(title: "t", series: [.init(name: "a", points: [])], xLabel: "x", yUnit: .count).svg.isEmpty)
    }

    @Test func marksAreNiceAndHoldAllValues() {
        let axis = SVGPlot.Axis([3, 97], scale: .linear)
        #expect(axis.ticks == [0, 20, 40, 60, 80, 100])
        #expect(axis.place(0) == 0)
        #expect(axis.place(50) == 0.5)
        #expect(axis.place(100) == 1)
        let flat = SVGPlot.Axis([0, 0], scale: .linear)
        #expect(flat.place(0) == 0)
    }

    @Test func logarithmsAndPercentiles() {
        let axis = SVGPlot.Axis([0.5, 250], scale: .logarithmic)
        #expect(axis.ticks.map { $0.rounded(.toNearestOrEven) } == [0, 1, 10, 100, 1000])
        #expect(abs(axis.place(1) - 0.25) < 1e-9)
        let percentiles = SVGPlot.Axis([0, 50, 99, 99.9, 100], scale: .percentile)
        #expect(abs(percentiles.place(90) - 1.0 / 3) < 1e-9)
        #expect(abs(percentiles.place(99.9) - 1) < 1e-9)
        #expect(percentiles.place(100) == 1)
    }

    @Test func growthBySecond() {
        let processes: [ClusterProcesses.Process] = [.init(name: "chat-1", role: "chat", pid: 1)]
        func sample(_ time: Double, _ cpu: Double) -> MachineSample {
            MachineSample(
                time: time, cpu: [cpu], anonymousKiB: [Int(time) * 100], generatorCPU: 0, machineBusy: cpu + time,
                machineStolen: 0)
        }
        var report = Report(
            facts: .init(
                label: "", scenario: "", date: "", version: "", options: [], cores: 1, kernel: "", processor: "",
                processes: []))
        report.draw([sample(0, 0), sample(1, 0.5), sample(3, 1.5)], processes: processes)
        #expect(report.cpu.first { $0.name == "chat" }?.points.map(\.y) == [0.5, 0.5])
        #expect(report.cpu.first { $0.name == "others" }?.points.map(\.y) == [1, 1])
        #expect(report.memory.first?.points.map(\.y) == [0, 100, 300])
    }
}

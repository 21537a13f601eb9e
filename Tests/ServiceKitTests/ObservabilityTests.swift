import CoreMetrics
import Logging
import Metrics
import NIOConcurrencyHelpers
import Testing

@testable import ServiceKit

@Suite struct MetricsTests {
    @Test func rendersEveryKind() {
        let registry = MetricsRegistry()
        registry.describe("messages_total", "Messages, by\nkind \\ how.")
        Counter(label: "messages_total", dimensions: [("kind", "a\"b\\c\nd")], factory: registry).increment(by: 3)
        Counter(label: "messages_total", dimensions: [("kind", "e")], factory: registry).increment()
        Meter(label: "open.connections", factory: registry).set(2.5)
        registry.histogram("wait_seconds", [("route", "/x")], buckets: [0.1, 1]).observe(0.5)
        registry.histogram("wait_seconds", [("route", "/x")]).observe(0.1)
        registry.histogram("wait_seconds", [("route", "/x")]).observe(7)
        let text = registry.render()
        for line in [
            "# HELP messages_total Messages, by\\nkind \\\\ how.", "# TYPE messages_total counter",
            "messages_total{kind=\"a\\\"b\\\\c\\nd\"} 3", "messages_total{kind=\"e\"} 1",
            "# TYPE open_connections gauge", "open_connections 2.5", "# TYPE wait_seconds histogram",
            "wait_seconds_bucket{route=\"/x\",le=\"0.1\"} 1", "wait_seconds_bucket{route=\"/x\",le=\"1\"} 2",
            "wait_seconds_bucket{route=\"/x\",le=\"+Inf\"} 3", "wait_seconds_count{route=\"/x\"} 3",
        ] {
            #expect(text.split(separator: "\n").contains { $0 == line }, "\(line)")
        }
    }

    @Test func everyFamilyIsWellFormed() {
        let registry = MetricsRegistry()
        registry.counter("a_total").increment(by: Int64(1))
        Timer(label: "t_seconds", factory: registry).recordMilliseconds(3)
        Recorder(label: "bytes", factory: registry).record(100)
        var types: [Substring: Substring] = [:]
        for line in registry.render().split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3)
            if words[0] == "#" {
                #expect(words[1] == "HELP" || words[1] == "TYPE")
                if words[1] == "TYPE" {
                    #expect(types[words[2]] == nil, "a family twice")
                    types[words[2]] = words[3]
                }
                continue
            }
            let name = line.prefix { $0 != "{" && $0 != " " }
            let family =
                ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) && types[name] == nil }
                .map { name.dropLast($0.count) } ?? name
            #expect(types[family] != nil, "\(line)")
            #expect(Double(line.split(separator: " ").last ?? "") != nil)
        }
        #expect(types["process_resident_memory_bytes"] == "gauge" && types["process_cpu_seconds_total"] == "counter")
        #expect(types["process_open_fds"] == "gauge" && types["process_start_time_seconds"] == "gauge")
    }

    @Test func labelSetsAreBounded() {
        let registry = MetricsRegistry()
        for index in 0..<(MetricsRegistry.seriesLimit + 100) {
            registry.counter("c_total", [("id", "\(index)")]).increment(by: Int64(1))
        }
        let lines = registry.render().split(separator: "\n").filter { $0.hasPrefix("c_total{") }
        #expect(lines.count == MetricsRegistry.seriesLimit + 1)
        #expect(lines.contains("c_total{id=\"other\"} 100"))
    }

    @Test func aClashOfKindsIsHarmless() {
        let registry = MetricsRegistry()
        registry.counter("x").increment(by: Int64(1))
        registry.gauge("x").set(5.0)
        #expect(registry.render().contains("\nx 1\n") || registry.render().contains("x 1\n"))
    }
}

@Suite struct LogTests {
    private func lines(
        _ format: RoostConfiguration.LogFormat, level: Logger.Level = .info, _ body: (Logger) -> Void
    ) -> [String] {
        let lines = NIOLockedValueBox<[String]>([])
        body(
            Logger(label: "roost.test") { label in
                RoostLogHandler(label: label, level: level, format: format) { line in
                    lines.withLockedValue { $0.append(line) }
                }
            })
        return lines.withLockedValue { $0 }
    }

    @Test func text() {
        let lines = lines(.text) { logger in
            logger.info("Began", metadata: [LogKey.node: "chat-1", LogKey.error: "no \"luck\"\nhere"])
            logger.debug("hidden")
        }
        #expect(lines.count == 1)
        #expect(lines[0].hasSuffix("info     roost.test: Began error=\"no \\\"luck\\\"\\nhere\" node.id=chat-1\n"))
        #expect(lines[0].split(separator: "\n").count == 1)
    }

    @Test func json() {
        let lines = lines(.json, level: .trace) { logger in
            logger.warning("Odd \u{1}", metadata: ["list": ["a", "b"], "map": ["k": "v"], LogKey.user: "7"])
        }
        #expect(lines.count == 1)
        #expect(
            lines[0].hasSuffix(
                #""level":"warning","logger":"roost.test","message":"Odd \u0001","list":["a","b"],"map":{"k":"v"},"user.id":"7"}"#
                    + "\n"))
    }
}

import NIOConcurrencyHelpers
import FoundationEssentials

/// Whether a process can do its work, and why not: what `/readyz` answers.
package final class Health: Sendable {
    /// What one part says of itself.
    package struct Report: Sendable, Equatable {
        /// Why the process can't do its work; empty: it can.
        package var reasons: [String]
        /// What an operator should know although the work goes on.
        package var notes: [String]

        package init(reasons: [String] = [], notes: [String] = []) {
            self.reasons = reasons
            self.notes = notes
        }
    }

    package typealias Check = @Sendable () async -> Report

    /// A check that takes longer counts as failed.
    private static let timeout: Duration = .seconds(2)

    private let checks = NIOLockedValueBox<[(name: String, check: Check)]>([])

    package init() {}

    /// Adds a part; `name` is put before what it says.
    package func add(_ name: String, _ check: @escaping Check) {
        checks.withLockedValue { $0.append((name, check)) }
    }

    /// What all parts say, asked at once.
    package func report() async -> Report {
        let checks = checks.withLockedValue { $0 }
        return await withTaskGroup { group in
            for (index, part) in checks.enumerated() {
                group.addTask { (index, part.name, await Self.bounded(part.check)) }
            }
            var parts: [(Int, String, Report)] = []
            for await part in group { parts.append(part) }
            var all = Report()
            for (_, name, report) in parts.sorted(by: { $0.0 < $1.0 }) {
                all.reasons += report.reasons.map { "\(name): \($0)" }
                all.notes += report.notes.map { "\(name): \($0)" }
            }
            return all
        }
    }

    private static func bounded(_ check: @escaping Check) async -> Report {
        await withTaskGroup(of: Report?.self) { group in
            group.addTask { await check() }
            group.addTask {
                try? await Task.sleep(for: timeout)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? Report(reasons: ["does not answer"])
        }
    }
}

/// The endpoints that every process has on its private HTTP address.
package struct Operations: Sendable {
    package struct Answer: Sendable, Equatable {
        package var status: Int
        package var contentType: String
        package var body: String
    }

    package static let paths = ["/livez", "/readyz", "/metrics"]

    private let health: Health
    private let metrics: MetricsRegistry

    package init(health: Health, metrics: MetricsRegistry) {
        self.health = health
        self.metrics = metrics
    }

    /// The answer to a GET of one of `paths`; nil for any other.
    package func answer(_ path: some StringProtocol) async -> Answer? {
        switch path {
        case "/livez":
            return Answer(status: 200, contentType: "application/json", body: #"{"status":"alive"}"#)
        case "/readyz":
            let report = await health.report()
            let body = ReadyBody(
                status: report.reasons.isEmpty ? "ready" : "unavailable", reasons: report.reasons, notes: report.notes)
            let json = (try? RoostJSON.encode(body)) ?? []
            return Answer(
                status: report.reasons.isEmpty ? 200 : 503, contentType: "application/json",
                body: String(decoding: json, as: UTF8.self))
        case "/metrics":
            return Answer(status: 200, contentType: MetricsRegistry.contentType, body: metrics.render())
        default:
            return nil
        }
    }

    private struct ReadyBody: Encodable {
        var status: String
        var reasons: [String]
        var notes: [String]
    }
}

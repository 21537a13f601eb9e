package import Foundation

extension Report {
    /// A summary for a terminal.
    package var text: String {
        var lines: [String] = []
        func line(_ name: String, _ value: String) {
            lines.append(name.padding(toLength: max(22, name.count + 1), withPad: " ", startingAt: 0) + value)
        }
        line("scenario", facts.scenario + (facts.label.isEmpty ? "" : " (\(facts.label))"))
        for figure in figures {
            line(figure.name, figure.unit.text(figure.value) + (figure.note.map { "; \($0)" } ?? ""))
        }
        for step in steps { line(step.name, step.text) }
        for latency in latencies { line(latency.name, latency.text) }
        if let cores {
            let roles = cores.byRole.filter { $0.value >= 0.005 }.map { "\($0.name) \(FigureUnit.fixed($0.value, 2))" }
            line("servers", "\(FigureUnit.cores.text(cores.servers)): \(roles.joined(separator: ", "))")
            line(
                "generator, others",
                "\(FigureUnit.cores.text(cores.generator)), \(FigureUnit.cores.text(cores.others)) of \(facts.cores)")
        }
        line("correctness", correctness.text)
        for warning in warnings { line("WARNING", warning) }
        return lines.joined(separator: "\n")
    }

    package var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return try encoder.encode(self)
        }
    }
}

extension Report.Step {
    var text: String {
        var parts = [
            "\(FigureUnit.perSecond.text(perSecond))", "p50 \(FigureUnit.milliseconds.text(p50Ms))",
            "p99 \(FigureUnit.milliseconds.text(p99Ms))",
            "servers \(FigureUnit.microseconds.text(serverUsEach)) each",
            "generator \(FigureUnit.microseconds.text(generatorUsEach))",
        ]
        if let lagP99Ms { parts.append("send lag p99 \(FigureUnit.milliseconds.text(lagP99Ms))") }
        if othersCores > 0.1 { parts.append("others \(FigureUnit.cores.text(othersCores))") }
        if lost > 0 { parts.append("lost \(lost)") }
        if let passed { parts.append(passed ? "passed" : "FAILED") }
        return parts.joined(separator: ", ")
    }
}

extension LatencySummary {
    var text: String {
        guard count > 0 else { return "nothing measured" }
        return "p50 \(FigureUnit.milliseconds.text(p50Ms)), p90 \(FigureUnit.milliseconds.text(p90Ms)), "
            + "p99 \(FigureUnit.milliseconds.text(p99Ms)), p99.9 \(FigureUnit.milliseconds.text(p999Ms)), "
            + "max \(FigureUnit.milliseconds.text(maxMs)), of \(FigureUnit.count.text(Double(count)))"
    }
}

extension Correctness {
    var text: String {
        "lost \(lost), repeated \(repeated), out of order \(outOfOrder), errors \(errors), "
            + "broken connections \(brokenConnections)" + (firstError.map { "; first error: \($0)" } ?? "")
    }
}

import ArgumentParser
import Foundation
import LoadBench

/// What the scenarios on a cluster have in common.
struct BenchTarget: ParsableArguments {
    @Option(help: "The cluster's data directory; its cluster.json names the gateway and the processes.")
    var dataDir = ".roost"

    @Flag(help: "Connect straight to the chat nodes, past the gateway.")
    var direct = false

    /// WebSocket addresses without a ticket, used in turn.
    func addresses(_ cluster: ClusterProcesses) throws -> [LoadAddress] {
        guard direct else { return [try LoadAddress(cluster.gateway)] }
        let nodes = cluster.chatNodes.compactMap(\.http)
        guard !nodes.isEmpty else { throw BenchFailure("cluster.json lists no chat node with an http address") }
        return try nodes.map { try LoadAddress("ws://\($0)") }
    }
}

/// Where the report goes.
struct BenchOutput: ParsableArguments {
    @Option(help: ArgumentHelp("Write the report as JSON.", valueName: "file")) var json: String?
    @Option(help: ArgumentHelp("Write the report as one HTML page with plots.", valueName: "file")) var html: String?
    @Option(help: "A name for the run, in the report.") var label = ""

    /// Runs a scenario on a cluster and reports; fails where something was not correct.
    func run(
        _ name: String, on target: BenchTarget, options: [(String, String)],
        _ scenario: @Sendable (BenchSession) async throws -> Report
    ) async throws {
        let cluster = try ClusterProcesses.read(dataDirectory: target.dataDir)
        let reach = target.direct ? "the nodes" : "the gateway"
        let report = try await BenchSession.run(
            facts: facts(name, options: options + [("connects to", reach)], processes: cluster.processes),
            cluster: cluster, addresses: try target.addresses(cluster), progress: { progressLine($0) }, scenario)
        try write(report)
    }

    func facts(
        _ scenario: String, options: [(String, String)], processes: [ClusterProcesses.Process]
    ) -> Report.Facts {
        Report.Facts(
            label: label, scenario: scenario, date: Date.now.formatted(.iso8601), version: RoostProgram.version,
            options: options.map { Report.Facts.Option($0.0, $0.1) },
            cores: ProcessInfo.processInfo.activeProcessorCount,
            kernel: Machine.kernel, processor: Machine.processor,
            processes: processes.map { Report.Facts.Option($0.name, $0.role) })
    }

    func write(_ report: Report) throws {
        progressLine("", last: true)
        print(report.text)
        if let json { try report.json.write(to: URL(fileURLWithPath: json)) }
        if let html { try Data(report.html.utf8).write(to: URL(fileURLWithPath: html)) }
        if !report.correctness.isClean { throw ExitCode.failure }
    }
}

/// One line on standard error that is written over while work goes on; nothing where that is no terminal.
func progressLine(_ text: String, last: Bool = false) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)\(last ? "\n" : "")".utf8))
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

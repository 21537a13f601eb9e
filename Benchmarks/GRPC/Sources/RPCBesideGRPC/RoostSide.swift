import Foundation

/// Roost's calls, measured by Roost: `roost bench rpc`.
enum RoostSide {
    static func measure(_ program: String, callers: [Int], seconds: Int) async throws -> [Figures] {
        let file = FileManager.default.temporaryDirectory.appending(path: "rpc-beside-grpc-\(UUID()).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let most = callers.max() ?? 1  // one caller is measured in any case
        try await run(
            program, ["bench", "rpc", "--callers", "\(most)", "--seconds", "\(seconds)", "--json", file.path])
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let report = try decoder.decode(Report.self, from: Data(contentsOf: file))
        return try callers.map { try report.figures(callers: $0) }
    }

    private static func run(_ program: String, _ arguments: [String]) async throws {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        let status: Int32 = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        guard status == 0 else { throw ComparisonFailure("\(program) bench rpc ended with status \(status)") }
    }

    /// What is read of the report.
    private struct Report: Decodable {
        struct Figure: Decodable {
            var name: String
            var value: Double
        }

        struct Latency: Decodable {
            var name: String
            var p50Ms: Double
            var p99Ms: Double
        }

        var figures: [Figure]
        var latencies: [Latency]

        /// The CPU of client and server follow the calls they are of.
        func figures(callers: Int) throws -> Figures {
            let name = callers == 1 ? "1 caller" : "\(callers) callers"
            guard let place = figures.firstIndex(where: { $0.name == "\(name): calls" }), place + 2 < figures.count,
                figures[place + 1].name.contains("client CPU"), figures[place + 2].name.contains("server CPU"),
                let latency = latencies.first(where: { $0.name == name })
            else { throw ComparisonFailure("Roost's report has no figures of \(name)") }
            return Figures(
                callsPerSecond: figures[place].value, p50: latency.p50Ms * 1000, p99: latency.p99Ms * 1000,
                clientCPU: figures[place + 1].value, serverCPU: figures[place + 2].value)
        }
    }
}

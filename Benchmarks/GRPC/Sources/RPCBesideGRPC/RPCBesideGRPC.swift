import ArgumentParser
import Foundation

/// Roost's RPC and gRPC, in turns: two processes, one TCP connection over loopback, unary calls of an echo.
@main
struct RPCBesideGRPC: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "RPCBesideGRPC",
        abstract: "Compares Roost's RPC with grpc-swift-2: calls a second, latency, and CPU of a call.")

    @Option(help: ArgumentHelp("Roost, a release build.", valueName: "file")) var roost = ".build/release/roost"
    @Option(help: "How often each of the two is measured.") var rounds = 3
    @Option(name: .shortAndLong, help: "Seconds of each measurement.") var seconds = 5
    @Option(help: "Callers at once, beside one alone.") var callers = 64
    @Flag(help: .hidden) var serve = false

    func validate() throws {
        guard rounds > 0, seconds > 0, callers > 1 else {
            throw ValidationError("rounds and seconds are at least 1, callers at least 2")
        }
        guard serve || FileManager.default.isExecutableFile(atPath: roost) else {
            throw ValidationError("no program at \(roost): swift build -c release --product roost")
        }
    }

    func run() async throws {
        if serve { return try await GRPCSide.serve() }
        let counts = [1, callers]
        var table = Table(callers: counts)
        for round in 1...rounds {
            // Who begins changes, so that neither always has the machine that the other leaves.
            for side in round.isMultiple(of: 2) ? [Side.grpc, .roost] : [Side.roost, .grpc] {
                let figures =
                    switch side {
                    case .roost: try await RoostSide.measure(roost, callers: counts, seconds: seconds)
                    case .grpc: try await GRPCSide.measure(callers: counts, seconds: seconds)
                    }
                for (count, figures) in zip(counts, figures) {
                    FileHandle.standardError.write(
                        Data("round \(round), \(side.rawValue), callers \(count): \(figures.text)\n".utf8))
                }
                table.add(figures, of: side)
            }
        }
        print(table.text)
    }
}

enum Side: String {
    case roost = "Roost"
    case grpc = "grpc-swift-2"
}

/// What was measured of one side with so many callers.
struct Figures {
    var callsPerSecond: Double
    /// Microseconds, as everything below.
    var p50: Double
    var p99: Double
    var clientCPU: Double
    var serverCPU: Double

    var cpu: Double { clientCPU + serverCPU }

    var text: String {
        String(
            format: "%.0f calls/s, p50 %.0f us, p99 %.0f us, CPU a call %.1f + %.1f us", callsPerSecond, p50, p99,
            clientCPU, serverCPU)
    }
}

/// Why the two could not be compared.
struct ComparisonFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

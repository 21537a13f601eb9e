import Foundation
import Glibc
import NIOConcurrencyHelpers
import Subprocess
import SystemPackage

/// The `roost` program that was built with these tests, run as a person would.
struct RoostProgram: Sendable {
    /// Both are built into one folder.
    static let path: String = {
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = URL(fileURLWithPath: program).deletingLastPathComponent().standardizedFileURL
        return folder.appendingPathComponent("roost").path(percentEncoded: false)
    }()

    /// What it did.
    struct Outcome: Sendable {
        var status: TerminationStatus
        var lines: [String]
    }

    /// Runs it to its end.
    static func run(_ arguments: [String]) async throws -> Outcome {
        try await run(arguments) { _, _ in }
    }

    /// Runs it; `onLine` gets its pid and each line that it says, errors included.
    static func run(
        _ arguments: [String], onLine: @escaping @Sendable (_ pid: Int32, _ line: String) async throws -> Void
    ) async throws -> Outcome {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path(percentEncoded: false)
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .terminate, allowedDurationToNextStep: .seconds(20))]
        let outcome = try await Subprocess.run(
            .path(FilePath(path)), arguments: Arguments(arguments), workingDirectory: FilePath(folder),
            platformOptions: options, input: .none, output: .sequence, error: .combinedWithOutput
        ) { execution in
            var lines: [String] = []
            for try await line in execution.standardOutput.strings() {
                let line = line.trimmingCharacters(in: .newlines)
                lines.append(line)
                try await onLine(execution.processIdentifier.value, line)
            }
            return lines
        }
        return Outcome(status: outcome.terminationStatus, lines: outcome.closureResult)
    }
}

/// Whether a process exists and has not ended.
func isAlive(_ pid: Int32) -> Bool {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let close = text.lastIndex(of: ")")
    else { return false }
    let state = text[text.index(after: close)...].split(separator: " ").first
    return state != "Z" && state != "X"
}

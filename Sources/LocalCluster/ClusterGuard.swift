import Foundation
import Glibc
import Subprocess
import SystemPackage

/// A small process of its own that outlives a cluster which is killed, and ends what that leaves behind. (The kernel's
/// PR_SET_PDEATHSIG is tied to the thread that spawned a process, not to its process, and is lost when the child changes
/// its user, as PostgreSQL must.)
///
/// It reads from a pipe whose other end only the cluster has. A line `done` means that all is well; an end without one, that
/// the cluster is dead.
package enum ClusterGuard {
    /// The guard's side: returns when there is nothing left to guard.
    package static func run(dataDirectory: String, run: String, deletesData: Bool) async {
        // Those who end the cluster want its guard to do its work.
        for number in [SIGINT, SIGTERM, SIGHUP] { signal(number, SIG_IGN) }
        var said: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            let count = buffer.withUnsafeMutableBytes { read(STDIN_FILENO, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            said += buffer.prefix(count)
        }
        if !said.starts(with: "done".utf8), let data = try? DataDirectory(path: dataDirectory) {
            _ = await Leftovers(directory: data, run: run).end()
        }
        if deletesData { try? FileManager.default.removeItem(atPath: dataDirectory) }
    }

    /// The cluster's side: keeps a guard until `body` returns.
    static func with<R: Sendable>(
        executable: String, data: DataDirectory, run: String, deletesData: Bool, body: @Sendable () async throws -> R
    ) async throws -> R {
        var options = PlatformOptions()
        options.createSession = true
        var arguments = ["guard", data.path, run]
        if deletesData { arguments.append("--delete-data") }
        let outcome = try await Subprocess.run(
            .path(FilePath(executable)), arguments: Arguments(arguments), workingDirectory: "/",
            platformOptions: options, input: .inputWriter, output: .discarded, error: .discarded
        ) { execution in
            let result: Result<R, any Error>
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            // If it is gone, there is no one to tell.
            _ = try? await execution.standardInputWriter.write("done\n")
            try? await execution.standardInputWriter.finish()
            return result
        }
        return try outcome.closureResult.get()
    }
}

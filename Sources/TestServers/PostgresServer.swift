import Glibc
import NIOConcurrencyHelpers

/// A private PostgreSQL 15 on a free port, with its data in a temporary folder.
package final class PostgresServer: Sendable {
    package let directory: String
    package let port: Int
    private let settings: [String: String]
    private let process = NIOLockedValueBox<ServerProcess?>(nil)

    /// By TCP.
    package var dsn: String { "host=127.0.0.1 port=\(port) user=postgres dbname=postgres sslmode=disable" }
    /// By its Unix socket.
    package var socketDSN: String { "host=\(directory) port=\(port) user=postgres dbname=postgres" }
    /// Another database of the same server.
    package func dsn(database: String) -> String {
        "host=127.0.0.1 port=\(port) user=postgres dbname=\(database) sslmode=disable"
    }

    /// Runs `body` with a new server, which is ended and removed afterwards.
    /// - Parameter fsync: off is faster and enough wherever the machine itself isn't going to fail.
    package static func withServer<R>(
        fsync: Bool = false, settings: [String: String] = [:], _ body: (PostgresServer) async throws -> R
    ) async throws -> R {
        let server = try PostgresServer(fsync: fsync, settings: settings)
        do {
            try await server.start()
            let result = try await body(server)
            await server.remove()
            return result
        } catch {
            await server.remove()
            throw error
        }
    }

    /// Makes the data folder; `start()` and in the end `remove()` are the caller's.
    package init(fsync: Bool = false, settings: [String: String] = [:]) throws(TestServerError) {
        directory = try TestEnvironment.makeTemporaryDirectory("roost-postgres")
        port = try TestEnvironment.freePort()
        self.settings = [
            "port": "\(port)", "listen_addresses": "127.0.0.1", "unix_socket_directories": directory,
            "fsync": fsync ? "on" : "off", "shared_buffers": "32MB", "max_connections": "60", "log_timezone": "UTC",
        ].merging(settings) { $1 }
        if getuid() == 0 { TestEnvironment.run(["chown", "postgres:postgres", directory]) }
        let log = directory + "/initdb.log"
        let status = TestEnvironment.run(
            Self.asPostgres([
                Self.program("initdb"), "-D", directory + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                "--locale=C.UTF-8", "--no-sync", "--no-instructions",
            ]), output: log)
        guard status == 0 else { throw TestServerError("initdb: \(Processes.readFile(log) ?? "status \(status)")") }
    }

    /// Starts the server and waits until it answers.
    package func start() async throws {
        let arguments = [Self.program("postgres"), "-D", directory + "/data"]
        let process = try ServerProcess(
            Self.asPostgres(
                arguments + settings.sorted { $0.key < $1.key }.flatMap { ["-c", "\($0.key)=\($0.value)"] }),
            output: log)
        self.process.withLockedValue { $0 = process }
        for _ in 0..<1500 {
            // Its eighth line says "ready" once connections are accepted. It may be one that a killed server has left.
            if let file = Processes.readFile(directory + "/data/postmaster.pid"), let postmaster,
                process.processes.contains(postmaster),
                file.split(separator: "\n", omittingEmptySubsequences: false).dropFirst(7).first?.hasPrefix("ready")
                    == true
            {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
            if process.processes.isEmpty { break }
        }
        throw TestServerError("PostgreSQL doesn't start: \(Processes.readFile(log) ?? "")")
    }

    /// An orderly, fast shutdown.
    package func stop() async {
        guard let process = process.withLockedValue({ $0 }) else { return }
        if let postmaster { _ = Glibc.kill(postmaster, SIGINT) }
        for _ in 0..<500 where !process.processes.isEmpty { try? await Task.sleep(for: .milliseconds(20)) }
        await end()
    }

    /// kill -9 of everything.
    package func kill() async { await end() }

    /// SIGSTOP to everything: connections stay open, nothing is answered.
    package func pause() { process.withLockedValue { $0 }?.signal(SIGSTOP) }

    package func resume() { process.withLockedValue { $0 }?.signal(SIGCONT) }

    /// Ends the server and deletes all of it.
    package func remove() async {
        resume()
        if let process = process.withLockedValue({ $0 }), let postmaster, process.processes.contains(postmaster) {
            _ = Glibc.kill(postmaster, SIGQUIT)  // frees its shared memory
            for _ in 0..<200 where !process.processes.isEmpty { try? await Task.sleep(for: .milliseconds(10)) }
        }
        await end()
        TestEnvironment.removeDirectory(directory)
    }

    /// What the server has logged.
    package var logText: String { Processes.readFile(log) ?? "" }

    private var log: String { directory + "/server.log" }

    private var postmaster: pid_t? {
        Processes.readFile(directory + "/data/postmaster.pid")?.split(separator: "\n").first.flatMap { pid_t($0) }
    }

    private func end() async {
        let process = process.withLockedValue { process in
            defer { process = nil }
            return process
        }
        await process?.end()
    }

    private static func program(_ name: String) -> String {
        let debian = "/usr/lib/postgresql/15/bin/" + name
        return access(debian, X_OK) == 0 ? debian : name
    }

    /// PostgreSQL refuses to run as root.
    private static func asPostgres(_ arguments: [String]) -> [String] {
        if getuid() != 0 { return arguments }
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] + arguments
    }
}

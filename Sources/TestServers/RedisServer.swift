import Glibc

/// A private Redis without persistence, on a free port, its files in a temporary folder.
package final class RedisServer: Sendable {
    package let port: Int
    package let folder: String
    private let process: PrivateServer
    private let password: String?

    /// `host:port`
    package var address: String { "127.0.0.1:\(self.port)" }

    private init(password: String?) throws {
        self.port = try TestEnvironment.freePort()
        self.folder = try TestEnvironment.makeTemporaryDirectory("roost-redis")
        self.password = password
        self.process = PrivateServer(
            [
                "/usr/bin/redis-server", "--port", "\(self.port)", "--bind", "127.0.0.1", "--save", "", "--appendonly",
                "no",
                "--dir", self.folder,
            ] + (password.map { ["--requirepass", $0] } ?? []), log: self.folder + "/redis.log")
    }

    /// Runs `body` with a server of its own, which is gone afterwards.
    package static func withServer<R>(
        password: String? = nil, _ body: (RedisServer) async throws -> R
    ) async throws -> R {
        let server = try RedisServer(password: password)
        defer { TestEnvironment.removeDirectory(server.folder) }
        do {
            try await server.start()
            let result = try await body(server)
            await server.kill()
            return result
        } catch {
            await server.kill()
            throw error
        }
    }

    /// Starts it, empty, on the same port; returns when it answers.
    package func start() async throws {
        try await self.process.start {
            let answer = PrivateServer.ask(port: self.port, "PING\r\n")
            return answer?.hasPrefix("+PONG") == true || answer?.hasPrefix("-NOAUTH") == true
        }
    }

    /// Ends it in good order.
    package func stop() async { await self.process.stop() }
    /// Ends it as a crash would.
    package func kill() async { await self.process.kill() }
    /// It keeps its connections and accepts new ones, but does nothing.
    package func pause() { self.process.signal(SIGSTOP) }
    package func resume() { self.process.signal(SIGCONT) }
}

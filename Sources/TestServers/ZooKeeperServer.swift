import Foundation
import Glibc

/// A private ZooKeeper (one server), on a free port, its files in a temporary folder.
package final class ZooKeeperServer: Sendable {
    package let port: Int
    package let folder: String
    private let process: PrivateServer

    /// `host:port`
    package var address: String { "127.0.0.1:\(self.port)" }

    private init(tickTime: Int) throws {
        self.port = try TestEnvironment.freePort()
        self.folder = try TestEnvironment.makeTemporaryDirectory("roost-zookeeper")
        let configuration = """
            tickTime=\(tickTime)
            minSessionTimeout=\(tickTime)
            maxSessionTimeout=60000
            dataDir=\(self.folder)/data
            clientPort=\(self.port)
            clientPortAddress=127.0.0.1
            admin.enableServer=false
            4lw.commands.whitelist=*
            maxClientCnxns=0

            """
        let file = self.folder + "/zoo.cfg"
        try configuration.write(toFile: file, atomically: true, encoding: .utf8)
        self.process = PrivateServer(
            [
                "/usr/bin/java", "-Xms16m", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss256k",
                // Tests' servers needn't survive a crash of the machine.
                "-Dzookeeper.forceSync=no", "-cp",
                "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/*",
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", file,
            ], log: self.folder + "/zookeeper.log")
    }

    /// Runs `body` with a server of its own, which is gone afterwards.
    /// - Parameter tickTime: In milliseconds; the shortest session, and how exactly sessions expire.
    package static func withServer<R>(
        tickTime: Int = 500, _ body: (ZooKeeperServer) async throws -> R
    ) async throws -> R {
        let server = try ZooKeeperServer(tickTime: tickTime)
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

    /// Starts it with the data that it had, on the same port; returns when it answers.
    package func start() async throws {
        try await self.process.start {
            PrivateServer.ask(port: self.port, "srvr")?.contains("Mode: standalone") == true
        }
    }

    /// Ends it in good order.
    package func stop() async { await self.process.stop() }
    /// Ends it as a crash would.
    package func kill() async { await self.process.kill() }
    /// It keeps its connections and accepts new ones, but does nothing.
    package func pause() { self.process.signal(SIGSTOP) }
    package func resume() { self.process.signal(SIGCONT) }

    /// Kills it, and starts it without any data.
    package func restartEmpty() async throws {
        await self.kill()
        TestEnvironment.removeDirectory(self.folder + "/data")
        try await self.start()
    }
}

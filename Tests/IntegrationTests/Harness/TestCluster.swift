import Client
import Foundation
import Glibc
import LocalCluster
import NIOConcurrencyHelpers
import Testing

/// A cluster of debug builds with three chat nodes and without rate limits, in a temporary folder.
final class TestCluster: Sendable {
    @TaskLocal static var current: TestCluster?

    /// The cluster of `ClusterSuite`.
    static func shared() async throws -> TestCluster {
        guard let current else {
            throw LocalClusterError(.configuration, "no cluster: this test is not in an extension of ClusterSuite")
        }
        return current
    }

    /// The parts, to kill, pause, stop and start.
    let local: LocalCluster
    let rest: RESTClient
    /// How long ZooKeeper keeps a node that doesn't answer.
    let sessionTimeout = Duration.seconds(4)
    private let account = NIOLockedValueBox<Account?>(nil)

    private init(local: LocalCluster) {
        self.local = local
        rest = RESTClient(base: local.gateway)
    }

    static func with<R: Sendable>(
        _ change: (inout LocalClusterOptions) -> Void = { _ in }, body: @Sendable (TestCluster) async throws -> R
    ) async throws -> R {
        var options = LocalClusterOptions(executable: RoostProgram.path)
        options.port = 0
        options.dataDirectory = temporaryFolder()
        options.deletesData = true
        options.limits = false
        options.environment = ["ROOST_SESSION_TIMEOUT_MS": "4000", "ROOST_SCRYPT_LOG_N": "4"]
        change(&options)
        return try await LocalCluster.withCluster(options) { local in
            try await body(TestCluster(local: local))
        }
    }

    /// A new name; who uses it makes the folder.
    static func temporaryFolder() -> String {
        NSTemporaryDirectory() + "roost-integration-" + UUID().uuidString.prefix(8)
    }

    var adminToken: String { local.file.adminToken }

    /// `cluster.json`, read anew.
    func file() throws -> ClusterFile {
        try ClusterFile.read(local.data.clusterFile)
    }

    func process(_ name: String) throws -> ClusterFile.Process {
        try #require(try file().process(named: name), "cluster.json has no process called \(name)")
    }

    /// Sends a signal to a part's process, which is restarted if that ends it.
    func signal(_ name: String, _ number: Int32) throws {
        guard local.kill(name, number) else {
            throw LocalClusterError(.partFailed, "\(name) has no process that could get signal \(number)")
        }
    }

    /// The chat nodes as discovery lists them, by id.
    func nodes() async throws -> [String: JSONValue] {
        let answer = try await rest.json("GET", "/discovery-service/v1/nodes", token: adminToken)
        let pairs = (answer["items"].array ?? []).compactMap { node in node["id"].string.map { ($0, node) } }
        return Dictionary(pairs) { first, _ in first }
    }

    /// Waits until every part is ready, every chat node is listed as serving, and a client could chat.
    func waitUntilWhole(within patience: Duration = .seconds(60)) async throws {
        let names = local.file.processes.map(\.name)
        for name in names { try await local.untilRestarted(name, after: 0, patience: patience) }
        try await local.untilHealthy(patience: patience)
        let expected = Set(names.filter { $0.hasPrefix("chat-") })
        let clock = ContinuousClock()
        let deadline = clock.now + patience
        while true {
            let answer = try? await rest.json("GET", "/discovery-service/v1/nodes", token: adminToken)
            let serving = (answer?["items"].array ?? []).filter { $0["state"] == "serving" }
            if Set(serving.compactMap(\.["id"].string)) == expected, answer?["stale"] == false { return }
            guard clock.now < deadline else {
                throw LocalClusterError(.partFailed, "after \(patience) discovery lists \(answer ?? .null)")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Memory of each process that isn't in a file, by its name.
    func residentKiB() throws -> [String: Int] {
        var result: [String: Int] = [:]
        for process in try file().processes {
            let status = try String(contentsOfFile: "/proc/\(process.pid)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
            result[process.name] = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
        }
        return result
    }

    /// An account for tests that need just any.
    func someone() async throws -> Account {
        if let account = account.withLockedValue({ $0 }) { return account }
        let token = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        let made = try await Account.register(rest, username: "someone-\(token)")
        return account.withLockedValue { account in
            if let account { return account }
            account = made
            return made
        }
    }
}

import ArgumentParser
import Cluster
import FoundationEssentials
import Logging
import ServiceKit
import ZooKeeper

/// `roost status`: the nodes and services as ZooKeeper has them.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the nodes and services as ZooKeeper has them.")

    @Flag(help: "Keep showing them as they change, until Ctrl-C.")
    var watch = false

    @Option(help: "The data folder of `roost up`, whose ZooKeeper is asked unless ROOST_ZOOKEEPER is set.")
    var dataDir = ".roost"

    @Option(name: .customLong("config"), help: "A JSON file with the configuration.")
    var configFile: String?

    func run() async throws {
        do {
            try await show()
        } catch let error as ConfigurationError {
            RunCommand.complain(error.description)
            throw ExitCode(78)
        } catch let error as ZooKeeperError {
            RunCommand.complain("can't read ZooKeeper: \(error)")
            throw ExitCode.failure
        }
    }

    private func show() async throws {
        let configuration = try await RoostConfiguration.load(file: configFile)
        let servers = try configuration.zookeeper ?? serversOfLocalCluster()
        var logger = Logger(label: "roost.status", configuration: configuration)
        logger.logLevel = .error
        let client = ZooKeeperClient(
            configuration: ZooKeeperConfiguration(
                servers: servers, sessionTimeout: configuration.sessionTimeout,
                auth: configuration.zookeeperAuth.flatMap { ZooKeeperConfiguration.Digest($0) }),
            logger: logger)
        let membership = MembershipView(logger: logger)
        try await withThrowingTaskGroup { group in
            group.addTask { try await client.run() }
            group.addTask { try await membership.run(client) }
            group.addTask { [watch] in
                if watch {
                    for await snapshot in membership.changes { Self.redraw(snapshot, servers: servers) }
                } else {
                    try await client.connected(within: .seconds(5))
                    let snapshot = try await membership.first { !$0.stale }
                    print(StatusTable.render(snapshot, now: UnixClock.now()), terminator: "")
                }
            }
            // The first to end is the one that shows, or one that failed.
            while let _ = try await group.next() {
                group.cancelAll()
                return
            }
        }
    }

    private static func redraw(_ snapshot: MembershipSnapshot, servers: String) {
        let time = Timestamp(milliseconds: UnixClock.now())
        let stale = snapshot.stale ? "  (ZooKeeper at \(servers) can't be reached; last known)" : ""
        // Home, then each line cleared to its end, then what is below: no flicker.
        let body = "\(time)\(stale)\n\n" + StatusTable.render(snapshot, now: time.milliseconds)
        print("\u{1B}[H" + body.replacing("\n", with: "\u{1B}[K\n") + "\u{1B}[J", terminator: "")
    }

    /// What `roost up` wrote.
    private func serversOfLocalCluster() throws(ConfigurationError) -> String {
        struct ClusterFile: Decodable {
            var zookeeper: String
        }
        let path = "\(dataDir)/cluster.json"
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path)) else {
            throw ConfigurationError(
                key: "", message: "there is no \(path): is `roost up` running here? Else set ROOST_ZOOKEEPER")
        }
        guard let file = try? JSONDecoder().decode(ClusterFile.self, from: data) else {
            throw ConfigurationError(key: "", message: "\(path) says no ZooKeeper")
        }
        return file.zookeeper
    }
}

/// The table that `roost status` prints.
enum StatusTable {
    private static let head = ["ROLE", "ID", "STATE", "LOAD", "CONNECTIONS", "VERSION", "UPTIME", "HTTP", "RPC"]

    /// - Parameter now: Unix milliseconds.
    static func render(_ snapshot: MembershipSnapshot, now: Int64) -> String {
        var rows = [head]
        for (_, members) in snapshot.membersByRole.sorted(by: { $0.key < $1.key }) {
            for member in members { rows.append(row(member.record, now: now)) }
        }
        guard rows.count > 1 else { return "No node is registered.\n" }
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell + String(repeating: " ", count: widths[column] - cell.count + 2)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    private static func row(_ record: NodeRecord, now: Int64) -> [String] {
        let carries = record.capacity > 0
        return [
            record.role, record.id, record.state.rawValue,
            carries ? "\(Int((record.load * 100).rounded()))%" : "-",
            carries ? "\(record.connections)/\(record.capacity)" : "-",
            record.version, uptime(milliseconds: now - record.startedAt), record.http, record.rpc,
        ]
    }

    static func uptime(milliseconds: Int64) -> String {
        let seconds = max(0, milliseconds / 1000)
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h\(seconds / 60 % 60)m"
        default: return "\(seconds / 86_400)d\(seconds / 3600 % 24)h"
        }
    }
}

import Foundation

/// What `cluster.json` says of a running cluster, as far as a benchmark needs it.
package struct ClusterProcesses: Decodable, Sendable {
    package struct Process: Decodable, Sendable, Equatable {
        package var name: String
        package var role: String
        package var pid: Int32
        package var http: String?

        package init(name: String, role: String, pid: Int32, http: String? = nil) {
            (self.name, self.role, self.pid, self.http) = (name, role, pid, http)
        }
    }

    package var gateway: String
    package var processes: [Process]

    /// Where it was read from.
    package var directory: String?

    private enum CodingKeys: CodingKey { case gateway, processes }

    package init(gateway: String, processes: [Process]) { (self.gateway, self.processes) = (gateway, processes) }

    /// The processes as they are now: one that died was started anew. nil where nothing can be read.
    package var current: [Process]? { directory.flatMap { try? Self.read(dataDirectory: $0).processes } }

    /// Reads `cluster.json` of a data directory.
    package static func read(dataDirectory: String) throws -> ClusterProcesses {
        let path = dataDirectory + "/cluster.json"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BenchFailure("no \(path): start a cluster with `roost up --no-limits` first, or name its --data-dir")
        }
        var cluster = try JSONDecoder().decode(ClusterProcesses.self, from: data)
        cluster.directory = dataDirectory
        return cluster
    }

    package var chatNodes: [Process] { processes.filter { $0.role == "chat" } }
}

/// Why a benchmark could not be run.
package struct BenchFailure: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

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

    package init(gateway: String, processes: [Process]) { (self.gateway, self.processes) = (gateway, processes) }

    /// Reads `cluster.json` of a data directory.
    package static func read(dataDirectory: String) throws -> ClusterProcesses {
        let path = dataDirectory + "/cluster.json"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BenchFailure("no \(path): start a cluster with `roost up --no-limits` first, or name its --data-dir")
        }
        return try JSONDecoder().decode(ClusterProcesses.self, from: data)
    }

    package var chatNodes: [Process] { processes.filter { $0.role == "chat" } }
}

/// Why a benchmark could not be run.
package struct BenchFailure: Error, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

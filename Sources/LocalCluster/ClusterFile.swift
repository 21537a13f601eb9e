import Foundation

/// `cluster.json`: what a running cluster tells scripts and tests about itself.
package struct ClusterFile: Codable, Equatable, Sendable {
    package struct Process: Codable, Equatable, Sendable {
        package var name: String
        package var role: String
        /// The running process, or, while it is being restarted, the last one.
        package var pid: Int32
        /// `host:port`
        package var rpc: String?
        /// `host:port`
        package var http: String?
    }

    /// The gateway's URL.
    package var gateway: String
    /// The operator's bearer token.
    package var adminToken: String
    /// `host:port`
    package var zookeeper: String
    /// A connection URL for libpq.
    package var postgres: String
    /// `host:port`
    package var redis: String
    package var processes: [Process]

    enum CodingKeys: String, CodingKey {
        case gateway
        case adminToken = "admin_token"
        case zookeeper, postgres, redis, processes
    }

    package func process(named name: String) -> Process? {
        processes.first { $0.name == name }
    }

    package static func read(_ path: String) throws -> ClusterFile {
        try JSONDecoder().decode(ClusterFile.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Readers see the old or the new one.
    func write(_ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try AtomicFile.write(encoder.encode(self), to: path)
    }
}

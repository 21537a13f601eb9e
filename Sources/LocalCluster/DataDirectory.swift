import Foundation
import Glibc

/// The folder in which a cluster keeps everything: `cluster.json`, `secrets.json`, `logs/`, `run/` (a record of each
/// process), `state/` (a folder for each process) and the lock that lets one cluster use it at a time.
package struct DataDirectory: Sendable {
    /// Absolute.
    package let path: String
    let secrets: Secrets

    package var clusterFile: String { "\(path)/cluster.json" }
    package var logs: String { "\(path)/logs" }
    var records: String { "\(path)/run" }

    func state(of part: String) -> String { "\(path)/state/\(part)" }
    package func log(of part: String) -> String { "\(logs)/\(part).log" }

    /// Makes the folder, and secrets if it has none.
    init(path: String) throws {
        self.path = Self.absolute(path)
        for folder in ["", "/logs", "/run", "/state"] {
            do {
                try FileManager.default.createDirectory(
                    atPath: self.path + folder, withIntermediateDirectories: true,
                    // PostgreSQL runs as a user of its own and must get to its folder, which is its own.
                    attributes: [.posixPermissions: folder == "" || folder == "/state" ? 0o755 : 0o700])
            } catch {
                throw LocalClusterError(.dataDirectory, "cannot make the folder \(self.path)\(folder): \(error)")
            }
        }
        secrets = try Secrets.read(orMake: "\(self.path)/secrets.json")
    }

    static func absolute(_ path: String) -> String {
        let url = URL(fileURLWithPath: path).standardizedFileURL
        var result = url.path(percentEncoded: false)
        while result.count > 1 && result.hasSuffix("/") { result.removeLast() }
        // /proc names folders by their real path.
        guard let real = realpath(result, nil) else { return result }
        defer { free(real) }
        return String(cString: real)
    }

    /// Holds the folder until the returned lock goes away.
    func lock() throws -> DataDirectoryLock {
        let file = "\(path)/lock"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LocalClusterError(.dataDirectory, "cannot open \(file): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
            close(descriptor)
            throw LocalClusterError(
                .dataDirectoryInUse,
                "another cluster\(holder.isEmpty ? "" : " (process \(holder))") uses \(path): stop it, or choose another folder with --data-dir"
            )
        }
        ftruncate(descriptor, 0)
        let pid = Array("\(getpid())".utf8)
        _ = pid.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        return DataDirectoryLock(descriptor: descriptor)
    }
}

/// The lock on a data directory. The kernel takes it back when this process ends, however it ends.
final class DataDirectoryLock: Sendable {
    private let descriptor: Int32

    fileprivate init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }
}

/// What only this cluster's processes and its operator know; made once for a data directory.
struct Secrets: Codable, Equatable, Sendable {
    /// Names the cluster, for finding its processes again.
    var cluster: String
    /// The key by which RPC peers prove that they belong.
    var rpc: String
    /// The operator's bearer token.
    var admin: String
    /// The password of user `roost` at ZooKeeper.
    var zookeeper: String
    /// The password of user `roost` at PostgreSQL.
    var postgres: String

    static func make() -> Secrets {
        Secrets(cluster: hex(8), rpc: hex(32), admin: hex(24), zookeeper: hex(16), postgres: hex(16))
    }

    static func read(orMake path: String) throws -> Secrets {
        if let data = FileManager.default.contents(atPath: path) {
            do {
                return try JSONDecoder().decode(Secrets.self, from: data)
            } catch {
                throw LocalClusterError(.dataDirectory, "\(path) is damaged: \(error)")
            }
        }
        if access(path, F_OK) == 0 {
            throw LocalClusterError(.dataDirectory, "cannot read \(path): it belongs to another user")
        }
        let made = make()
        try AtomicFile.write(JSONEncoder().encode(made), to: path)
        return made
    }

    private static func hex(_ bytes: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<bytes).map { _ in
            let byte = UInt8.random(in: 0...255, using: &generator)
            return String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }
}

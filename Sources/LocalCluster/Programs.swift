import Foundation
import Glibc

/// Where this machine has the servers that a cluster is made of.
struct Programs: Sendable {
    var nginx: String
    var redis: String
    var java: String
    /// What `java -cp` needs to find ZooKeeper.
    var zookeeperClassPath: String
    /// The folder with `postgres` and `initdb`.
    var postgres: String
    /// For running PostgreSQL, which refuses to be root, as another user; nil when we aren't root.
    var setpriv: String?

    /// Finds them, or says which package is missing.
    static func find(path: String = ProcessInfo.processInfo.environment["PATH"] ?? "") throws -> Programs {
        // nginx and others are in folders that a plain user's PATH lacks.
        let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/local/sbin", "/usr/bin"]
        func program(_ name: String, of server: String, package: String) throws -> String {
            guard let folder = folders.first(where: { access("\($0)/\(name)", X_OK) == 0 }) else {
                throw missing(server, package)
            }
            return "\(folder)/\(name)"
        }
        return try Programs(
            nginx: program("nginx", of: "nginx", package: "nginx-light"),
            redis: program("redis-server", of: "Redis", package: "redis-server"),
            java: program("java", of: "Java, which ZooKeeper needs,", package: "default-jre-headless"),
            zookeeperClassPath: zookeeper(),
            postgres: postgresFolder(folders),
            setpriv: geteuid() == 0 ? program("setpriv", of: "setpriv", package: "util-linux") : nil)
    }

    private static func missing(_ server: String, _ package: String) -> LocalClusterError {
        LocalClusterError(
            .programMissing, "\(server) is not installed: run `make setup`, or `apt-get install \(package)`")
    }

    /// Debian's package, or an unpacked release at ZOOKEEPER_HOME.
    private static func zookeeper() throws -> String {
        if let home = ProcessInfo.processInfo.environment["ZOOKEEPER_HOME"], access("\(home)/lib", R_OK) == 0 {
            return "\(home)/lib/*"
        }
        guard access("/usr/share/java/zookeeper.jar", R_OK) == 0 else { throw missing("ZooKeeper", "zookeeper") }
        return "/usr/share/java/zookeeper.jar:/usr/share/java/*"
    }

    /// Debian keeps each version's programs apart: the newest.
    private static func postgresFolder(_ folders: [String]) throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }
        let candidates = versions.sorted(by: >).map { "\(root)/\($0)/bin" } + folders
        let found = candidates.first { folder in
            access("\(folder)/postgres", X_OK) == 0 && access("\(folder)/initdb", X_OK) == 0
        }
        guard let found else { throw missing("PostgreSQL", "postgresql") }
        return found
    }
}

func readFile(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
}

import Foundation
import Glibc

/// A private Redis on loopback. It writes nothing to disk: all that Roost keeps in it can be rebuilt.
enum RedisPart {
    static func definition(data: DataDirectory, programs: Programs, port: Int) -> PartDefinition {
        let directory = data.state(of: "redis")
        let address = "127.0.0.1:\(port)"
        return PartDefinition(
            name: "redis", role: "redis",
            command: [
                programs.redis, "--port", "\(port)", "--bind", "127.0.0.1", "--dir", directory, "--save", "",
                "--appendonly", "no", "--daemonize", "no", "--maxclients", "4096", "--tcp-backlog", "511",
                "--loglevel", "notice",
            ],
            directory: directory, stopSignal: SIGTERM, stopPatience: .seconds(5), probe: .redis(address: address),
            http: address,
            prepare: { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) })
    }
}

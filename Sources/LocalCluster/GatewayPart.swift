import Foundation
import Glibc

/// nginx, as the one door to the cluster.
enum GatewayPart {
    static let name = "nginx"

    static func definition(
        data: DataDirectory, programs: Programs, share: String, configuration: GatewayConfiguration, port: Int
    ) -> PartDefinition {
        let directory = data.state(of: name)
        let probed = "\(configuration.listen.first ?? "127.0.0.1:\(port)")"
        return PartDefinition(
            name: name, role: name,
            command: [
                programs.nginx, "-p", directory, "-e", "stderr", "-c", "\(directory)/nginx.conf",
                "-g", "daemon off;",
            ],
            directory: directory,
            // Fast shutdown: chat nodes have said goodbye to their clients before.
            stopSignal: SIGTERM, stopPatience: .seconds(5), probe: .http(address: probed, path: "/"), http: probed,
            prepare: { try write(configuration, share: share, directory: directory) })
    }

    static func write(_ configuration: GatewayConfiguration, share: String, directory: String) throws {
        try FileManager.default.createDirectory(atPath: "\(directory)/temp", withIntermediateDirectories: true)
        let template = try readFile("\(share)/infra/nginx/nginx.conf.template")
        try AtomicFile.write(Data(configuration.render(template).utf8), to: "\(directory)/nginx.conf")
    }
}

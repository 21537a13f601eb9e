import Foundation
import Glibc

/// Everything that a cluster consists of, decided before anything is started.
struct ClusterPlan: Sendable {
    /// Stages in order; the parts of one start together.
    var stages: [[PartDefinition]]
    /// Without processes.
    var file: ClusterFile

    init(options: LocalClusterOptions, data: DataDirectory, programs: Programs, ports: Ports) throws {
        guard options.roles.allSatisfy({ $0.instances > 0 }) else {
            throw LocalClusterError(.configuration, "there must be at least one process of each role")
        }
        let share = try options.findShare()
        let gatewayPort = options.port == 0 ? try ports.take() : options.port
        let gateway = "http://localhost:\(gatewayPort)"

        let zookeeper = try ZooKeeperPart.definition(data: data, programs: programs, port: ports.take())
        let redis = try RedisPart.definition(data: data, programs: programs, port: ports.take())
        let server = try PostgresPart(data: data, programs: programs, port: ports.take())
        let postgres = try server.definition()
        stages = [[zookeeper, postgres, redis]]

        let surroundings = RoleSurroundings(
            options: options, data: data, share: share, gateway: gateway, zookeeper: zookeeper.http ?? "",
            postgres: server.dsn, redis: redis.http ?? "")
        for stage in Set(options.roles.map(\.stage)).sorted() {
            var parts: [PartDefinition] = []
            for entry in options.roles where entry.stage == stage {
                for name in entry.names {
                    try parts.append(
                        surroundings.definition(
                            name, role: entry.role, rpcPort: ports.take(), httpPort: ports.take()))
                }
            }
            stages.append(parts)
        }

        if options.gateway {
            let discovery = stages.joined().filter { $0.role == "discovery" }.compactMap(\.http)
            let addresses = options.addresses.filter { Self.exists($0) }
            for address in addresses where !Ports.isFree(gatewayPort, address: address) {
                throw LocalClusterError(
                    .portInUse,
                    "port \(gatewayPort) is in use: stop what listens there (`ss -ltnp 'sport = :\(gatewayPort)'` shows it), or choose another with --port"
                )
            }
            var configuration = GatewayConfiguration(
                listen: addresses.map { $0.contains(":") ? "[\($0)]:\(gatewayPort)" : "\($0):\(gatewayPort)" },
                pages: "\(share)/Sources/WebClient/Public",
                // A cluster without discovery is for tests of the gateway alone.
                discovery: discovery.isEmpty ? ["127.0.0.1:9"] : discovery)
            configuration.workers = min(max(ProcessInfo.processInfo.activeProcessorCount, 2), 8)
            configuration.files = GatewayConfiguration.mostFiles()
            configuration.user = Self.userName()
            configuration.direct = options.direct
            stages.append([
                GatewayPart.definition(
                    data: data, programs: programs, share: share, configuration: configuration, port: gatewayPort)
            ])
        }
        file = ClusterFile(
            gateway: gateway, adminToken: data.secrets.admin, zookeeper: zookeeper.http ?? "", postgres: server.dsn,
            redis: redis.http ?? "", processes: [])
    }

    /// Whether this machine has an address (IPv6 may be off).
    private static func exists(_ address: String) -> Bool {
        Ports.isFree(0, address: address)
    }

    private static func userName() -> String {
        guard let entry = getpwuid(geteuid()) else { return "root" }
        return String(cString: entry.pointee.pw_name)
    }
}

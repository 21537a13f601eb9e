import Foundation
import Glibc

/// Roost's own processes: which roles a cluster runs, and how each is started.
package struct RoleEntry: Sendable, Equatable {
    /// As `roost run --roles` knows it.
    package var role: String
    /// Its place in the order: those of a stage start together, once all of the stage before are ready.
    package var stage: Int
    /// One process for each. A single one is called like its role, several are numbered from 1.
    package var instances: Int
    /// Its processes are numbered even when there is only one.
    package var isNumbered = false

    package init(_ role: String, stage: Int, instances: Int = 1, isNumbered: Bool = false) {
        self.role = role
        self.stage = stage
        self.instances = instances
        self.isNumbered = isNumbered
    }

    var names: [String] {
        instances == 1 && !isNumbered ? [role] : (1...max(instances, 1)).map { "\(role)-\($0)" }
    }

    /// What a whole cluster consists of.
    package static func standard(chatNodes: Int) -> [RoleEntry] {
        [
            RoleEntry("discovery", stage: 1),
            RoleEntry("users", stage: 1),
            RoleEntry("relay", stage: 1),
            RoleEntry("sessions", stage: 1),
            RoleEntry("last-seen", stage: 1),
            RoleEntry("groups", stage: 2),
            RoleEntry("messages", stage: 2),
            RoleEntry("group-messages", stage: 2),
            RoleEntry("chat", stage: 3, instances: chatNodes, isNumbered: true),
        ]
    }
}

/// What all of a cluster's roles have in common.
struct RoleSurroundings: Sendable {
    var options: LocalClusterOptions
    var data: DataDirectory
    var share: String
    var gateway: String
    var zookeeper: String
    var postgres: String
    var redis: String

    func definition(_ name: String, role: String, rpcPort: Int, httpPort: Int) -> PartDefinition {
        var command = [options.executable, "run", "--roles", role]
        if let file = options.configuration { command += ["--config", DataDirectory.absolute(file)] }
        let directory = data.state(of: name)
        let http = "127.0.0.1:\(httpPort)"
        let secrets = data.secrets
        let environment = [
            "ROOST_ROLES": role,
            "ROOST_NODE_ID": name,
            "ROOST_ZOOKEEPER": zookeeper,
            "ROOST_ZOOKEEPER_AUTH": "roost:\(secrets.zookeeper)",
            "ROOST_POSTGRES": postgres,
            "ROOST_REDIS": redis,
            "ROOST_RPC_HOST": "127.0.0.1",
            "ROOST_RPC_PORT": "\(rpcPort)",
            "ROOST_HTTP_HOST": "127.0.0.1",
            "ROOST_HTTP_PORT": "\(httpPort)",
            "ROOST_RPC_SECRET": secrets.rpc,
            "ROOST_ADMIN_TOKEN": secrets.admin,
            "ROOST_PUBLIC_URL": gateway,
            "ROOST_DIRECT": options.direct ? "true" : "false",
            "ROOST_LIMITS": options.limits ? "on" : "off",
            "ROOST_SHARE": share,
        ]
        return PartDefinition(
            name: name, role: role, command: command,
            environment: environment.merging(options.environment) { _, chosen in chosen },
            directory: directory, stopSignal: SIGTERM, stopPatience: .seconds(15),
            probe: .http(address: http, path: "/readyz"), rpc: "127.0.0.1:\(rpcPort)", http: http,
            prepare: { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) })
    }
}

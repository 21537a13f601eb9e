package import Hummingbird
import Protocol
package import RPCTransport
package import ServiceKit

/// Hands clients the least-loaded chat node, the gateway the address of whoever serves a role, and operators the
/// membership. Has no state but counts, so any number of instances may run.
package struct DiscoveryRole: Role {
    package static let name = "discovery"

    private let directory: NodeDirectory
    private let configuration: RoostConfiguration

    package init(context: ServiceContext) {
        configuration = context.configuration
        directory = NodeDirectory(membership: context.membership)
    }

    package var rpcServices: [any RPCService] {
        let service = DiscoveryRPC(
            directory: directory, addressing: NodeAddressing(configuration: configuration))
        return [DiscoveryRegistration(service)]
    }

    package func routes(_ router: Router<RoostRequestContext>) {
        DiscoveryRoutes(directory: directory, configuration: configuration).add(to: router)
    }

    /// Nothing to do but to be there: it reads the membership when asked.
    package func run() async throws {
        try await untilCancelled()
    }
}

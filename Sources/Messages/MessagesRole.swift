package import Hummingbird
import Protocol
package import RPCTransport
package import ServiceKit

/// The role `messages`: the rules of direct conversations. It holds nothing that can't be asked for again.
package struct MessagesRole: Role {
    package static let name = "messages"

    private let context: ServiceContext
    private let messages: DirectMessages

    package init(context: ServiceContext) async throws {
        self.context = context
        messages = DirectMessages(
            users: UsersStub(context.pool("users")), relay: RelayStub(context.pool("relay")))
    }

    package var rpcServices: [any RPCService] { [MessagesRegistration(messages)] }

    package func routes(_ router: Router<RoostRequestContext>) {
        MessagesRoutes(messages: messages).add(to: router)
    }

    package func prepare() async throws {}

    package func readiness() async -> [String] {
        var reasons: [String] = []
        for role in ["relay", "users"] where context.pool(role).peers.isEmpty { reasons.append("no \(role) is known") }
        return reasons
    }

    package func run() async throws {
        // Nothing to do but to be called.
        let (forever, end) = AsyncStream.makeStream(of: Never.self)
        for await _ in forever {}
        end.finish()
    }
}

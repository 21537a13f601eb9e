package import Hummingbird
import Protocol
package import RPCTransport
package import ServiceKit

/// The role `messages`: direct conversations.
package struct MessagesRole: ConversationsRole {
    package static let kind = MessagesKind.direct
    package let parts: MessagesParts

    package init(context: ServiceContext) async throws { parts = try MessagesParts(Self.kind, context) }
}

/// The role `group-messages`: groups.
package struct GroupMessagesRole: ConversationsRole {
    package static let kind = MessagesKind.group
    package let parts: MessagesParts

    package init(context: ServiceContext) async throws { parts = try MessagesParts(Self.kind, context) }
}

/// A role for conversations of one kind. It holds nothing that can't be asked for again.
package protocol ConversationsRole: Role {
    static var kind: MessagesKind { get }
    var parts: MessagesParts { get }
}

/// What such a role consists of.
package struct MessagesParts: Sendable {
    fileprivate let context: ServiceContext
    fileprivate let core: MessagesCore

    init(_ kind: MessagesKind, _ context: ServiceContext) throws {
        self.context = context
        var configuration = MessagesConfiguration()
        configuration.editWithin = context.configuration.editWithin
        configuration.searchLanguage = context.configuration.searchLanguage
        core = MessagesCore(
            kind: kind, users: UsersStub(context.pool("users")), relay: RelayStub(context.pool("relay")),
            configuration: configuration)
    }
}

extension ConversationsRole {
    package static var name: String { kind.role }

    package var rpcServices: [any RPCService] { [MessagesRegistration(parts.core)] }

    package func routes(_ router: Router<RoostRequestContext>) { MessagesRoutes(core: parts.core).add(to: router) }

    package func readiness() async -> [String] {
        ["relay", "users"].filter { parts.context.pool($0).peers.isEmpty }.map { "no \($0) is known" }
    }

    package func run() async throws { try await untilCancelled() }
}

package import Hummingbird
import LogConsumer
import Logging
import Postgres
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
    fileprivate let search: Search
    fileprivate let index: SearchIndex
    fileprivate let postgres: PostgresPool
    fileprivate let consumer: LogConsumer

    init(_ kind: MessagesKind, _ context: ServiceContext) throws {
        self.context = context
        var configuration = MessagesConfiguration()
        configuration.editWithin = context.configuration.editWithin
        configuration.searchLanguage = context.configuration.searchLanguage
        let relay = RelayStub(context.pool("relay"))
        core = MessagesCore(
            kind: kind, users: UsersStub(context.pool("users")), relay: relay, configuration: configuration)
        postgres = try context.postgres()
        index = SearchIndex(pool: postgres, language: configuration.searchLanguage)
        search = Search(index: index, relay: relay, kind: kind)
        consumer = LogConsumer(
            name: SearchIndex.schema, instance: "\(context.configuration.nodeID)/\(kind.role)",
            schema: SearchIndex.schema, pool: postgres,
            metrics: ConsumerMetrics(consumer: SearchIndex.schema, factory: context.metrics), logger: context.logger,
            now: { UnixClock.now() }, follow: { try await relay.follow($0, options: $1) }, handler: index)
    }
}

extension ConversationsRole {
    package static var name: String { kind.role }

    package var rpcServices: [any RPCService] { [MessagesRegistration(parts.core)] }

    package func routes(_ router: Router<RoostRequestContext>) {
        MessagesRoutes(core: parts.core).add(to: router)
        SearchRoutes(search: parts.search).add(to: router)
    }

    package func prepare() async throws {
        try await parts.context.migrations.apply(schema: SearchIndex.schema, using: parts.postgres)
        if let before = try await parts.index.prepare() {
            parts.context.logger.notice(
                "The search index was made for another language: it is made anew, which takes a while",
                metadata: [
                    "search.language": "\(parts.context.configuration.searchLanguage)", "search.before": "\(before)",
                ])
        }
    }

    /// Without PostgreSQL nothing can be searched; everything else goes on.
    package func readiness() async -> [String] {
        ["relay", "users"].filter { parts.context.pool($0).peers.isEmpty }.map { "no \($0) is known" }
    }

    package func run() async throws { await parts.consumer.run() }
}

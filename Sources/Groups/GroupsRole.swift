package import Hummingbird
import Postgres
import Protocol
import RPC
import RPCTransport
package import ServiceKit

/// The role `groups`: who is in which group, and what they may do there.
package struct GroupsRole: Role {
    package static let name = "groups"

    private let context: ServiceContext
    private let postgres: PostgresPool
    private let service: GroupService

    package init(context: ServiceContext) async throws {
        self.context = context
        postgres = try context.postgres()
        let store = GroupStore(pool: postgres)
        let relay = RelayStub(context.pool("relay"))
        service = GroupService(
            store: store,
            outbox: ChangeOutbox(
                store: store, metrics: GroupsMetrics(factory: context.metrics), logger: context.logger,
                now: { UnixClock.now() },
                append: { request, options throws(RPCError) in
                    _ = try await relay.changeGroup(request, options: options)
                }),
            people: GroupPeople(users: UsersStub(context.pool("users"))),
            limit: context.configuration.groupMembers, now: { UnixClock.now() })
    }

    package func routes(_ router: Router<RoostRequestContext>) {
        GroupsRoutes(service: service, publicURL: context.configuration.publicURL, limiter: context.limiter).add(
            to: router)
    }

    package func prepare() async throws {
        try await context.migrations.apply(schema: "groups", using: postgres)
    }

    package func readiness() async -> [String] {
        var reasons: [String] = []
        do {
            _ = try await postgres.query("SELECT 1", timeout: .seconds(1))
        } catch {
            reasons.append("PostgreSQL: \(error.message)")
        }
        for role in ["relay", "users"] where context.pool(role).peers.isEmpty { reasons.append("no \(role) is known") }
        return reasons
    }

    package func run() async throws { await service.outbox.run() }
}

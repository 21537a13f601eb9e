import Cluster
package import Hummingbird
import Logging
import NIOCore
import Postgres
import Protocol
import RPC
package import RPCTransport
package import ServiceKit

/// The role `relay`: the log, the cursors, and the push to whoever is online.
package struct RelayRole: Role {
    package static let name = "relay"

    private let context: ServiceContext
    private let core: RelayCore

    package init(context: ServiceContext) async throws {
        self.context = context
        let chats = context.pool("chat")
        let users = UsersStub(context.pool("users"))
        core = RelayCore(
            store: LogStore(
                dsn: try RoostConfiguration.require(context.configuration.postgres, key: "postgres"),
                logger: context.logger),
            loop: context.eventLoopGroup.next(), metrics: RelayMetrics(factory: context.metrics),
            logger: context.logger,
            now: { UnixClock.now() },
            receipts: ReceiptPolicy { ids in
                var request = UsersProfilesRequest()
                request.ids = ids
                let found = try await users.profiles(request, options: .init(timeout: .seconds(1)))
                return Dictionary(
                    found.profiles.map { ($0.id, $0.readReceipts) }, uniquingKeysWith: { first, _ in first })
            },
            redis: context.configuration.redis == nil ? nil : try context.redis(isNeeded: false),
            deliver: { node, request, loop, completion in
                guard let caller = chats.caller(to: node) else { return completion(false) }
                ChatStub(caller).deliver(request, options: .init(timeout: .seconds(2)), on: loop) { result in
                    switch result {
                    case .success: completion(true)
                    case .failure: completion(false)
                    }
                }
            })
    }

    package var rpcServices: [any RPCService] { [RelayRegistration(core)] }

    package func routes(_ router: Router<RoostRequestContext>) {
        RelayRoutes(core: core).add(to: router)
    }

    package func prepare() async throws {
        try await context.migrations.apply(schema: "relay", using: context.postgres())
    }

    package func readiness() async -> [String] {
        do {
            try await core.store.check()
            return []
        } catch {
            return ["the log in PostgreSQL can't be read: \(error.message)"]
        }
    }

    package func run() async throws {
        await withTaskGroup { group in
            group.addTask { await core.run() }
            group.addTask { await expireNodes() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Forgets connections of nodes that ZooKeeper hasn't named for a while. A stale membership proves nothing.
    private func expireNodes() async {
        while !Task.isCancelled {
            let membership = context.membership.current
            if !membership.stale {
                let chats = membership.membersByRole["chat"] ?? []
                core.pusher.expire(
                    serving: Set(chats.map(\.record.id)), now: UnixClock.now(), grace: core.configuration.nodeGrace)
            }
            try? await Task.sleep(for: .seconds(5))
        }
    }
}

import ChatModel
import Cluster
package import Hummingbird
import Logging
import Protocol
import RPC
package import RPCTransport
import Redis
package import ServiceKit

/// The last-seen service: presence over RPC and REST.
package struct LastSeenRole: Role {
    package static let name = "last-seen"

    private let service: PresenceService
    private let redis: RedisClient
    private let membership: MembershipView

    package init(context: ServiceContext) async throws {
        redis = try context.redis()
        membership = context.membership
        let users = UsersStub(context.pool("users"))
        let relay = RelayStub(context.pool("relay"))
        service = PresenceService(
            store: PresenceStore(redis: redis), feed: PresenceFeed(),
            visibilities: VisibilityCache {
                try await users.profiles($0, options: .init(timeout: .seconds(2)))
            },
            contacts: RelationCache { viewer, peers in
                var request = RelayContactsRequest()
                request.user = viewer.rawValue
                request.peers = peers.map(\.rawValue)
                let response = try await relay.contacts(request, options: .init(timeout: .seconds(2)))
                return Set(response.peers.map { UserID(rawValue: $0) })
            },
            blocks: RelationCache { viewer, peers in
                var request = UsersBlockingRequest()
                request.user = viewer.rawValue
                request.peers = peers.map(\.rawValue)
                let response = try await users.blocking(request, options: .init(timeout: .seconds(2)))
                return Set(response.peers.map { UserID(rawValue: $0) })
            }, now: { UnixClock.now() }, logger: context.logger)
    }

    package var rpcServices: [any RPCService] { [LastSeenRegistration(service)] }

    package func routes(_ router: Router<RoostRequestContext>) { LastSeenRoutes(service: service).add(to: router) }

    package func run() async throws {
        await withTaskGroup { group in
            group.addTask { await service.run(redis: redis) }
            group.addTask { await followMembership() }
            await group.next()
            group.cancelAll()
        }
    }

    /// Ends the lease of a node whose registration is gone, without waiting for it.
    private func followMembership() async {
        var known: [Member] = []
        for await snapshot in membership.changes where !snapshot.stale {
            let members = snapshot.members(of: "chat")
            for change in MembershipChange.between(known, members) {
                if case .left(let member) = change { await service.left(member) }
            }
            known = members
        }
    }
}

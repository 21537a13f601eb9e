import ChatModel
import Foundation
package import Hummingbird
import Logging
import Postgres
import Protocol
import RPC
package import RPCTransport
import Redis
package import ServiceKit

/// The users service: accounts over REST, and what the other services need of them over RPC.
package struct UsersRole: Role {
    package static let name = "users"

    private let context: ServiceContext
    private let postgres: PostgresPool
    private let keys: KeyStore
    private let service: AccountService
    private let tickets: TicketRedeemer
    private let logger: Logger

    package init(context: ServiceContext) async throws {
        let configuration = context.configuration
        self.context = context
        logger = context.logger
        postgres = try context.postgres()
        let redis = try context.redis()
        keys = KeyStore(pool: postgres, secret: configuration.rpcSecret)
        let store = AccountStore(pool: postgres)
        let sessions = SessionsStub(context.pool("sessions"))
        let cores = ProcessInfo.processInfo.activeProcessorCount
        service = AccountService(
            store: store,
            // As many at a time as there are cores; a queue of a few seconds.
            hasher: try PasswordHasher(
                cost: PasswordHash.Cost(logN: configuration.scryptLogN), threads: cores, limit: 128 * cores),
            limiter: context.limiter, issuer: TokenIssuer(),
            revocations: RevocationFeed(
                store: store, redis: redis, lifetime: AccessToken.lifetime, now: { UnixClock.now() }, logger: logger),
            sockets: SocketCloser(logger: logger) {
                _ = try await sessions.closeDevice($0, options: .init(timeout: .seconds(2)))
            }, surroundings: Surroundings(relay: context.pool("relay"), redis: redis), now: { UnixClock.now() },
            logger: logger)
        tickets = TicketRedeemer(
            issuer: service.issuer, revocations: service.revocations, redis: redis, now: { UnixClock.now() })
        // Its own tokens it checks without asking anyone.
        context.authenticator.use(OwnKeys(service: service))
    }

    package var rpcServices: [any RPCService] {
        [UsersRegistration(UsersRPC(service: service, authenticator: context.authenticator, tickets: tickets))]
    }

    package func routes(_ router: Router<RoostRequestContext>) { UsersRoutes(service: service).add(to: router) }

    package func prepare() async throws {
        try await context.migrations.apply(schema: "users", using: postgres)
        let (keys, sealedOtherwise) = try await keys.load(now: UnixClock.now())
        if sealedOtherwise > 0 {
            logger.warning(
                "Some keys of accounts were sealed with another shared secret: what they signed is no longer good",
                metadata: [LogKey.count: "\(sealedOtherwise)"])
        }
        try await service.revocations.refresh()
        await service.issuer.use(keys)
    }

    package func run() async throws {
        await withTaskGroup { group in
            group.addTask { await service.revocations.run() }
            group.addTask { await service.sockets.run() }
            group.addTask { await tickets.run() }
            await group.next()
            group.cancelAll()
        }
        await service.hasher.shutdown()
    }
}

/// The keys and revocations of this process.
package struct OwnKeys: AccessKeySource {
    private let service: AccountService

    package init(service: AccountService) { self.service = service }

    package func keys() async throws -> String { try service.issuer.keys().jwks }

    package func followRevocations(_ revoked: @escaping @Sendable ([Revocation]) -> Void) async throws {
        try await service.revocations.follow { entries in
            revoked(entries.map { Revocation(device: $0.device, endedAt: $0.at) })
        }
    }
}

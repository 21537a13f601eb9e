import Cluster
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
package import Postgres
package import RPC
package import RPCTransport
package import Redis
package import ZooKeeper

/// The composition root: what the roles of one process share, made once. `run` keeps it going.
package final class ServiceContext: Sendable {
    private typealias Job = @Sendable () async throws -> Void

    private struct State {
        var pools: [String: RPCPool] = [:]
        var postgres: PostgresPool?
        var redis: RedisClient?
        var redisIsNeeded = false
        var limiter: RequestLimiter?
        var registrations: [String: Broadcast<Int64?>] = [:]
    }

    package let configuration: RoostConfiguration
    package let logger: Logger
    package let eventLoopGroup: any EventLoopGroup
    /// A swift-metrics factory: `Counter(label:dimensions:factory: context.metrics)`, or its own `counter`, `gauge`,
    /// `histogram`.
    package let metrics: MetricsRegistry
    package let membership: MembershipView
    package let authenticator: Authenticator
    package let health: Health
    package let migrations: Migrations
    /// Who this process is to its RPC peers.
    package let identity: RPCIdentity
    /// Unix milliseconds.
    package let startedAt: Int64
    /// nil: configured without one.
    package let zookeeper: ZooKeeperClient?

    private let state = NIOLockedValueBox(State())
    private let jobs: AsyncStream<Job>
    private let addJob: AsyncStream<Job>.Continuation

    package init(
        configuration: RoostConfiguration, logger: Logger, metrics: MetricsRegistry = MetricsRegistry(),
        eventLoopGroup: (any EventLoopGroup)? = nil
    ) throws(ConfigurationError) {
        self.configuration = configuration
        self.logger = logger
        self.metrics = metrics
        self.eventLoopGroup =
            eventLoopGroup ?? MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoops)
        identity = RPCIdentity(role: configuration.roles.first ?? "", id: configuration.nodeID)
        startedAt = UnixClock.now()
        membership = MembershipView(logger: logger)
        authenticator = Authenticator(adminToken: configuration.adminToken, logger: logger)
        health = Health()
        migrations = Migrations(directory: ShareFolder.migrations(configured: configuration.share))
        zookeeper = configuration.zookeeper.map { servers in
            ZooKeeperClient(
                configuration: ZooKeeperConfiguration(
                    servers: servers, sessionTimeout: configuration.sessionTimeout,
                    auth: configuration.zookeeperAuth.flatMap { ZooKeeperConfiguration.Digest($0) }),
                logger: logger)
        }
        (jobs, addJob) = AsyncStream.makeStream(of: Job.self)
        authenticator.use(UsersKeySource(users: pool("users")))
        watchDependencies()
    }

    /// The RPC connections to all nodes of a role; they follow the membership.
    package func pool(_ role: String) -> RPCPool {
        let (pool, isNew) = state.withLockedValue { state in
            if let known = state.pools[role] { return (known, false) }
            let pool = RPCPool(
                role: role,
                configuration: RPCPoolConfiguration(identity: identity, security: rpcSecurity),
                eventLoopGroup: eventLoopGroup, logger: logger)
            pool.update(Self.peers(membership.current, role: role))
            state.pools[role] = pool
            return (pool, true)
        }
        if isNew { addJob.yield { await pool.run() } }
        return pool
    }

    /// The PostgreSQL connections of this process. Once asked for, `/readyz` says when there are none.
    ///
    /// - Throws: `ConfigurationError` when none is configured.
    package func postgres() throws(ConfigurationError) -> PostgresPool {
        let dsn = try RoostConfiguration.require(configuration.postgres, key: "postgres")
        let (pool, isNew) = state.withLockedValue { state in
            if let known = state.postgres { return (known, false) }
            let pool = PostgresPool(
                configuration: PostgresConfiguration(
                    dsn: dsn, connections: configuration.postgresConnections,
                    applicationName: "roost \(identity.role) \(identity.id)"),
                logger: logger)
            state.postgres = pool
            return (pool, true)
        }
        if isNew {
            addJob.yield { await pool.run() }
            health.add("PostgreSQL") {
                do throws(PostgresError) {
                    _ = try await pool.query("SELECT 1", timeout: .seconds(1))
                    return .init()
                } catch {
                    return .init(reasons: [error.message])
                }
            }
        }
        return pool
    }

    /// The Redis connection of this process. Once asked for, `/readyz` says when there is none.
    ///
    /// - Parameter isNeeded: false: its loss is a note, as the work goes on without.
    /// - Throws: `ConfigurationError` when none is configured.
    package func redis(isNeeded: Bool = true) throws(ConfigurationError) -> RedisClient {
        let address = try RoostConfiguration.require(configuration.redis, key: "redis")
        let (client, isNew) = state.withLockedValue { state in
            if isNeeded { state.redisIsNeeded = true }
            if let known = state.redis { return (known, false) }
            let client = RedisClient(configuration: RedisConfiguration(address: address), logger: logger)
            state.redis = client
            return (client, true)
        }
        if isNew {
            addJob.yield { await client.run() }
            health.add("Redis") { [state] in
                if client.isConnected { return .init() }
                let why = ["can't be reached"]
                return state.withLockedValue { $0.redisIsNeeded } ? .init(reasons: why) : .init(notes: why)
            }
        }
        return client
    }

    /// What bounds how often something may be asked for. It has a connection to Redis of its own: one that doesn't answer
    /// at once is given up.
    package var limiter: RequestLimiter {
        let (limiter, redis) = state.withLockedValue { state -> (RequestLimiter, RedisClient?) in
            if let known = state.limiter { return (known, nil) }
            let limits = configuration.limits ? configuration.requestLimits : nil
            let redis = (limits == nil ? nil : configuration.redis).map { address in
                RedisClient(
                    configuration: RedisConfiguration(
                        address: address, commandTimeout: RequestLimiter.timeout, disconnectedWait: .zero,
                        queueLimit: 1000),
                    logger: logger)
            }
            let new = RequestLimiter(limits: limits, redis: redis, metrics: metrics)
            state.limiter = new
            return (new, redis)
        }
        if let redis { addJob.yield { await redis.run() } }
        return limiter
    }

    /// The epoch (czxid) of this process's registration under a role: nil while there is none. It changes when an
    /// expired session is replaced.
    package func epoch(of role: String) -> Int64? { registration(of: role).value }

    /// The present epoch and each one that follows.
    package func epochs(of role: String) -> AsyncStream<Int64?> { registration(of: role).follow() }

    func registration(of role: String) -> Broadcast<Int64?> {
        state.withLockedValue { state in
            if let known = state.registrations[role] { return known }
            let new = Broadcast<Int64?>(nil)
            state.registrations[role] = new
            return new
        }
    }

    var rpcSecurity: RPCSecurity { .sharedKey(configuration.rpcSecret) }

    /// Answers of `/livez`, `/readyz` and `/metrics`, for whatever server they are asked of.
    package var operations: Operations { Operations(health: health, metrics: metrics) }

    /// Keeps all of it going until cancelled: the ZooKeeper session, the membership, the pools, the keys of users, and
    /// PostgreSQL and Redis once someone asked for them.
    package func run() async throws {
        try await withThrowingTaskGroup { group in
            if let zookeeper {
                group.addTask { try await zookeeper.run() }
                group.addTask { try await self.membership.run(zookeeper) }
            }
            group.addTask { await self.followMembership() }
            group.addTask { await self.authenticator.run() }
            group.addTask {
                try await withThrowingDiscardingTaskGroup { running in
                    for await job in self.jobs { running.addTask { try await job() } }
                }
            }
            try await group.waitForAll()
        }
    }

    private func followMembership() async {
        for await snapshot in membership.changes {
            let pools = state.withLockedValue { $0.pools }
            for (role, pool) in pools { pool.update(Self.peers(snapshot, role: role)) }
        }
    }

    private static func peers(_ snapshot: MembershipSnapshot, role: String) -> [RPCPeer] {
        snapshot.members(of: role).map { RPCPeer(id: $0.id, address: $0.record.rpc, epoch: $0.epoch) }
    }

    private func watchDependencies() {
        health.add("access tokens") { [authenticator] in
            .init(notes: authenticator.problem.map { ["can't be checked now: \($0)"] } ?? [])
        }
        guard let zookeeper else { return }
        let membership = membership
        let servers = configuration.zookeeper ?? ""
        health.add("zookeeper") {
            guard membership.hasBeenRead else {
                return .init(reasons: ["ZooKeeper at \(servers) has not answered yet (\(zookeeper.state))"])
            }
            guard membership.current.stale else { return .init() }
            return .init(notes: ["ZooKeeper can't be reached; the last known membership is used"])
        }
    }
}

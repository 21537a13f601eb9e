import Cluster
import Logging
import NIOConcurrencyHelpers
import Postgres
import RPC
import Redis
import ServiceLifecycle
import ZooKeeper

/// Takes one role through its life: prepares it until that works, runs it, registers it, and publishes its load.
final class RoleHost: Sendable {
    enum Phase: Sendable, Equatable {
        case preparing(String)
        /// Prepared, and running or about to.
        case prepared
        case registered
    }

    /// How often a role is asked for its load. `LoadReportPolicy` says what is worth writing.
    private static let loadPeriod: Duration = .milliseconds(250)

    let name: String
    let role: any Role
    let drainsItself: Bool
    private let servesOwnHTTP: Bool
    private let context: ServiceContext
    private let logger: Logger
    private let phase = Broadcast(Phase.preparing("has not begun"))

    init(_ type: any Role.Type, context: ServiceContext) async throws {
        name = type.name
        drainsItself = type.drainsItself
        servesOwnHTTP = type.servesOwnHTTP
        role = try await type.init(context: context)
        self.context = context
        var logger = context.logger
        logger[metadataKey: LogKey.role] = "\(name)"
        self.logger = logger
        let phase = phase
        let role = role
        let needsRegistration = context.zookeeper != nil
        context.health.add(name) {
            switch phase.value {
            case .preparing(let why): .init(reasons: ["is being prepared: \(why)"])
            case .prepared where needsRegistration: .init(reasons: ["is not registered in ZooKeeper yet"])
            case .prepared, .registered: .init(reasons: await role.readiness())
            }
        }
    }

    /// Prepares the role, with back-off, then runs it.
    func run() async throws {
        let isPrepared = try await cancelWhenGracefulShutdown { try await self.prepare() }
        guard isPrepared else { return }
        phase.send(.prepared)
        try await role.run()
    }

    /// False: told to stop before it worked.
    private func prepare() async throws -> Bool {
        var pause = Duration.milliseconds(200)
        for attempt in 1... {
            do {
                try await role.prepare()
                return true
            } catch let error as ConfigurationError {
                throw error
            } catch {
                guard !Task.isCancelled else { return false }
                phase.send(.preparing("\(error)"))
                // What is only not up yet at the start isn't worth a warning.
                logger.log(
                    level: attempt < 4 ? .info : .warning, "Could not prepare; trying again",
                    metadata: [
                        LogKey.attempt: "\(attempt)", LogKey.error: "\(error)", LogKey.advice: "\(Self.advice(error))",
                        LogKey.retryIn: "\(pause.milliseconds / 1000)",
                    ])
            }
            do { try await Task.sleep(for: pause) } catch { return false }
            pause = min(pause * 2, .seconds(5))
        }
        return false
    }

    /// What an operator can do about it.
    private static func advice(_ error: any Error) -> String {
        switch error {
        case is PostgresError: "check that PostgreSQL runs and that ROOST_POSTGRES is right"
        case is RedisError: "check that Redis runs and that ROOST_REDIS is right"
        case is ZooKeeperError: "check that ZooKeeper runs and that ROOST_ZOOKEEPER is right"
        case is RPCError: "check with `roost status` that the other roles are registered"
        default: "see the error"
        }
    }

    /// Registers the role once it is prepared, and keeps its record current.
    func register(with client: ZooKeeperClient, rpc: String, sharedHTTP: String?) async throws {
        _ = try await phase.first { $0 == .prepared ? true : nil }
        let own = servesOwnHTTP ? await role.httpAddress : nil
        let http = own.map { context.configuration.advertised($0) } ?? sharedHTTP ?? ""
        let configuration = context.configuration
        let load = role.load
        var record = NodeRecord(
            id: configuration.nodeID, role: name, rpc: rpc, http: http, zone: configuration.zone,
            version: RoostVersion.current, startedAt: context.startedAt)
        if configuration.direct, servesOwnHTTP {
            record.url = "ws://\(http)/chat-service/v1/ws?node=\(record.id)"
        }
        var policy = LoadReportPolicy()
        let first = LoadReportPolicy.Report(
            connections: load.connections, capacity: load.capacity, state: role.state)
        _ = policy.shouldPublish(first, now: .now)
        record.take(first)
        let registration = EphemeralRegistration(
            client: client, path: "\(RoleNames.path(name))/\(record.id)", data: record.json(), logger: logger)
        try await withThrowingTaskGroup { group in
            group.addTask { try await registration.run() }
            group.addTask { await self.publishEpochs(registration) }
            group.addTask { [record, policy] in
                try await self.publishLoad(registration, record: record, policy: policy)
            }
            // Any of them ends only with all of them.
            _ = try await group.next()
            group.cancelAll()
        }
    }

    private func publishEpochs(_ registration: EphemeralRegistration) async {
        let published = context.registration(of: name)
        for await epoch in registration.epochs {
            guard epoch != published.value else { continue }
            published.send(epoch)
            guard let epoch else { continue }
            phase.send(.registered)
            logger.debug("Registered", metadata: [LogKey.epoch: "\(epoch)"])
        }
        published.send(nil)
    }

    private func publishLoad(
        _ registration: EphemeralRegistration, record: NodeRecord, policy: LoadReportPolicy
    ) async throws {
        var record = record
        var policy = policy
        while true {
            try await Task.sleep(for: Self.loadPeriod)
            let load = role.load
            let report = LoadReportPolicy.Report(
                connections: load.connections, capacity: load.capacity, state: role.state)
            guard policy.shouldPublish(report, now: .now) else { continue }
            record.take(report)
            registration.update(record.json())
        }
    }
}

extension NodeRecord {
    fileprivate mutating func take(_ report: LoadReportPolicy.Report) {
        connections = report.connections
        capacity = report.capacity
        load = report.capacity > 0 ? Double(report.connections) / Double(report.capacity) : 0
        state = report.state
    }
}

extension RoostConfiguration {
    /// An address that this process is bound to, as others reach it.
    func advertised(_ address: String) -> String {
        guard let advertiseHost, let colon = address.lastIndex(of: ":") else { return address }
        return advertiseHost + address[colon...]
    }
}

import AsyncHTTPClient
import Cluster
import Hummingbird
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import RPCTransport
import Redis
import ServiceLifecycle
import TestServers
import Testing
import ZooKeeper

@testable import ServiceKit

private let logger = Logger(label: "process") { _ in SwiftLogNoOpLogHandler() }

/// What a test sees and steers of the roles that processes make.
private final class Probe: Sendable {
    struct State {
        var failures = 0
        var prepared = 0
        var reasons: [String] = []
        var connections = 0
        var isDraining = false
        var ended: [String] = []
    }

    let state = NIOLockedValueBox(State())
}

private struct NotYet: Error, CustomStringConvertible {
    var description: String { "the store is away" }
}

private struct ProbeRole: Role {
    static let name = "media"
    @TaskLocal static var probe = Probe()

    let stage = Self.probe

    init(context: ServiceContext) {}

    func routes(_ router: Router<RoostRequestContext>) {
        router.get("/probe") { _, context in context.requestID }
        router.get("/thread") { _, _ in
            try await Task.sleep(for: .milliseconds(1))  // whatever is awaited: it comes back to its loop
            return MultiThreadedEventLoopGroup.currentEventLoop == nil ? "elsewhere" : "event loop"
        }
    }

    func prepare() async throws {
        let fails = stage.state.withLockedValue { state in
            state.failures -= 1
            if state.failures < 0 { state.prepared += 1 }
            return state.failures >= 0
        }
        if fails { throw NotYet() }
    }

    func readiness() async -> [String] { stage.state.withLockedValue { $0.reasons } }

    func run() async throws {
        defer { stage.state.withLockedValue { $0.ended.append("role") } }
        try await untilCancelled()
    }

    var load: (connections: Int, capacity: Int) { (stage.state.withLockedValue { $0.connections }, 100) }
    var state: NodeRecord.State { stage.state.withLockedValue { $0.isDraining } ? .draining : .serving }
}

@Suite(.timeLimit(.minutes(2))) struct ServiceProcessTests {
    private func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("never: \(what)")
    }

    private func get(_ address: String, _ path: String) async throws -> (status: Int, body: String) {
        let response = try await HTTPClient.shared.execute(
            HTTPClientRequest(url: "http://\(address)\(path)"), timeout: .seconds(5))
        return (Int(response.status.code), String(buffer: try await response.body.collect(upTo: 1 << 20)))
    }

    private func configuration(_ zookeeper: String, id: String) -> RoostConfiguration {
        var configuration = RoostConfiguration()
        configuration.roles = ["media"]
        configuration.zookeeper = zookeeper
        configuration.nodeID = id
        configuration.sessionTimeout = .milliseconds(1000)
        configuration.rpcSecret = "secret"
        return configuration
    }

    @Test func aRoleGoesThroughItsLife() async throws {
        let stage = Probe()
        stage.state.withLockedValue { $0.failures = 3 }
        try await ZooKeeperServer.withServer { server in
            let context = try ServiceContext(
                configuration: configuration(server.address, id: "probe-1"), logger: logger)
            let process = try ServiceProcess(context: context, roles: [ProbeRole.self])
            let trigger = NIOLockedValueBox<(@Sendable () -> Void)?>(nil)
            let group = ServiceGroup(configuration: .init(services: [process], logger: logger))
            trigger.withLockedValue { $0 = { Task { await group.triggerGracefulShutdown() } } }
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { try await ProbeRole.$probe.withValue(stage) { try await group.run() } }
                let http = try await process.httpAddress()

                // Alive at once; not ready before it is prepared and registered.
                #expect(try await get(http, "/livez").status == 200)
                let early = try await get(http, "/readyz")
                #expect(early.status == 503 && early.body.contains("is being prepared"))
                try await eventually("ready") { try await get(http, "/readyz").status == 200 }
                #expect(stage.state.withLockedValue { $0.prepared } == 1)

                // A request is served on its connection's thread.
                #expect(try await get(http, "/thread").body == "event loop")

                // Registered with its addresses, and seen by the membership.
                let member = try await context.membership.first { $0.member(of: "media", id: "probe-1") != nil }
                    .member(of: "media", id: "probe-1")
                #expect(member?.record.http == http && member?.epoch == context.epoch(of: "media"))
                let rpc = try await process.rpcAddress()
                #expect(member?.record.rpc == rpc)

                // Load and state follow.
                stage.state.withLockedValue {
                    $0.connections = 50
                    $0.isDraining = true
                }
                try await eventually("load is published") {
                    let record = context.membership.current.member(of: "media", id: "probe-1")?.record
                    return record?.connections == 50 && record?.load == 0.5 && record?.state == .draining
                }

                // What it says of its work is what /readyz says; REST goes on.
                stage.state.withLockedValue { $0.reasons = ["the store is away"] }
                let unready = try await get(http, "/readyz")
                #expect(unready.status == 503 && unready.body.contains("media: the store is away"))
                #expect(try await get(http, "/probe").status == 200)
                #expect(try await get(http, "/metrics").body.contains("http_requests_total"))
                stage.state.withLockedValue { $0.reasons = [] }

                // ZooKeeper away: still ready, with a note; the last known membership stays.
                server.pause()
                try await eventually("stale") { context.membership.current.stale }
                let stale = try await get(http, "/readyz")
                #expect(stale.status == 200 && stale.body.contains("last known membership"))
                #expect(context.membership.current.member(of: "media", id: "probe-1") != nil)
                server.resume()
                try await eventually("current") { !context.membership.current.stale }
                try await eventually("registered again") {
                    context.membership.current.member(of: "media", id: "probe-1")?.epoch == context.epoch(of: "media")
                }

                // On graceful shutdown its znode goes first, then the process ends by itself.
                let began = ContinuousClock.now
                trigger.withLockedValue { $0 }?()
                try await tasks.waitForAll()
                #expect(ContinuousClock.now - began < .seconds(8))
                #expect(stage.state.withLockedValue { $0.ended } == ["role"])
            }
            try await withClient(server.address) { client in
                let left = try await client.children(RoleNames.path("media"))
                #expect(left == [])
            }
        }
    }

    @Test func itStartsBeforeZooKeeper() async throws {
        try await ZooKeeperServer.withServer { server in
            await server.stop()
            let context = try ServiceContext(
                configuration: configuration(server.address, id: "probe-2"), logger: logger)
            let process = try ServiceProcess(context: context, roles: [ProbeRole.self])
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { try await process.run() }
                let http = try await process.httpAddress()
                let early = try await get(http, "/readyz")
                #expect(early.status == 503 && early.body.contains("has not answered yet"))
                try await server.start()
                try await eventually("ready") { try await get(http, "/readyz").status == 200 }
                tasks.cancelAll()
                try? await tasks.waitForAll()
            }
        }
    }

    @Test func wildcardsNeedAnAdvertisedHost() throws {
        var configuration = RoostConfiguration()
        configuration.httpHost = "0.0.0.0"
        let context = try ServiceContext(configuration: configuration, logger: logger)
        let error = #expect(throws: ConfigurationError.self) {
            try ServiceProcess(context: context, roles: [ProbeRole.self])
        }
        #expect(error?.key == "ROOST_ADVERTISE_HOST")
    }

    private func withClient(_ servers: String, _ body: (ZooKeeperClient) async throws -> Void) async throws {
        let client = ZooKeeperClient(configuration: ZooKeeperConfiguration(servers: servers), logger: logger)
        try await withThrowingTaskGroup { group in
            group.addTask { try await client.run() }
            try await body(client)
            group.cancelAll()
            try? await group.waitForAll()
        }
    }

    @Test func readinessTellsOfServersThatAreAway() async throws {
        try await RedisServer.withServer { redis in
            var configuration = RoostConfiguration()
            configuration.redis = redis.address
            configuration.postgres = "host=127.0.0.1 port=1 connect_timeout=1"
            let context = try ServiceContext(configuration: configuration, logger: logger)
            try await withThrowingTaskGroup { group in
                group.addTask { try await context.run() }
                defer { group.cancelAll() }
                let client = try context.redis(isNeeded: false)
                try await eventually("Redis") { client.isConnected }
                #expect(await context.health.report().reasons.isEmpty)
                await redis.kill()
                try await eventually("the loss is seen") { !client.isConnected }
                let optional = await context.health.report()
                #expect(optional.reasons.isEmpty && optional.notes.contains("Redis: can't be reached"))
                _ = try context.redis()
                #expect(await context.health.report().reasons == ["Redis: can't be reached"])
                _ = try context.postgres()
                let both = await context.health.report().reasons
                #expect(both.contains { $0.hasPrefix("PostgreSQL: ") } && both.count == 2, "\(both)")
            }
        }
    }
}

import ChatModel
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Postgres
import Protocol
import RPC
import RPCTransport
import Redis
import ServiceKit
import TestServers
import Testing
import Users

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Waits until the condition holds.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if (try? await condition()) == true { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw NeverHappened(description: what)
}

/// What the relay was told.
struct FakeRelay: Sendable {
    var isAway = false
    var blocks: [RelayBlockRequest] = []
    var devices: [RelayAddDeviceRequest] = []
    /// Whose privacy has changed.
    var privacy: [UserID] = []

    mutating func block(_ request: RelayBlockRequest) throws {
        if isAway { throw RPCError(.unavailable, "away") }
        blocks.append(request)
    }

    mutating func add(_ request: RelayAddDeviceRequest) throws {
        if isAway { throw RPCError(.unavailable, "away") }
        devices.append(request)
    }
}

/// A users service put together as the role does it, on a PostgreSQL and a Redis of its own, with a clock that tests set forward
/// and sessions that only note what is to be closed.
struct Accounts: Sendable {
    var postgres: PostgresServer
    var redisServer: RedisServer
    var pool: PostgresPool
    var redis: RedisClient
    var service: AccountService
    var rpc: UsersRPC
    var tickets: TicketRedeemer
    var authenticator: Authenticator
    var offset = NIOLockedValueBox<Int64>(0)
    var closed: NIOLockedValueBox<[DeviceID]>
    var sessionsAreAway: NIOLockedValueBox<Bool>
    var relay: NIOLockedValueBox<FakeRelay>

    static func withAccounts(
        limits: Bool = false, ownServer: Bool = false, _ body: (Accounts) async throws -> Void
    ) async throws {
        try await withDatabase(ownServer: ownServer) { postgres, dsn in
            try await RedisServer.withServer { redisServer in
                let pool = PostgresPool(configuration: PostgresConfiguration(dsn: dsn), logger: quiet)
                let redis = RedisClient(configuration: RedisConfiguration(address: redisServer.address), logger: quiet)
                try await withThrowingTaskGroup { group in
                    group.addTask { await pool.run() }
                    group.addTask { await redis.run() }
                    let accounts = try await instance(
                        postgres: postgres, redisServer: redisServer, pool: pool, redis: redis, limits: limits)
                    group.addTask { await accounts.service.revocations.run() }
                    group.addTask { await accounts.service.sockets.run() }
                    group.addTask { await accounts.authenticator.run() }
                    try await eventually("keys") { accounts.authenticator.problem == nil && redis.isConnected }
                    await accounts.tickets.begin()
                    try await body(accounts)
                    group.cancelAll()
                }
            }
        }
    }

    /// A database of the test's own: on the suite's server or, to be killed, on one of its own.
    private static func withDatabase(
        ownServer: Bool, _ body: (_ server: PostgresServer, _ dsn: String) async throws -> Void
    ) async throws {
        guard !ownServer, let server = SharedPostgres.server else {
            return try await PostgresServer.withServer { try await body($0, $0.dsn) }
        }
        let name = "test_\(UInt64.random(in: 0 ... .max))"
        let pool = PostgresPool(configuration: PostgresConfiguration(dsn: server.dsn), logger: quiet)
        try await withThrowingTaskGroup { group in
            group.addTask { await pool.run() }
            defer { group.cancelAll() }
            _ = try await pool.query(Statement("CREATE DATABASE \(name)"))
        }
        try await body(server, server.dsn(database: name))
    }

    /// Another process on the same servers.
    static func instance(
        postgres: PostgresServer, redisServer: RedisServer, pool: PostgresPool, redis: RedisClient, limits: Bool
    ) async throws -> Accounts {
        let offset = NIOLockedValueBox<Int64>(0)
        let closed = NIOLockedValueBox<[DeviceID]>([])
        let away = NIOLockedValueBox(false)
        let relay = NIOLockedValueBox(FakeRelay())
        let now: @Sendable () -> Int64 = { UnixClock.now() + offset.withLockedValue { $0 } }
        try await Migrations(directory: ShareFolder.migrations(configured: nil)).apply(schema: "users", using: pool)
        let keys = try await KeyStore(pool: pool, secret: "secret").load(now: now()).keys
        let store = AccountStore(pool: pool)
        let issuer = TokenIssuer()
        await issuer.use(keys)
        let service = AccountService(
            store: store, hasher: try PasswordHasher(cost: .init(logN: 4), threads: 2, limit: 64),
            limiter: RequestLimiter(limits: limits ? RequestLimits() : nil, redis: redis, now: now), issuer: issuer,
            revocations: RevocationFeed(store: store, redis: redis, lifetime: .seconds(600), now: now, logger: quiet),
            sockets: SocketCloser(logger: quiet) { request in
                if away.withLockedValue({ $0 }) { throw RPCError(.unavailable, "away") }
                closed.withLockedValue { $0.append(DeviceID(rawValue: request.device)) }
            },
            surroundings: Surroundings(
                block: { request in try relay.withLockedValue { try $0.block(request) } },
                addDevice: { request in try relay.withLockedValue { try $0.add(request) } },
                privacyChanged: { user in relay.withLockedValue { $0.privacy.append(user) } }), now: now, logger: quiet)
        let authenticator = Authenticator(
            adminToken: nil, source: OwnKeys(service: service), now: now, logger: quiet)
        let tickets = TicketRedeemer(issuer: issuer, revocations: service.revocations, redis: redis, now: now)
        return Accounts(
            postgres: postgres, redisServer: redisServer, pool: pool, redis: redis, service: service,
            rpc: UsersRPC(service: service, authenticator: authenticator, tickets: tickets), tickets: tickets,
            authenticator: authenticator, offset: offset, closed: closed, sessionsAreAway: away, relay: relay)
    }

    /// Sets the service's clock forward.
    func pass(_ duration: Duration) { offset.withLockedValue { $0 += duration.components.seconds * 1000 } }

    /// The REST interface, as a process serves it.
    func rest(_ body: @escaping @Sendable (Rest) async throws -> Void) async throws {
        let router = RoostRouter.make(authenticator: authenticator, metrics: MetricsRegistry())
        UsersRoutes(service: service).add(to: router)
        try await Application(router: router, logger: quiet).test(.router) { try await body(Rest(client: $0)) }
    }

    static let call = RPCContext(
        peer: RPCIdentity(role: "test", id: "t"), callID: 1, method: "", deadline: nil, trace: nil,
        eventLoop: MultiThreadedEventLoopGroup.singleton.any())

    func redeem(_ ticket: String) async throws -> UserID {
        var request = UsersAuthenticateRequest()
        request.ticket = ticket
        return UserID(rawValue: try await rpc.authenticate(request, context: Self.call).user)
    }
}

/// What a call answered.
struct Answer {
    var status: Int
    var headers: HTTPFields
    var json: [String: Any]

    subscript(_ path: String...) -> String? {
        var value: Any? = json
        for name in path { value = (value as? [String: Any])?[name] }
        return value as? String
    }

    var code: String? { self["code"] }
    var items: [[String: Any]] { json["items"] as? [[String: Any]] ?? [] }
    /// Which fields the errors name.
    var fields: [String] {
        (json["errors"] as? [[String: Any]] ?? []).compactMap { $0["field"] as? String }
    }
}

struct Rest {
    var client: any TestClientProtocol

    func call(
        _ method: HTTPRequest.Method, _ path: String, token: String? = nil, _ body: String? = nil
    ) async throws -> Answer {
        var headers = HTTPFields()
        if let token { headers[.authorization] = "Bearer \(token)" }
        if body != nil { headers[.contentType] = "application/json" }
        let response = try await client.executeRequest(
            uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) })
        let data = Data(response.body.readableBytesView)
        let json = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
        return Answer(status: response.status.code, headers: response.headers, json: json)
    }

    static let password = "orange tractor 9"

    @discardableResult
    func register(_ name: String, displayName: String? = nil) async throws -> Answer {
        let display = displayName.map { #", "display_name": "\#($0)""# } ?? ""
        return try await call(
            .post, "/user-service/v1/users",
            #"{"username": "\#(name)", "email": "\#(name)@example.org", "password": "\#(Self.password)"\#(display)}"#)
    }

    func logIn(_ login: String, device: String? = nil, password: String = Self.password) async throws -> Answer {
        let device = device.map { #", "device": "\#($0)""# } ?? ""
        return try await call(
            .post, "/user-service/v1/sessions", #"{"login": "\#(login)", "password": "\#(password)"\#(device)}"#)
    }

    func refresh(_ token: String?) async throws -> Answer {
        try await call(.post, "/user-service/v1/sessions/refresh", #"{"refresh_token": "\#(token ?? "")"}"#)
    }
}

/// One PostgreSQL for all tests of a suite.
struct SharedPostgres: SuiteTrait, TestScoping {
    @TaskLocal static var server: PostgresServer?

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await PostgresServer.withServer { server in
            try await Self.$server.withValue(server) { try await function() }
        }
    }
}

extension Trait where Self == SharedPostgres {
    static var sharedPostgres: Self { SharedPostgres() }
}

/// Everything that needs PostgreSQL, one after the other.
@Suite(.serialized, .sharedPostgres) struct AccountsTests {}

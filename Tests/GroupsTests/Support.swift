import ChatModel
import Foundation
import Groups
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
import Relay
import ServiceKit
import TestServers
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Waits until the condition holds.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if (try? await condition()) == true { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw NeverHappened(description: what)
}

/// What the log was told, in the order of the calls; it can be away.
final class RecordingRelay: Sendable {
    private struct State {
        var requests: [RelayChangeGroupRequest] = []
        var seen: Set<String> = []
        var isAway = false
    }

    private let state = NIOLockedValueBox(State())

    func append(_ request: RelayChangeGroupRequest) throws(RPCError) {
        let isAway = state.withLockedValue { state in
            if !state.isAway, state.seen.insert(request.changeID).inserted { state.requests.append(request) }
            return state.isAway
        }
        if isAway { throw RPCError(.unavailable, "away") }
    }

    func setAway(_ isAway: Bool) { state.withLockedValue { $0.isAway = isAway } }

    /// Each change once, as the log has it.
    var requests: [RelayChangeGroupRequest] { state.withLockedValue(\.requests) }

    /// What happened to whom in a group: `joined 2 owner`, `left 2`; `group Name`.
    func events(_ group: String) -> [String] {
        requests.filter { "\($0.conversation)" == group }.flatMap { request in
            (request.hasGroup ? ["group \(request.group.name)\(request.group.deleted ? " deleted" : "")"] : [])
                + request.members.map { member in
                    let role = member.role == .unspecified ? "" : " \(member.role)"
                    return "\(member.change) \(member.user)\(role)"
                }
        }
    }
}

/// A groups service put together as the role does it, on a database of the test's own, with users 1 ... 9999 and a log of which
/// the test decides.
struct Bench: Sendable {
    let pool: PostgresPool
    let relay: RecordingRelay
    let service: GroupService
    /// (user, peer): the peer has blocked the user.
    let blocks: NIOLockedValueBox<Set<[UInt64]>>
    /// Milliseconds by which the service's clock is ahead.
    let offset: NIOLockedValueBox<Int64>
    let client: any TestClientProtocol

    static func run(
        limit: Int = 100, patience: Duration = .seconds(5), sweeping: Bool = false,
        append: ChangeOutbox.Append? = nil, _ body: @escaping @Sendable (Bench) async throws -> Void
    ) async throws {
        try await withDatabase { dsn in
            let pool = PostgresPool(configuration: PostgresConfiguration(dsn: dsn), logger: quiet)
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { await pool.run() }
                defer { tasks.cancelAll() }
                try await Migrations(directory: ShareFolder.migrations(configured: nil)).apply(
                    schema: "groups", using: pool)
                try await with(
                    pool: pool, relay: RecordingRelay(), limit: limit, patience: patience, sweeping: sweeping,
                    append: append, body)
            }
        }
    }

    /// The same on a real log.
    static func runOnLog(
        limit: Int = 100, _ body: @escaping @Sendable (Bench, RelayCore) async throws -> Void
    ) async throws {
        try await withDatabase { dsn in
            let pool = PostgresPool(configuration: PostgresConfiguration(dsn: dsn), logger: quiet)
            let core = RelayCore(
                store: LogStore(dsn: dsn, readers: 2, logger: quiet),
                loop: MultiThreadedEventLoopGroup.singleton.next(), logger: quiet, now: { UnixClock.now() },
                receipts: ReceiptPolicy { users in Dictionary(uniqueKeysWithValues: users.map { ($0, true) }) },
                deliver: { _, _, loop, completion in loop.execute { completion(true) } })
            let append: ChangeOutbox.Append = { request, _ throws(RPCError) in
                do {
                    _ = try await core.changeGroup(request, context: call)
                } catch {
                    throw (error as? RPCError) ?? RPCError(.internalError, "\(error)")
                }
            }
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { await pool.run() }
                tasks.addTask { await core.run() }
                defer { tasks.cancelAll() }
                for schema in ["groups", "relay"] {
                    try await Migrations(directory: ShareFolder.migrations(configured: nil)).apply(
                        schema: schema, using: pool)
                }
                try await with(pool: pool, relay: RecordingRelay(), limit: limit, append: append) { bench in
                    try await body(bench, core)
                }
            }
        }
    }

    static var call: RPCContext {
        RPCContext(
            peer: RPCIdentity(role: "test", id: "test"), callID: 1, method: "test", deadline: nil, trace: nil,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next())
    }

    /// An instance on a database that is there.
    static func with(
        pool: PostgresPool, relay: RecordingRelay, limit: Int = 100, patience: Duration = .seconds(5),
        sweeping: Bool = false, append: ChangeOutbox.Append? = nil,
        _ body: @escaping @Sendable (Bench) async throws -> Void
    ) async throws {
        let blocks = NIOLockedValueBox<Set<[UInt64]>>([])
        let offset = NIOLockedValueBox<Int64>(0)
        let now: @Sendable () -> Int64 = { UnixClock.now() + offset.withLockedValue { $0 } }
        let store = GroupStore(pool: pool)
        let record: ChangeOutbox.Append = { request, _ throws(RPCError) in try relay.append(request) }
        let outbox = ChangeOutbox(
            store: store, patience: patience, period: .milliseconds(50), logger: quiet, now: now,
            append: append ?? record)
        let people = GroupPeople(
            profiles: { ids throws(RPCError) in
                ids.filter { $0 < 10_000 }.map { id in
                    var profile = UsersProfile()
                    profile.id = id
                    profile.username = "user\(id)"
                    profile.displayName = "User \(id)"
                    return profile
                }
            },
            blocking: { user, peers throws(RPCError) in
                blocks.withLockedValue { blocks in peers.filter { blocks.contains([user, $0]) } }
            })
        let service = GroupService(store: store, outbox: outbox, people: people, limit: limit, now: now)
        let router = Router(context: RoostRequestContext.self)
        router.addMiddleware {
            ProblemMiddleware()
            Identify()
        }
        GroupsRoutes(
            service: service, publicURL: "https://chat.example", limiter: RequestLimiter(limits: nil, redis: nil)
        ).add(to: router)
        try await withThrowingTaskGroup { tasks in
            if sweeping { tasks.addTask { await outbox.run() } }
            defer { tasks.cancelAll() }
            try await Application(router: router, logger: quiet).test(.router) { client in
                try await body(
                    Bench(pool: pool, relay: relay, service: service, blocks: blocks, offset: offset, client: client))
            }
        }
    }

    private static func withDatabase(_ body: (_ dsn: String) async throws -> Void) async throws {
        let server = try #require(SharedPostgres.server)
        let name = "test_\(UInt64.random(in: 0 ... .max))"
        let pool = PostgresPool(configuration: PostgresConfiguration(dsn: server.dsn, connections: 1), logger: quiet)
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { await pool.run() }
            defer { tasks.cancelAll() }
            _ = try await pool.query(Statement("CREATE DATABASE \(name)"))
        }
        try await body(server.dsn(database: name))
    }

    /// Calls as a user (nil: as nobody); paths are under `/group-service/v1/`.
    @discardableResult
    func call(
        _ user: UInt64?, _ method: HTTPRequest.Method, _ path: String, _ body: [String: Any]? = nil
    ) async throws -> Answer {
        try await call(user, method, path, text: try body.map { try JSONSerialization.data(withJSONObject: $0) })
    }

    func call(_ user: UInt64?, _ method: HTTPRequest.Method, _ path: String, text: Data?) async throws -> Answer {
        var headers = HTTPFields()
        if let user { headers[.authorization] = "\(user)" }
        if text != nil { headers[.contentType] = "application/json" }
        let response = try await client.executeRequest(
            uri: "/group-service/v1/\(path)", method: method, headers: headers, body: text.map { ByteBuffer(bytes: $0) }
        )
        let json = (try? JSONSerialization.jsonObject(with: Data(response.body.readableBytesView))) as? [String: Any]
        return Answer(status: response.status.code, json: json ?? [:])
    }

    /// A group of these users, the first its owner.
    func make(
        named name: String = "Group", visibility: String = "private", _ users: [UInt64] = [1]
    ) async throws -> String {
        let made = try await call(
            users[0], .post, "groups",
            ["name": name, "visibility": visibility, "members": users.dropFirst().map { "\($0)" }])
        return try #require(made["id"], "\(made)")
    }

    func role(_ user: UInt64, _ group: String, _ role: String, by actor: UInt64 = 1) async throws -> Answer {
        try await call(actor, .put, "groups/\(group)/members/\(user)", ["role": role])
    }

    /// Ids of a group's members in the order of their list, all pages.
    func members(_ group: String, as user: UInt64 = 1, limit: Int = 100) async throws -> [String] {
        var found: [String] = []
        var cursor = ""
        while true {
            let page = try await call(user, .get, "groups/\(group)/members?limit=\(limit)\(cursor)")
            found += page.items.map { ($0["user"] as? [String: Any])?["id"] as? String ?? "?" }
            guard let next = page["next"] else { return found }
            cursor = "&cursor=\(next)"
        }
    }
}

/// What a call answered.
struct Answer: CustomStringConvertible {
    var status: Int
    var json: [String: Any]

    subscript(_ name: String) -> String? { json[name] as? String }
    var code: String? { self["code"] }
    var items: [[String: Any]] { json["items"] as? [[String: Any]] ?? [] }
    var ids: [String] { items.compactMap { $0["id"] as? String } }
    /// Which fields the errors name.
    var fields: [String] { (json["errors"] as? [[String: Any]] ?? []).compactMap { $0["field"] as? String } }
    var description: String { "\(status) \(json)" }
}

/// `Authorization: <n>` is user n with device 10 n.
private struct Identify: RouterMiddleware {
    typealias Context = RoostRequestContext
    @concurrent func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        if let user = request.headers[.authorization].flatMap({ UInt64($0) }) {
            context.authentication = .user(
                Identity(user: UserID(rawValue: user), device: DeviceID(rawValue: user * 10)))
            context.maxUploadSize = RoostRequestContext.maxKnownUpload
        }
        return try await next(request, context)
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
@Suite(.serialized, .sharedPostgres) struct DatabaseTests {}

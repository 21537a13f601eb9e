import ChatModel
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import LogConsumer
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

@testable import Messages

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A database of the test's own, and a pool to it.
enum Database {
    static let migrations: String = {
        let path = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return path + "/infra/migrations"
    }()

    static func run(_ body: (_ dsn: String, PostgresPool) async throws -> Void) async throws {
        let server = try #require(SharedPostgres.server)
        let name = "test_\(UInt64.random(in: 0 ... .max))"
        try await pool(server.dsn) { _ = try await $0.query(Statement("CREATE DATABASE \(name)")) }
        let dsn = server.dsn(database: name)
        try await pool(dsn) { try await body(dsn, $0) }
    }

    static func pool(_ dsn: String, _ body: (PostgresPool) async throws -> Void) async throws {
        let pool = PostgresPool(configuration: .init(dsn: dsn, connections: 4), logger: quiet)
        try await withThrowingTaskGroup { group in
            group.addTask { await pool.run() }
            defer { group.cancelAll() }
            try await body(pool)
        }
    }
}

@Sendable func milliseconds() -> Int64 { UnixClock.now() }

/// The roles' routes on a real relay in a database of its own; the calls between them go over TCP.
struct Stage: Sendable {
    struct Answer {
        var status: HTTPResponse.Status
        var text: String
        var json: [String: Any]
        subscript(name: String) -> Any? { json[name] }
        var items: [[String: Any]] { json["items"] as? [[String: Any]] ?? [] }
    }

    let dsn: String
    let database: PostgresPool
    let relay: RelayCore
    let relayStub: RelayStub
    let users: FakeUsers
    let index: SearchIndex
    let client: any TestClientProtocol

    static func run(
        configuration: MessagesConfiguration = .init(), _ body: @escaping @Sendable (Stage) async throws -> Void
    ) async throws {
        try await Database.run { dsn, database in
            let migrations = Migrations(directory: Database.migrations)
            try await migrations.apply(schema: "relay", using: database)
            try await migrations.apply(schema: SearchIndex.schema, using: database)
            let users = FakeUsers()
            let relay = RelayCore(
                store: LogStore(dsn: dsn, readers: 2, logger: quiet),
                loop: MultiThreadedEventLoopGroup.singleton.next(), logger: quiet, now: milliseconds,
                receipts: ReceiptPolicy { _ in [:] },
                deliver: { _, _, loop, completion in loop.execute { completion(true) } })
            let group = MultiThreadedEventLoopGroup.singleton
            let identity = RPCIdentity(role: "test", id: "test")
            let server = RPCServer(
                configuration: .init(identity: identity, security: .sharedKey("secret")),
                services: [RelayRegistration(relay), UsersRegistration(users)], eventLoopGroup: group, logger: quiet)
            let pool = RPCPool(
                role: "relay", configuration: .init(identity: identity, security: .sharedKey("secret")),
                eventLoopGroup: group, logger: quiet)
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { await relay.run() }
                tasks.addTask { try await server.run() }
                tasks.addTask { await pool.run() }
                defer { tasks.cancelAll() }
                pool.update([RPCPeer(id: "test", address: try await server.boundAddress(), epoch: 1)])
                let index = SearchIndex(pool: database, language: configuration.searchLanguage)
                _ = try await index.prepare()
                let router = Router(context: RoostRequestContext.self)
                router.addMiddleware {
                    ProblemMiddleware()
                    Identify()
                }
                for kind in [MessagesKind.direct, .group] {
                    let core = MessagesCore(
                        kind: kind, users: UsersStub(pool), relay: RelayStub(pool), configuration: configuration)
                    MessagesRoutes(core: core).add(to: router)
                    SearchRoutes(search: Search(index: index, relay: RelayStub(pool), kind: kind)).add(to: router)
                }
                try await Application(router: router).test(.router) { client in
                    try await body(
                        Stage(
                            dsn: dsn, database: database, relay: relay, relayStub: RelayStub(pool), users: users,
                            index: index, client: client))
                }
            }
        }
    }

    // MARK: REST

    /// - Parameter user: sends `Authorization: <user>`; nil: none.
    func call(
        _ user: UInt64?, _ method: HTTPRequest.Method, _ path: String, _ body: [String: Any]? = nil
    ) async throws -> Answer {
        var headers: HTTPFields = [:]
        if let user { headers[.authorization] = "\(user)" }
        var buffer: ByteBuffer?
        if let body {
            headers[.contentType] = "application/json"
            buffer = ByteBuffer(bytes: [UInt8](try JSONSerialization.data(withJSONObject: body)))
        }
        let (status, text) = try await client.execute(uri: path, method: method, headers: headers, body: buffer) {
            ($0.status, String(buffer: $0.body))
        }
        let json = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return Answer(status: status, text: text, json: json ?? [:])
    }

    static let direct = "/message-service/v1"
    static let group = "/group-message-service/v1"

    /// The path of a conversation.
    static func path(_ conversation: UInt64) -> String {
        (conversation & 1 == 1 ? group : direct) + "/conversations/\(conversation)"
    }

    /// Sends a message over REST; its seq.
    @discardableResult
    func send(_ conversation: UInt64, from user: UInt64, _ text: String, clientID: String? = nil) async throws -> UInt64
    {
        let prefix = conversation & 1 == 1 ? Self.group : Self.direct
        let answer = try await call(
            user, .post, prefix + "/messages",
            [
                "conversation": "\(conversation)", "client_id": clientID ?? "\(UInt64.random(in: 0 ... .max))",
                "body": ["text": text],
            ])
        #expect(answer.status == .created, "\(answer.text)")
        return UInt64(try #require(answer["seq"] as? Int))
    }

    @discardableResult
    func edit(_ conversation: UInt64, _ seq: UInt64, by user: UInt64, _ text: String) async throws -> Answer {
        try await call(
            user, .patch, Self.path(conversation) + "/messages/\(conversation)-\(seq)", ["body": ["text": text]])
    }

    @discardableResult
    func delete(_ conversation: UInt64, _ seq: UInt64, by user: UInt64) async throws -> Answer {
        try await call(user, .delete, Self.path(conversation) + "/messages/\(conversation)-\(seq)")
    }

    // MARK: Conversations

    func direct(_ user: UInt64, _ peer: UInt64) async throws -> UInt64 {
        var request = RelayOpenDirectRequest()
        request.user = user
        request.peer = peer
        return try await relayStub.openDirect(request).conversation
    }

    /// A group with these members, the first its owner.
    func group(_ members: [UInt64]) async throws -> UInt64 {
        let id = ConversationID.randomGroup().rawValue
        var request = RelayChangeGroupRequest()
        request.conversation = id
        request.sender = members[0]
        request.changeID = "made"
        request.create = true
        request.group.name = "Owls"
        request.members = members.enumerated().map { place, user in
            var member = LogMember()
            member.user = user
            member.change = .joined
            member.role = place == 0 ? .owner : .member
            return member
        }
        _ = try await relayStub.changeGroup(request)
        return id
    }

    func change(_ conversation: UInt64, by user: UInt64, _ id: String, _ member: LogMember) async throws {
        var request = RelayChangeGroupRequest()
        request.conversation = conversation
        request.sender = user
        request.changeID = id
        request.members = [member]
        _ = try await relayStub.changeGroup(request)
    }

    // MARK: The index

    /// A consumer that indexes, impatient as tests are.
    func consumer(_ instance: String = "a", pool: PostgresPool? = nil) -> LogConsumer {
        var configuration = LogConsumer.Configuration()
        configuration.lease = .milliseconds(600)
        configuration.settings.renewal = .milliseconds(200)
        let relayStub = relayStub
        return LogConsumer(
            name: "search", instance: instance, schema: SearchIndex.schema, pool: pool ?? database,
            configuration: configuration, metrics: ConsumerMetrics(consumer: "search"), logger: quiet,
            now: milliseconds, follow: { try await relayStub.follow($0, options: $1) }, handler: index)
    }

    /// Runs a consumer while `body` runs.
    func indexing(_ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup { group in
            group.addTask { await consumer().run() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Waits until the index has come as far as the log.
    func indexed() async throws {
        try await eventually {
            let behind = try await database.query(
                """
                SELECT EXISTS (
                    SELECT FROM relay.events e, search.shards s
                    WHERE s.shard = (e.conversation >> 1) % 8
                        AND (e.xid, e.conversation, e.seq) > (s.transaction::text::xid8, s.conversation, s.seq))
                """)
            return try !behind.rows[0].bool(0)
        }
    }
}

/// Users 1...9 exist.
final class FakeUsers: UsersService {
    /// Who shows no receipts.
    let shy = NIOLockedValueBox<Set<UInt64>>([])

    func authenticate(
        _ request: UsersAuthenticateRequest, context: RPCContext
    ) async throws -> UsersAuthenticateResponse { UsersAuthenticateResponse() }

    func keys(_ request: UsersKeysRequest, context: RPCContext) async throws -> UsersKeysResponse {
        UsersKeysResponse()
    }

    func blocking(_ request: UsersBlockingRequest, context: RPCContext) async throws -> UsersBlockingResponse {
        UsersBlockingResponse()
    }

    func profiles(_ request: UsersProfilesRequest, context: RPCContext) async throws -> UsersProfilesResponse {
        let shy = shy.withLockedValue { $0 }
        var response = UsersProfilesResponse()
        response.profiles = request.ids.filter { $0 < 10 }.map { id in
            var profile = UsersProfile()
            profile.id = id
            profile.username = "user\(id)"
            profile.readReceipts = !shy.contains(id)
            return profile
        }
        return response
    }

    func revocations(
        _ request: UsersRevocationsRequest, writer: RPCStreamWriter<UsersRevocationsPage>, context: RPCContext
    ) async throws {}
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
        }
        return try await next(request, context)
    }
}

struct NotInTime: Error {}

/// Returns when the condition holds.
func eventually(
    within limit: Duration = .seconds(15), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw NotInTime() }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// One PostgreSQL for all tests of a suite, each in a database of its own.
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

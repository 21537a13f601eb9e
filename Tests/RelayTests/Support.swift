import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Postgres
import Protocol
import RPC
import RPCTransport
import Redis
import Relay
import TestServers
import Testing

/// A PostgreSQL server of the test's own with the relay's schema, and relays that work on it.
struct Bench: Sendable {
    let server: PostgresServer
    let relays: [RelayCore]
    /// What the relays pushed, in the order of the calls.
    let pushed: Pushed
    /// Another way to the database than the relays'.
    let database: PostgresPool

    var relay: RelayCore { relays[0] }

    static func run(
        relays count: Int = 1, configuration: RelayConfiguration = .init(), ownServer: Bool = false,
        redis: String? = nil, metrics: RelayMetrics = .init(), _ body: (Bench) async throws -> Void
    ) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        try await withDatabase(ownServer: ownServer) { server, dsn in
            let pushed = Pushed()
            let database = PostgresPool(configuration: .init(dsn: dsn, connections: 2), logger: logger)
            let clients = (0..<count).compactMap { _ in
                redis.map { RedisClient(configuration: RedisConfiguration(address: $0), logger: logger) }
            }
            let relays = (0..<count).map { index in
                RelayCore(
                    store: LogStore(dsn: dsn, readers: 2, logger: logger), configuration: configuration,
                    loop: MultiThreadedEventLoopGroup.singleton.next(), metrics: metrics, logger: logger,
                    now: milliseconds,
                    receipts: ReceiptPolicy { users in
                        Dictionary(uniqueKeysWithValues: users.map { ($0, $0 != Bench.shy) })
                    },
                    redis: clients.isEmpty ? nil : clients[index],
                    deliver: { node, request, loop, completion in
                        let succeeded = pushed.add(node, request)
                        loop.execute { completion(succeeded) }
                    })
            }
            try await withThrowingTaskGroup { group in
                group.addTask { await database.run() }
                for client in clients { group.addTask { await client.run() } }
                for relay in relays { group.addTask { await relay.run() } }
                defer { group.cancelAll() }
                try await Migrations(directory: migrations).apply(schema: "relay", using: database)
                try await body(Bench(server: server, relays: relays, pushed: pushed, database: database))
            }
        }
    }

    /// A database of the test's own: on the suite's server, or, to be killed, on one of its own that syncs to disk.
    private static func withDatabase(
        ownServer: Bool, _ body: (_ server: PostgresServer, _ dsn: String) async throws -> Void
    ) async throws {
        guard !ownServer, let server = SharedPostgres.server else {
            return try await PostgresServer.withServer(fsync: true) { server in try await body(server, server.dsn) }
        }
        let name = "test_\(UInt64.random(in: 0 ... .max))"
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let pool = PostgresPool(configuration: .init(dsn: server.dsn, connections: 1), logger: logger)
        try await withThrowingTaskGroup { group in
            group.addTask { await pool.run() }
            defer { group.cancelAll() }
            _ = try await pool.query(Statement("CREATE DATABASE \(name)"))
        }
        try await body(server, server.dsn(database: name))
    }

    /// A user who doesn't show what they read.
    static let shy: UInt64 = 666

    static let migrations: String = {
        let path = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return path + "/infra/migrations"
    }()

    @Sendable static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// A group's conversation with these members and no event yet.
    func group(_ id: UInt64, _ members: [UInt64]) async throws {
        _ = try await database.pipeline([
            (
                """
                INSERT INTO relay.conversations (id, kind, created_at, active_at, member_count)
                VALUES ($1, 2, now(), now(), $2)
                """,
                [.int8(Int64(id)), .int4(Int32(members.count))]
            ),
            (
                "INSERT INTO relay.members (conversation, user_id) SELECT $1, unnest($2::bigint[])",
                [.int8(Int64(id)), .int8s(members.map { Int64($0) })]
            ),
        ])
    }

    /// Changes a group as its service does.
    @discardableResult
    func change(
        _ group: UInt64, _ id: String, by sender: UInt64 = 1, create: Bool = false, name: String? = nil,
        deleted: Bool = false, on relay: Int = 0,
        _ members: [(user: UInt64, change: LogMemberChange, role: LogGroupRole)] = []
    ) async throws -> RelayChangeGroupResponse {
        var request = RelayChangeGroupRequest()
        request.conversation = group
        request.sender = sender
        request.changeID = id
        request.create = create
        if name != nil || deleted {
            request.group.name = name ?? ""
            request.group.deleted = deleted
        }
        request.members = members.map { user, change, role in
            var member = LogMember()
            member.user = user
            member.change = change
            member.role = role
            return member
        }
        return try await relays[relay].changeGroup(request, context: context())
    }

    /// Edits, deletes, or reacts to a message.
    @discardableResult
    func amend(
        _ conversation: UInt64, _ target: UInt64, from sender: UInt64, _ kind: LogEventKind, ref: String = "",
        text: String = "", mentions: [UInt64] = [], emoji: String = "", removed: Bool = false, within: UInt64 = 0,
        on relay: Int = 0
    ) async throws(RPCError) -> RelayAppendResponse {
        var request = RelayAppendRequest()
        request.conversation = conversation
        request.sender = sender
        request.clientID = ref
        request.kind = kind
        request.target = target
        request.emoji = emoji
        request.removed = removed
        request.withinMs = within
        if kind == .edit {
            request.body.text = text
            request.body.mentions = mentions
        }
        return try await relays[relay].append(request, deadline: .now() + .seconds(20))
    }

    func direct(_ user: UInt64, _ peer: UInt64) async throws -> UInt64 {
        var request = RelayOpenDirectRequest()
        request.user = user
        request.peer = peer
        return try await relay.openDirect(request, context: context()).conversation
    }

    func block(_ user: UInt64, _ peer: UInt64, _ blocked: Bool = true) async throws {
        var request = RelayBlockRequest()
        request.user = user
        request.peer = peer
        request.blocked = blocked
        _ = try await relay.block(request, context: context())
    }

    func context(deadline: NIODeadline? = nil) -> RPCContext {
        RPCContext(
            peer: RPCIdentity(role: "test", id: "test"), callID: 1, method: "test", deadline: deadline, trace: nil,
            eventLoop: MultiThreadedEventLoopGroup.singleton.next())
    }

    @discardableResult
    func send(
        _ conversation: UInt64, from sender: UInt64, _ clientID: String, text: String = "hello",
        mentions: [UInt64] = [], on relay: Int = 0,
        within: TimeAmount = .seconds(20)
    ) async throws(RPCError) -> RelayAppendResponse {
        var request = RelayAppendRequest()
        request.conversation = conversation
        request.sender = sender
        request.clientID = clientID
        request.kind = .message
        request.body.text = text
        request.body.mentions = mentions
        return try await relays[relay].append(request, deadline: .now() + within)
    }

    func acknowledge(
        _ conversation: UInt64, user: UInt64, device: UInt64, delivered: UInt64 = 0, read: UInt64 = 0
    ) async throws {
        var request = RelayAcknowledgeRequest()
        var acknowledgement = RelayAcknowledgement()
        acknowledgement.conversation = conversation
        acknowledgement.user = user
        acknowledgement.device = device
        acknowledgement.delivered = delivered
        acknowledgement.read = read
        request.acknowledgements = [acknowledgement]
        _ = try await relay.acknowledge(request, context: context())
    }

    /// All pages of a sync.
    func sync(user: UInt64, device: UInt64, all: Bool = true, cursors: [UInt64: UInt64] = [:]) async throws
        -> [RelaySyncPage]
    {
        var request = RelaySyncRequest()
        request.user = user
        request.device = device
        request.all = all
        request.cursors = cursors.map { conversation, seq in
            var cursor = RelayCursor()
            cursor.conversation = conversation
            cursor.seq = seq
            return cursor
        }
        let pages = NIOLockedValueBox<[RelaySyncPage]>([])
        try await relay.sync(request) { page in pages.withLockedValue { $0.append(page) } }
        return pages.withLockedValue { $0 }
    }

    func conversations(user: UInt64, device: UInt64 = 0) async throws -> [RelayConversation] {
        var request = RelayConversationsRequest()
        request.user = user
        request.device = device
        return try await relay.conversations(request).conversations
    }

    func history(
        _ conversation: UInt64, user: UInt64, before: UInt64 = 0, after: UInt64 = 0, fromStart: Bool = false,
        limit: UInt32 = 0, raw: Bool = false, changes: Bool = false, on relay: Int = 0
    ) async throws -> RelayHistoryResponse {
        var request = RelayHistoryRequest()
        request.conversation = conversation
        request.user = user
        request.before = before
        request.after = after
        request.fromStart = fromStart
        request.limit = limit
        request.raw = raw
        request.changes = changes
        return try await relays[relay].history(request, context: context())
    }

    /// Tells relays that users are connected to a node: handle = user, device = 10 * user.
    func attach(_ node: String, incarnation: UInt64 = 1, _ users: [UInt64]) async throws {
        var update = RosterUpdate()
        update.node = node
        update.incarnation = incarnation
        update.snapshot = true
        update.revision = 1
        update.joined = users.map { user in
            var entry = RosterEntry()
            entry.handle = UInt32(user)
            entry.user = user
            entry.device = user * 10
            return entry
        }
        for relay in relays { _ = try await relay.attach(update, context: context()) }
    }
}

/// What relays pushed to nodes; calls to `broken` nodes fail.
final class Pushed: Sendable {
    private struct State {
        var calls: [(node: String, request: ChatDeliverRequest)] = []
        var broken: Set<String> = []
    }

    private let state = NIOLockedValueBox(State())

    func add(_ node: String, _ request: ChatDeliverRequest) -> Bool {
        state.withLockedValue { state in
            guard !state.broken.contains(node) else { return false }
            state.calls.append((node, request))
            return true
        }
    }

    func setBroken(_ nodes: Set<String>) { state.withLockedValue { $0.broken = nodes } }

    /// Deliveries to a node so far.
    func deliveries(_ node: String) -> [ChatDelivery] {
        state.withLockedValue { state in state.calls.filter { $0.node == node }.flatMap(\.request.deliveries) }
    }

    /// What was pushed to a connection, of all conversations.
    func seqs(of user: UInt64) -> [UInt64] {
        state.withLockedValue { state in
            state.calls.flatMap(\.request.deliveries).filter { $0.handles.contains(UInt32(user)) }.map(\.event.seq)
        }
    }

    func receipts(_ node: String) -> [ChatReceipt] {
        state.withLockedValue { state in state.calls.filter { $0.node == node }.flatMap(\.request.receipts) }
    }

    func mutes(_ node: String) -> [ChatMute] {
        state.withLockedValue { state in state.calls.filter { $0.node == node }.flatMap(\.request.mutes) }
    }

    func typings(_ node: String) -> [ChatTyping] {
        state.withLockedValue { state in state.calls.filter { $0.node == node }.flatMap(\.request.typings) }
    }
}

struct NotInTime: Error {}

/// Returns when the condition holds.
func eventually(
    within limit: Duration = .seconds(10), _ condition: () async throws -> Bool
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

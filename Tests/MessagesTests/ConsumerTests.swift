import Logging
import NIOConcurrencyHelpers
import Postgres
import Protocol
import RPC
import Testing

@testable import LogConsumer

extension DatabaseTests {
    /// Consumers on a log of the test's own: each event counts exactly once, whatever happens to them.
    @Suite(.serialized) struct ConsumerTests {
        @Test func everythingOnceInOrder() async throws {
            try await Counting.run { counting in
                counting.log.append(1000, conversations: 20)
                try await withThrowingTaskGroup { group in
                    for name in ["a", "b", "c"] {
                        let consumer = counting.consumer(name)
                        group.addTask { await consumer.run() }
                    }
                    defer { group.cancelAll() }
                    try await eventually { try await counting.total() == 1000 }
                    counting.log.append(500, conversations: 20)
                    try await eventually { try await counting.total() == 1500 }
                    try await counting.expectOnce()
                    // Each has its part.
                    try await eventually {
                        let owners = try await counting.owners()
                        return owners.count == 3 && owners.values.allSatisfy { $0.count <= 3 }
                    }
                }
                // They gave back what they had.
                #expect(try await counting.owners().isEmpty)
            }
        }

        /// Instances are killed again and again, with a transaction open or not, and come back.
        @Test func killedAtAnyTime() async throws {
            try await Counting.run { counting in
                try await withThrowingTaskGroup { group in
                    group.addTask {
                        for _ in 0..<60 {
                            counting.log.append(50, conversations: 16)
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                    for name in ["a", "b"] {
                        group.addTask {
                            for _ in 0..<10 { try await counting.runAndKill(name) }
                        }
                    }
                    try await group.waitForAll()
                }
                let consumer = counting.consumer("z")
                try await withThrowingTaskGroup { group in
                    group.addTask { await consumer.run() }
                    defer { group.cancelAll() }
                    try await eventually { try await counting.total() == 3000 }
                }
                try await counting.expectOnce()
            }
        }

        /// Two instances that both believe all shards to be theirs.
        @Test func twoUnderOneName() async throws {
            try await Counting.run { counting in
                try await withThrowingTaskGroup { group in
                    for _ in 0..<2 {
                        let consumer = counting.consumer("same")
                        group.addTask { await consumer.run() }
                    }
                    defer { group.cancelAll() }
                    for round in 1...20 {
                        counting.log.append(100, conversations: 8)
                        try await eventually { try await counting.total() == round * 100 }
                    }
                }
                try await counting.expectOnce()
            }
        }

        /// The lease goes to another between the reading of a batch and its storing.
        @Test func aStolenLeaseStoresNothing() async throws {
            try await Counting.run { counting in
                counting.log.append(10, conversations: 4)
                let stolen = NIOLockedValueBox(false)
                let consumer = counting.consumer("a") { request, options in
                    let answer = try await counting.log.follow(request)
                    if !answer.events.isEmpty, !stolen.withLockedValue({ $0 }) {
                        stolen.withLockedValue { $0 = true }
                        _ = try await counting.pool.query(
                            "UPDATE counting.shards SET owner = 'b', leased_until = now() + interval '1 day'")
                    }
                    return answer
                }
                try await withThrowingTaskGroup { group in
                    group.addTask { await consumer.run() }
                    try await eventually { stolen.withLockedValue { $0 } }
                    // It looks again, and sees that it holds nothing.
                    try await eventually { counting.log.isIdle }
                    group.cancelAll()
                }
                #expect(try await counting.total() == 0)
                let thief = counting.consumer("b")
                try await withThrowingTaskGroup { group in
                    group.addTask { await thief.run() }
                    defer { group.cancelAll() }
                    try await eventually { try await counting.total() == 10 }
                }
                try await counting.expectOnce()
            }
        }

        /// What can't be processed is never skipped, and holds up its shard alone.
        @Test func aBadEventHoldsUpItsShardAlone() async throws {
            try await Counting.run { counting in
                counting.log.append(200, conversations: 16)
                counting.bad.withLockedValue { $0 = counting.log.event(100) }
                let consumer = counting.consumer("a")
                try await withThrowingTaskGroup { group in
                    group.addTask { await consumer.run() }
                    defer { group.cancelAll() }
                    let held = counting.log.behind(100)
                    try await eventually { try await counting.total() == 200 - held }
                    counting.bad.withLockedValue { $0 = nil }
                    try await eventually { try await counting.total() == 200 }
                }
                try await counting.expectOnce()
            }
        }
    }
}

/// A log without a relay: events in the order of their commits.
private final class MemoryLog: Sendable {
    private struct State {
        var events: [Protocol.LogEvent] = []
        var heads: [UInt64: UInt64] = [:]
        var lastAsked = ContinuousClock.now
    }
    private let state = NIOLockedValueBox(State())

    func append(_ count: Int, conversations: UInt64) {
        state.withLockedValue { state in
            for _ in 0..<count {
                let conversation = UInt64.random(in: 2..<2 + conversations)
                var event = Protocol.LogEvent()
                event.conversation = conversation
                event.seq = state.heads[conversation, default: 0] + 1
                event.kind = .message
                state.heads[conversation] = event.seq
                state.events.append(event)
            }
        }
    }

    func event(_ index: Int) -> Protocol.LogEvent { state.withLockedValue { $0.events[index] } }

    /// How many events of the shard of that event come with or after it.
    func behind(_ index: Int) -> Int {
        state.withLockedValue { state in
            let shard = ConsumerStateMachine.shard(of: state.events[index].conversation, in: 8)
            return state.events[index...].count { ConsumerStateMachine.shard(of: $0.conversation, in: 8) == shard }
        }
    }

    /// Nobody asks.
    var isIdle: Bool { state.withLockedValue { ContinuousClock.now - $0.lastAsked > .milliseconds(400) } }

    func follow(_ request: RelayFollowRequest) async throws -> RelayFollowResponse {
        let end = ContinuousClock.now + .milliseconds(Int64(request.waitMs))
        while true {
            let (found, total) = state.withLockedValue { state in
                state.lastAsked = .now
                let start = Int(request.after.transaction)
                return (Array(state.events.dropFirst(start).prefix(Int(request.limit))), state.events.count)
            }
            if let last = found.last {
                var response = RelayFollowResponse()
                response.events = found
                response.next.transaction = request.after.transaction + UInt64(found.count)
                response.next.conversation = last.conversation
                response.next.seq = last.seq
                response.more = Int(response.next.transaction) < total
                return response
            }
            if ContinuousClock.now >= end {
                var response = RelayFollowResponse()
                response.next = request.after
                return response
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

/// A consumer that counts how often each event is handed to it.
private struct Counting: Sendable {
    let dsn: String
    let pool: PostgresPool
    let log = MemoryLog()
    /// The event that can't be processed.
    let bad = NIOLockedValueBox<Protocol.LogEvent?>(nil)

    static func run(_ body: (Counting) async throws -> Void) async throws {
        try await Database.run { dsn, pool in
            try await pool.withConnection { connection in
                try await connection.script(
                    """
                    CREATE SCHEMA counting;
                    CREATE TABLE counting.shards (
                        shard         bigint PRIMARY KEY,
                        transaction   bigint NOT NULL DEFAULT 0,
                        conversation  bigint NOT NULL DEFAULT 0,
                        seq           bigint NOT NULL DEFAULT 0,
                        leased_until  timestamptz,
                        owner         text
                    );
                    INSERT INTO counting.shards (shard) SELECT generate_series(0, 7);
                    CREATE TABLE counting.instances (instance text PRIMARY KEY, seen_until timestamptz NOT NULL);
                    CREATE TABLE counting.seen (id bigserial, conversation bigint, seq bigint);
                    """)
            }
            try await body(Counting(dsn: dsn, pool: pool))
        }
    }

    struct Bad: Error {}

    private struct Handler: ConsumerHandler {
        let bad: NIOLockedValueBox<Protocol.LogEvent?>

        func handle(_ events: [Protocol.LogEvent], in transaction: PostgresConnection) async throws {
            _ = try await transaction.query(
                "INSERT INTO counting.seen (conversation, seq) SELECT * FROM unnest($1::bigint[], $2::bigint[])",
                [.int8s(events.map { Int64($0.conversation) }), .int8s(events.map { Int64($0.seq) })])
            if let bad = bad.withLockedValue({ $0 }), events.contains(bad) { throw Bad() }
            // Time to be killed in: written, not committed.
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func consumer(_ instance: String, pool: PostgresPool? = nil, follow: LogConsumer.Follow? = nil) -> LogConsumer {
        var configuration = LogConsumer.Configuration()
        configuration.lease = .milliseconds(500)
        configuration.settings.renewal = .milliseconds(100)
        configuration.settings.batch = 40
        configuration.settings.firstPause = .milliseconds(5)
        configuration.settings.longestPause = .milliseconds(100)
        let log = log
        return LogConsumer(
            name: "counting", instance: instance, schema: "counting", pool: pool ?? self.pool,
            configuration: configuration, metrics: ConsumerMetrics(consumer: "counting"), logger: quiet,
            now: milliseconds, follow: follow ?? { request, _ in try await log.follow(request) },
            handler: Handler(bad: bad))
    }

    /// Runs an instance for a moment and ends it with all of its connections; half of them have no time to give anything back.
    func runAndKill(_ name: String) async throws {
        let own = PostgresPool(
            configuration: .init(dsn: dsn, connections: 2, applicationName: "victim-\(name)"), logger: quiet)
        let consumer = consumer(name, pool: own)
        try await withThrowingTaskGroup { group in
            group.addTask { await own.run() }
            group.addTask { await consumer.run() }
            try await Task.sleep(for: .milliseconds(Int64.random(in: 30...250)))
            if Bool.random() {
                _ = try await pool.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
                    [.text("victim-\(name)")])
            }
            group.cancelAll()
        }
    }

    func total() async throws -> Int {
        Int(try await pool.query("SELECT count(*) FROM counting.seen").rows[0].int8(0))
    }

    /// No event twice, and each conversation in order.
    func expectOnce() async throws {
        let twice = try await pool.query(
            "SELECT count(*) FROM (SELECT FROM counting.seen GROUP BY conversation, seq HAVING count(*) > 1) t")
        #expect(try twice.rows[0].int8(0) == 0)
        let disordered = try await pool.query(
            """
            SELECT count(*) FROM (
                SELECT seq, lag(seq) OVER (PARTITION BY conversation ORDER BY id) AS before FROM counting.seen
            ) t WHERE before >= seq
            """)
        #expect(try disordered.rows[0].int8(0) == 0)
    }

    func owners() async throws -> [String: Set<Int>] {
        var owners: [String: Set<Int>] = [:]
        for row in try await pool.query("SELECT owner, shard FROM counting.shards WHERE owner IS NOT NULL").rows {
            owners[try row.text(0), default: []].insert(Int(try row.int8(1)))
        }
        return owners
    }
}

package import Postgres

/// The shards of one consumer in its own schema: where each is, and who holds it.
///
/// The schema has what `README.md` shows: `shards`, a row each, and `instances`.
package struct ShardStore: Sendable {
    /// Somebody else has moved a shard, or holds it: nothing was stored.
    struct Lost: Error {}

    private let pool: PostgresPool
    private let renewal: [Statement]
    private let takeStatement: Statement
    private let releaseStatement: Statement
    private let forgetStatement: Statement
    private let lockStatement: Statement
    private let advanceStatement: Statement
    /// A commit that a crash of the database undoes takes the position along, so nobody has to wait for the disk.
    private static let unhurried: Statement = "SELECT set_config('synchronous_commit', 'off', true)"

    /// - Parameter schema: of a-z, 0-9 and _.
    package init(schema: String, pool: PostgresPool) {
        self.pool = pool
        renewal = [
            Statement(
                """
                INSERT INTO \(schema).instances (instance, seen_until)
                VALUES ($1::text, now() + $2::bigint * interval '1 millisecond')
                ON CONFLICT (instance) DO UPDATE SET seen_until = excluded.seen_until
                """),
            Statement(
                """
                UPDATE \(schema).shards SET leased_until = now() + $2::bigint * interval '1 millisecond'
                WHERE owner = $1::text
                """),
            Statement(
                """
                SELECT shard, owner, coalesce(leased_until > now(), false), transaction, conversation, seq
                FROM \(schema).shards ORDER BY shard
                """),
            Statement("SELECT count(*) FROM \(schema).instances WHERE seen_until > now()"),
        ]
        takeStatement = Statement(
            """
            UPDATE \(schema).shards s
            SET owner = $1::text, leased_until = now() + $2::bigint * interval '1 millisecond'
            FROM (
                SELECT shard FROM \(schema).shards
                WHERE shard = ANY ($3::bigint[]) AND (owner IS NULL OR leased_until <= now())
                FOR UPDATE SKIP LOCKED
            ) free
            WHERE s.shard = free.shard
            RETURNING s.shard, s.transaction, s.conversation, s.seq
            """)
        releaseStatement = Statement(
            """
            UPDATE \(schema).shards SET owner = NULL, leased_until = NULL
            WHERE owner = $1::text AND ($2::bigint[] IS NULL OR shard = ANY ($2))
            """)
        forgetStatement = Statement(
            "DELETE FROM \(schema).instances WHERE instance = $1::text OR seen_until < now() - interval '1 day'")
        lockStatement = Statement(
            """
            SELECT shard FROM \(schema).shards
            WHERE shard = ANY ($1::bigint[]) AND owner = $2::text
                AND (transaction, conversation, seq) = ($3::bigint, $4::bigint, $5::bigint)
            ORDER BY shard FOR UPDATE
            """)
        advanceStatement = Statement(
            """
            UPDATE \(schema).shards SET transaction = $2::bigint, conversation = $3::bigint, seq = $4::bigint
            WHERE shard = ANY ($1::bigint[])
            """)
    }

    /// Renews the leases of an instance, takes what it lacks of its share and gives back what is too much.
    ///
    /// - Returns: what it holds and where that is, and how many shards there are.
    func renew(_ instance: String, lease: Duration) async throws -> (held: [Int: LogPosition], count: Int) {
        try await pool.transaction { connection in
            let values: [PostgresValue] = [.text(instance), .int8(lease.wholeMilliseconds)]
            let results = try await connection.pipeline([
                (renewal[0], values), (renewal[1], values), (renewal[2], []), (renewal[3], []), (Self.unhurried, []),
            ])
            var rows: [LeasePlan.Row] = []
            var held: [Int: LogPosition] = [:]
            for row in results[2].rows {
                let shard = Int(try row.int8(0))
                let owner = try row.optionalText(1)
                rows.append(.init(shard: shard, owner: owner, isLeased: try row.bool(2)))
                if owner == instance { held[shard] = try Self.position(row, from: 3) }
            }
            let instances = Int(try results[3].rows[0].int8(0))
            let plan = LeasePlan(rows, instance: instance, instances: instances)
            if !plan.release.isEmpty {
                _ = try await connection.query(
                    releaseStatement, [.text(instance), .int8s(plan.release.map { Int64($0) })])
                for shard in plan.release { held[shard] = nil }
            }
            if !plan.take.isEmpty {
                let taken = try await connection.query(takeStatement, values + [.int8s(plan.take.map { Int64($0) })])
                for row in taken.rows { held[Int(try row.int8(0))] = try Self.position(row, from: 1) }
            }
            return (held, rows.count)
        }
    }

    private static func position(_ row: PostgresRow, from column: Int) throws(PostgresError) -> LogPosition {
        LogPosition(
            transaction: UInt64(bitPattern: try row.int8(column)),
            conversation: UInt64(bitPattern: try row.int8(column + 1)),
            seq: UInt64(bitPattern: try row.int8(column + 2)))
    }

    /// Moves the shards of a batch and does `body`, in one transaction: both or neither.
    ///
    /// - Throws: `Lost` when a shard is not where the batch begins, or is not this instance's.
    func commit(
        _ batch: ConsumerStateMachine.Batch, instance: String, _ body: (PostgresConnection) async throws -> Void
    ) async throws {
        try await pool.transaction { connection in
            let shards = PostgresValue.int8s(batch.shards.map { Int64($0) })
            let locked = try await connection.pipeline([
                (lockStatement, [shards, .text(instance)] + Self.values(batch.from)),
                (advanceStatement, [shards] + Self.values(batch.to)), (Self.unhurried, []),
            ])[0]
            guard locked.rows.count == batch.shards.count else { throw Lost() }
            try await body(connection)
        }
    }

    private static func values(_ position: LogPosition) -> [PostgresValue] {
        [position.transaction, position.conversation, position.seq].map { .int8(Int64(bitPattern: $0)) }
    }

    /// Gives back all that an instance holds. Also from a task that is cancelled.
    func leave(_ instance: String) async {
        await withCheckedContinuation { continuation in
            pool.submit(
                [(releaseStatement, [.text(instance), .null]), (forgetStatement, [.text(instance)])],
                timeout: .seconds(2)
            ) { _ in continuation.resume() }
        }
    }
}

extension Duration {
    var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

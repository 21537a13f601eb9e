import Postgres
import Protocol
import SwiftProtobuf

/// Writes the log by SQL: what a test needs to be there, whoever would have written it.
struct Scribe {
    let database: PostgresPool

    init(_ bench: Bench) { database = bench.database }

    /// The next event of a conversation, and what it amends, in one transaction; its seq.
    @discardableResult
    func append(
        _ conversation: UInt64, _ kind: LogEventKind, by sender: UInt64, target: UInt64? = nil, emoji: String? = nil,
        removed: Bool = false, clientID: String? = nil, body: [UInt8]? = nil, amending: [PostgresPool.Step] = []
    ) async throws -> UInt64 {
        let row = try await database.pipeline(
            [
                (
                    """
                    WITH moved AS (
                        UPDATE relay.conversations SET head = head + 1, active_at = clock_timestamp(),
                            ordinal = ordinal + CASE WHEN $2::smallint = 1 THEN 1 ELSE 0 END
                        WHERE id = $1 RETURNING id, head, ordinal, active_at
                    )
                    INSERT INTO relay.events
                        (conversation, seq, ordinal, sender, sent_at, kind, target, emoji, removed, client_id, body)
                    SELECT id, head, ordinal, $3::bigint, active_at, $2, $4::bigint, $5::text, $6::boolean, $7::text,
                        $8::bytea
                    FROM moved RETURNING seq
                    """,
                    [
                        .int8(Int64(conversation)), .int2(Int16(kind.rawValue)), .int8(Int64(sender)),
                        .optional(target.map { Int64($0) }), .optional(emoji), .bool(removed), .optional(clientID),
                        .optional(body),
                    ]
                )
            ] + amending
        )[0].rows.first
        guard let row else { throw NotInTime() }
        return UInt64(try row.int8(0))
    }

    @discardableResult
    func edit(_ conversation: UInt64, _ seq: UInt64, by sender: UInt64, _ text: String) async throws -> UInt64 {
        var body = LogBody()
        body.text = text
        let bytes: [UInt8] = try body.serializedBytes()
        return try await append(
            conversation, .edit, by: sender, target: seq, clientID: "edit", body: bytes,
            amending: [
                (
                    """
                    UPDATE relay.events SET body = $3, edited_at = clock_timestamp()
                    WHERE conversation = $1 AND seq = $2
                    """, [.int8(Int64(conversation)), .int8(Int64(seq)), .bytes(bytes)]
                )
            ])
    }

    @discardableResult
    func delete(_ conversation: UInt64, _ seq: UInt64, by sender: UInt64) async throws -> UInt64 {
        let message: [PostgresValue] = [.int8(Int64(conversation)), .int8(Int64(seq))]
        return try await append(
            conversation, .delete, by: sender, target: seq,
            amending: [
                (
                    """
                    UPDATE relay.events SET body = NULL, deleted_at = clock_timestamp()
                    WHERE conversation = $1 AND (seq = $2 OR target = $2 AND kind = 2)
                    """, message
                ),
                ("DELETE FROM relay.reactions WHERE conversation = $1 AND target = $2", message),
                ("DELETE FROM relay.mentions WHERE conversation = $1 AND seq = $2", message),
            ])
    }

    @discardableResult
    func react(
        _ conversation: UInt64, _ seq: UInt64, by user: UInt64, _ emoji: String, removed: Bool = false
    ) async throws -> UInt64 {
        try await append(
            conversation, .reaction, by: user, target: seq, emoji: emoji, removed: removed,
            amending: [
                (
                    """
                    INSERT INTO relay.reactions (conversation, target, user_id, seq, removed, emoji)
                    SELECT id, $2, $3, head, $4, $5 FROM relay.conversations WHERE id = $1
                    ON CONFLICT (conversation, target, user_id, emoji)
                        DO UPDATE SET seq = excluded.seq, removed = excluded.removed
                    """,
                    [
                        .int8(Int64(conversation)), .int8(Int64(seq)), .int8(Int64(user)), .bool(removed),
                        .text(emoji),
                    ]
                )
            ])
    }

    func mention(_ conversation: UInt64, _ seq: UInt64, _ user: UInt64) async throws {
        try await run(
            "INSERT INTO relay.mentions (conversation, seq, user_id) VALUES ($1, $2, $3)", conversation, seq,
            .int8(Int64(user)))
    }

    /// A change of who is in a group, with its event.
    @discardableResult
    func change(
        _ conversation: UInt64, _ user: UInt64, _ change: LogMemberChange, by sender: UInt64 = 1
    ) async throws -> UInt64 {
        var member = LogMember()
        member.user = user
        member.change = change
        member.role = change == .joined ? .member : .unspecified
        let seq = try await append(conversation, .member, by: sender, body: member.serializedBytes())
        switch change {
        case .joined:
            try await run(
                """
                INSERT INTO relay.members (conversation, user_id, joined_seq, read_seq, delivered_seq, read_ordinal)
                SELECT $1, $3::bigint, $2::bigint - 1, $2 - 1, $2 - 1, ordinal FROM relay.conversations WHERE id = $1
                ON CONFLICT (conversation, user_id) DO UPDATE SET joined_seq = excluded.joined_seq, left_seq = NULL,
                    read_seq = excluded.read_seq, delivered_seq = excluded.delivered_seq, own_ahead = 0,
                    read_ordinal = excluded.read_ordinal
                """, conversation, seq, .int8(Int64(user)))
        case .left, .removed, .banned:
            try await run(
                "UPDATE relay.members SET left_seq = $2 WHERE conversation = $1 AND user_id = $3", conversation, seq,
                .int8(Int64(user)))
        case .role, .unspecified, .UNRECOGNIZED: break
        }
        return seq
    }

    /// What a group is called, with its event.
    @discardableResult
    func rename(_ conversation: UInt64, _ name: String, members: Int32, by sender: UInt64 = 1) async throws -> UInt64 {
        var group = LogGroup()
        group.name = name
        let bytes: [UInt8] = try group.serializedBytes()
        let seq = try await append(conversation, .group, by: sender, body: bytes)
        try await run(
            "UPDATE relay.conversations SET info = $2, member_count = $3 WHERE id = $1", conversation, nil,
            .bytes(bytes), .int4(members))
        return seq
    }

    private func run(
        _ statement: Statement, _ conversation: UInt64, _ seq: UInt64? = nil, _ rest: PostgresValue...
    ) async throws {
        _ = try await database.query(
            statement, [.int8(Int64(conversation))] + (seq.map { [.int8(Int64($0))] } ?? []) + rest)
    }
}

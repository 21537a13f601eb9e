package import ChatModel
package import Postgres
package import Protocol
import ServiceKit
import SwiftProtobuf

/// Groups in PostgreSQL. Times are Unix milliseconds. Throws `PostgresError`, and what decisions throw.
package struct GroupStore: Sendable {
    private let pool: PostgresPool
    /// For a statement, waiting for a connection included: while PostgreSQL is away a client hears of it this soon.
    private let timeout: Duration

    package init(pool: PostgresPool, timeout: Duration = .seconds(3)) {
        self.pool = pool
        self.timeout = timeout
    }

    func query(
        _ statement: Statement, _ parameters: [PostgresValue]
    ) async throws(PostgresError) -> PostgresResult {
        try await pool.query(statement, parameters, timeout: timeout)
    }

    // MARK: Changing

    /// What a change came to.
    package struct Outcome: Sendable {
        package var before: GroupSituation
        package var effects: [GroupEffect]
        package var group: Group
        /// Of the actor, after it.
        package var role: GroupRole?
    }

    /// Makes a group with its first change, number 1.
    package func create(
        _ group: Group, members: [GroupMember], request: RelayChangeGroupRequest, now: Int64
    ) async throws {
        let id = PostgresValue.int8(group.id.column)
        let steps: [PostgresPool.Step] = [
            (
                """
                INSERT INTO groups.groups (id, changes, created_at, member_count, is_public, name, about, avatar)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                [
                    id, .int8(group.changes), .timestamp(milliseconds: group.createdAt),
                    .int4(Int32(group.memberCount)), .bool(group.profile.isPublic), .text(group.profile.name),
                    .text(group.profile.about), .optional(group.profile.avatar),
                ]
            ),
            (
                """
                INSERT INTO groups.members (group_id, user_id, joined_at, role)
                SELECT $1, m.user_id, $2, m.role FROM unnest($3::int8[], $4::int2[]) AS m (user_id, role)
                """,
                [
                    id, .timestamp(milliseconds: now), .int8s(members.map(\.user.column)),
                    .int2Array(members.map(\.role.rawValue)),
                ]
            ),
            Self.insertNames(group.id, group.profile),
            try Self.insertOutbox(group.id, number: group.changes, request: request, now: now),
        ]
        _ = try await pool.pipeline(steps, timeout: timeout)
    }

    /// Decides about a group under its lock, and carries that out.
    ///
    /// - Parameters:
    ///   - target: whom it is about, where that isn't the actor.
    ///   - invite: a code, to be read with the rest.
    ///   - limit: members that the group can have.
    /// - Throws: what `decide` throws; `not_found` where there is no such group.
    package func change(
        _ id: ConversationID, actor: UserID, target: UserID? = nil, invite code: String? = nil, limit: Int, now: Int64,
        _ decide: (GroupSituation, Invite?) throws -> [GroupEffect]
    ) async throws -> Outcome {
        try await pool.transaction { connection in
            let reads = Self.reads(id, actor: actor, target: target, now: now, lock: true)
            let results = try await connection.pipeline(
                reads + [(Self.invite, [.optional(code), .int8(id.column)])], timeout: timeout)
            guard let situation = try Self.situation(results, actor: actor, target: target, limit: limit) else {
                throw GroupSituation.noGroup
            }
            let invite = try results[2].rows.first.map { row throws(PostgresError) in try Self.invite(row) }
            let effects = try decide(situation, invite)
            var steps = effects.flatMap { Self.steps(for: $0, in: situation, now: now) }
            let group = situation.group(after: effects)
            if let request = situation.request(for: effects, changeID: ChangeID.random()) {
                steps.append(try Self.insertOutbox(id, number: group.changes, request: request, now: now))
                steps.append(
                    (
                        "UPDATE groups.groups SET changes = $2, member_count = $3 WHERE id = $1",
                        [.int8(id.column), .int8(group.changes), .int4(Int32(group.memberCount))]
                    ))
            }
            _ = try await connection.pipeline(steps, timeout: timeout)
            return Outcome(
                before: situation, effects: effects, group: group, role: situation.actorRole(after: effects))
        }
    }

    /// The same without a lock and without consequences: nil where there is no such group.
    package func situation(
        _ id: ConversationID, actor: UserID, target: UserID? = nil, limit: Int, now: Int64
    ) async throws -> GroupSituation? {
        let results = try await pool.pipeline(
            Self.reads(id, actor: actor, target: target, now: now, lock: false), timeout: timeout)
        return try Self.situation(results, actor: actor, target: target, limit: limit)
    }

    private static func reads(
        _ id: ConversationID, actor: UserID, target: UserID?, now: Int64, lock: Bool
    ) -> [PostgresPool.Step] {
        [
            ("SELECT \(columns) FROM groups.groups g WHERE g.id = $1\(lock ? " FOR UPDATE" : "")", [.int8(id.column)]),
            (
                // A statement of its own: its snapshot is taken when the lock is held.
                """
                SELECT (SELECT role FROM groups.members WHERE group_id = $1 AND user_id = $2),
                    (SELECT role FROM groups.members WHERE group_id = $1 AND user_id = $3),
                    EXISTS (SELECT FROM groups.bans WHERE group_id = $1 AND user_id = $2),
                    EXISTS (SELECT FROM groups.bans WHERE group_id = $1 AND user_id = $3),
                    (SELECT count(*) FROM groups.members WHERE group_id = $1 AND (-role) = -3),
                    (SELECT count(*) FROM groups.invites WHERE group_id = $1
                        AND (expires_at IS NULL OR expires_at > $4) AND (max_uses IS NULL OR uses < max_uses))
                """,
                [
                    .int8(id.column), .int8(actor.column), .int8((target ?? actor).column),
                    .timestamp(milliseconds: now),
                ]
            ),
        ]
    }

    private static func situation(
        _ results: [PostgresResult], actor: UserID, target: UserID?, limit: Int
    ) throws(PostgresError) -> GroupSituation? {
        guard let row = results[0].rows.first, let standing = results[1].rows.first else { return nil }
        return GroupSituation(
            group: try group(row), actor: actor, actorRole: try role(standing, 0),
            isActorBanned: try standing.bool(2), target: target ?? actor, targetRole: try role(standing, 1),
            isTargetBanned: try standing.bool(3), owners: Int(try standing.int8(4)),
            invites: Int(try standing.int8(5)), limit: limit)
    }

    private static func steps(for effect: GroupEffect, in situation: GroupSituation, now: Int64) -> [PostgresPool.Step]
    {
        let id = PostgresValue.int8(situation.group.id.column)
        let now = PostgresValue.timestamp(milliseconds: now)
        switch effect {
        case .added(let user, let role):
            return [
                (
                    "INSERT INTO groups.members (group_id, user_id, joined_at, role) VALUES ($1, $2, $3, $4)",
                    [id, .int8(user.column), now, .int2(role.rawValue)]
                )
            ]
        case .roleChanged(let user, let role):
            return [
                (
                    "UPDATE groups.members SET role = $3 WHERE group_id = $1 AND user_id = $2",
                    [id, .int8(user.column), .int2(role.rawValue)]
                )
            ]
        case .gone(let user, _):
            return [("DELETE FROM groups.members WHERE group_id = $1 AND user_id = $2", [id, .int8(user.column)])]
        case .banned(let user):
            return [
                (
                    "INSERT INTO groups.bans (group_id, user_id, banned_by, banned_at) VALUES ($1, $2, $3, $4)",
                    [id, .int8(user.column), .int8(situation.actor.column), now]
                )
            ]
        case .unbanned(let user):
            return [("DELETE FROM groups.bans WHERE group_id = $1 AND user_id = $2", [id, .int8(user.column)])]
        case .described(let profile):
            return [
                (
                    "UPDATE groups.groups SET name = $2, about = $3, avatar = $4, is_public = $5 WHERE id = $1",
                    [
                        id, .text(profile.name), .text(profile.about), .optional(profile.avatar),
                        .bool(profile.isPublic),
                    ]
                ),
                ("DELETE FROM groups.names WHERE group_id = $1", [id]), insertNames(situation.group.id, profile),
            ]
        case .invited(let invite):
            return [
                (
                    "DELETE FROM groups.invites WHERE group_id = $1 AND (expires_at <= $2 OR uses >= max_uses)",
                    [id, now]
                ),
                (
                    """
                    INSERT INTO groups.invites (code, group_id, created_by, created_at, expires_at, max_uses)
                    VALUES ($2, $1, $3, $4, $5, $6)
                    """,
                    [
                        id, .text(invite.code), .int8(invite.by.column), now,
                        .optionalTimestamp(milliseconds: invite.expiresAt),
                        invite.maxUses.map { .int4(Int32($0)) } ?? .null,
                    ]
                ),
            ]
        case .inviteUsed(let code):
            return [("UPDATE groups.invites SET uses = uses + 1 WHERE code = $1", [.text(code)])]
        case .inviteRevoked(let code):
            return [("DELETE FROM groups.invites WHERE code = $1 AND group_id = $2", [.text(code), id])]
        case .deleted:
            return [("DELETE FROM groups.groups WHERE id = $1", [id])]
        }
    }

    private static func insertNames(_ id: ConversationID, _ profile: Group.Profile) -> PostgresPool.Step {
        let keys = profile.isPublic ? TextRules.searchKeys(of: profile.name).sorted() : []
        return (
            "INSERT INTO groups.names (key, group_id) SELECT key, $1 FROM unnest($2::text[]) AS key",
            [.int8(id.column), .textArray(keys)]
        )
    }

    private static func insertOutbox(
        _ id: ConversationID, number: Int64, request: RelayChangeGroupRequest, now: Int64
    ) throws -> PostgresPool.Step {
        let bytes: [UInt8] = try request.serializedBytes()
        return (
            "INSERT INTO groups.outbox (group_id, number, created_at, request) VALUES ($1, $2, $3, $4)",
            [.int8(id.column), .int8(number), .timestamp(milliseconds: now), .bytes(bytes)]
        )
    }

    // MARK: The outbox

    /// Changes of a group that the log may not have, in order.
    package func outbox(
        of id: ConversationID, through number: Int64, limit: Int
    ) async throws -> [(number: Int64, request: RelayChangeGroupRequest)] {
        let result = try await query(
            "SELECT number, request FROM groups.outbox WHERE group_id = $1 AND number <= $2 ORDER BY number LIMIT $3",
            [.int8(id.column), .int8(number), .int8(Int64(limit))])
        return try result.rows.map { row in
            (try row.int8(0), try RelayChangeGroupRequest(serializedBytes: try row.bytes(1)))
        }
    }

    /// The log has it.
    package func settled(_ id: ConversationID, _ number: Int64) async throws(PostgresError) {
        _ = try await query(
            "DELETE FROM groups.outbox WHERE group_id = $1 AND number = $2", [.int8(id.column), .int8(number)])
    }

    /// Groups with changes from before a time that the log may not have, and the number of each one's last.
    package func unsettled(
        before time: Int64, limit: Int
    ) async throws(PostgresError) -> [(group: ConversationID, through: Int64)] {
        let result = try await query(
            """
            SELECT group_id, max(number) FROM groups.outbox GROUP BY group_id
            HAVING min(created_at) < $1 ORDER BY min(created_at) LIMIT $2
            """,
            [.timestamp(milliseconds: time), .int8(Int64(limit))])
        var found: [(group: ConversationID, through: Int64)] = []
        for row in result.rows { found.append((ConversationID(column: try row.int8(0)), try row.int8(1))) }
        return found
    }

    // MARK: Rows

    /// Columns of `Group`, in the order that `group(_:)` reads them.
    static let columns = "g.id, g.name, g.about, g.avatar, g.is_public, g.member_count, g.created_at, g.changes"
    static let columnCount = 8

    static func group(_ row: PostgresRow) throws(PostgresError) -> Group {
        Group(
            id: ConversationID(column: try row.int8(0)),
            profile: Group.Profile(
                name: try row.text(1), about: try row.text(2), avatar: try row.optionalText(3),
                isPublic: try row.bool(4)),
            memberCount: Int(try row.int8(5)), createdAt: try row.timestampMilliseconds(6), changes: try row.int8(7))
    }

    static func role(_ row: PostgresRow, _ column: Int) throws(PostgresError) -> GroupRole? {
        row.isNull(column) ? nil : GroupRole(rawValue: try row.int2(column))
    }

    static let inviteColumns = "i.code, i.group_id, i.created_by, i.created_at, i.expires_at, i.max_uses, i.uses"

    private static let invite: Statement = """
        SELECT \(inviteColumns) FROM groups.invites i WHERE i.code = $1::text AND i.group_id = $2
        """

    static func invite(_ row: PostgresRow, from column: Int = 0) throws(PostgresError) -> Invite {
        Invite(
            code: try row.text(column), group: ConversationID(column: try row.int8(column + 1)),
            by: UserID(column: try row.int8(column + 2)), createdAt: try row.timestampMilliseconds(column + 3),
            expiresAt: try row.optionalTimestampMilliseconds(column + 4), maxUses: try row.optionalInt8(column + 5),
            uses: try row.int8(column + 6))
    }
}

/// What makes a change of a group one that is made once.
enum ChangeID {
    static func random() -> String { Base64URL.encode(randomBytes(16)) }

    static func randomBytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: .min ... .max) } }
}

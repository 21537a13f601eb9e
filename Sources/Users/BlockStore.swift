package import ChatModel
package import Postgres

/// Who has blocked whom, in PostgreSQL.
extension AccountStore {
    /// An account that another one has blocked.
    package struct Block: Sendable, Hashable {
        package var account: Account
        /// Unix milliseconds.
        package var since: Int64
    }

    /// Notes that an account blocks another; nothing changes where it does.
    package func block(_ blocked: UserID, by account: UserID, now: Int64) async throws(PostgresError) {
        _ = try await query(
            "INSERT INTO users.blocks (account, blocked, since) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            [.int8(account.column), .int8(blocked.column), .timestamp(milliseconds: now)])
    }

    package func unblock(_ blocked: UserID, by account: UserID) async throws(PostgresError) {
        _ = try await query(
            "DELETE FROM users.blocks WHERE account = $1 AND blocked = $2",
            [.int8(account.column), .int8(blocked.column)])
    }

    /// Whom an account has blocked, in the order of their ids.
    package func blocks(
        by account: UserID, after: UserID?, limit: Int
    ) async throws(PostgresError) -> [Block] {
        let result = try await query(
            """
            SELECT \(Self.columns), b.since FROM users.blocks b JOIN users.accounts a ON a.id = b.blocked
            WHERE b.account = $1 AND b.blocked > $2 ORDER BY b.blocked LIMIT $3
            """, [.int8(account.column), .int8(after?.column ?? 0), .int8(Int64(limit))])
        var blocks: [Block] = []
        for row in result.rows {
            blocks.append(Block(account: try Self.account(row), since: try row.timestampMilliseconds(9)))
        }
        return blocks
    }

    /// Those of the peers that have blocked an account.
    package func blocking(_ account: UserID, among peers: [UserID]) async throws(PostgresError) -> [UserID] {
        guard !peers.isEmpty else { return [] }
        let result = try await query(
            "SELECT account FROM users.blocks WHERE account = any($1::int8[]) AND blocked = $2",
            [.int8Array(peers.map(\.column)), .int8(account.column)])
        var found: [UserID] = []
        for row in result.rows { found.append(UserID(column: try row.int8(0))) }
        return found
    }
}

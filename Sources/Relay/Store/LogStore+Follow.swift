package import Postgres
package import Protocol

extension LogStore {
    /// What a consumer's next call finds.
    package struct Followed: Sendable {
        package var events: [LogEvent]
        package var next: RelayLogPosition
        /// There is more already.
        package var more: Bool
    }

    /// The log after a place, in the order of its transactions; nothing of one that still runs or that is younger than one
    /// that does.
    ///
    /// - Parameters:
    ///   - shards: whose events; with a `shardCount` of 0 those of all.
    ///   - limit: events at most.
    ///   - bytes: of them together, roughly; one is handed out in any case.
    ///   - reach: how many to look at to find those of the shard.
    package func follow(
        after: RelayLogPosition, shards: [UInt32], of shardCount: UInt32, limit: Int, bytes: Int, reach: Int
    ) async throws(PostgresError) -> Followed {
        let rows = try await reads.query(
            ReadStatements.follow,
            [
                .text(String(after.transaction)), .int8(after.conversation.column), .int8(after.seq.column),
                .int8(Int64(shardCount)), .int8s(shards.map(Int64.init)), .int8(Int64(limit)), .int8(Int64(reach)),
            ]
        ).rows
        guard let first = rows.first else {
            throw PostgresError(.decoding, "no row", attempted: "follow the log")
        }
        let column = EventColumns.count
        var followed = Followed(events: [], next: after, more: false)
        followed.events.reserveCapacity(rows.count)
        var size = 0
        for row in rows where !row.isNull(0) {
            let event = try EventColumns.event(row, for: nil)
            size += event.size
            if size > bytes, !followed.events.isEmpty {
                followed.more = true
                return followed
            }
            followed.next.transaction = try Self.transaction(row, column)
            followed.next.conversation = event.conversation
            followed.next.seq = event.seq
            followed.events.append(event)
        }
        followed.more = followed.events.count == limit
        if followed.more { return followed }
        if try first.bool(column + 2) {
            followed.next.transaction = try Self.transaction(first, column + 3)
            followed.next.conversation = UInt64(column: try first.int8(column + 4))
            followed.next.seq = UInt64(column: try first.int8(column + 5))
            followed.more = true
            return followed
        }
        // Of transactions below the oldest one that runs there is and will be nothing more.
        let oldest = try Self.transaction(first, column + 1)
        if oldest > after.transaction {
            followed.next.transaction = oldest - 1
            followed.next.conversation = UInt64(Int64.max)
            followed.next.seq = UInt64(Int64.max)
        }
        return followed
    }

    private static func transaction(_ row: PostgresRow, _ column: Int) throws(PostgresError) -> UInt64 {
        guard let transaction = UInt64(try row.text(column)) else {
            throw PostgresError(.decoding, "a transaction's id is a number", attempted: "follow the log")
        }
        return transaction
    }
}

package import ChatModel
package import Postgres

extension LogStore {
    /// Stores a batch in one transaction and one round trip; an outcome for each row.
    ///
    /// - Parameters:
    ///   - now: Unix milliseconds; an event is never dated before the one before it.
    package func append(
        _ rows: [AppendRow], now: Int64, timeout: Duration
    ) async throws(PostgresError) -> [AppendOutcome] {
        let conversations = rows.map(\.conversation)
        let results = try await appends.pipeline(
            [
                (LogStatements.lock, [.int8s(Array(Set(conversations)))]),
                (
                    LogStatements.append,
                    [
                        .int8s(conversations), .int8s(rows.map(\.sender)), .textArray(rows.map(\.clientID)),
                        .int2Array(rows.map(\.kind)), .bytesArray(rows.map(\.body)), .int8Array(rows.map(\.target)),
                        .textArray(rows.map(\.emoji)), .boolArray(rows.map(\.removed)),
                        .timestamp(milliseconds: now),
                    ]
                ),
            ], timeout: timeout)
        var outcomes = [AppendOutcome?](repeating: nil, count: rows.count)
        for row in results[1].rows {
            let index = Int(try row.int8(0)) - 1
            guard outcomes.indices.contains(index), let verdict = AppendOutcome.Verdict(rawValue: try row.int4(1))
            else {
                throw PostgresError(.decoding, "an outcome for no row", attempted: "append")
            }
            outcomes[index] = AppendOutcome(
                verdict: verdict, conversation: UInt64(column: try row.int8(2)), seq: UInt64(column: try row.int8(3)),
                sentAt: try row.timestampMilliseconds(4), membership: try row.int8(5))
        }
        let complete = outcomes.compactMap(\.self)
        guard complete.count == rows.count else {
            throw PostgresError(.decoding, "no outcome for a row", attempted: "append")
        }
        return complete
    }

    /// The members of conversations; those that don't exist are left out.
    package func members(
        of conversations: [UInt64]
    ) async throws(PostgresError) -> [UInt64: MembershipCache.Members] {
        let result = try await reads.query(LogStatements.members, [.int8s(conversations.map(\.column))])
        var found: [UInt64: MembershipCache.Members] = [:]
        for row in result.rows {
            let conversation = UInt64(column: try row.int8(0))
            let user = UInt64(column: try row.int8(3))
            if found[conversation] == nil {
                found[conversation] = .init(version: try row.int8(1), kind: try row.int2(2), users: [user])
            } else {
                found[conversation]?.users.append(user)
            }
        }
        return found
    }

    /// The direct conversation of two users (or of one with themself), made when there is none.
    ///
    /// - Parameters:
    ///   - now: Unix milliseconds.
    ///   - makeID: draws an id; drawn again should it be taken.
    package func openDirect(
        _ user: UserID, _ peer: UserID, now: Int64, makeID: () -> ConversationID = { .randomDirect() }
    ) async throws(PostgresError) -> ConversationID {
        let pair: [PostgresValue] = [.int8(min(user, peer).column), .int8(max(user, peer).column)]
        var attempts = 0
        while true {
            if let known = try await reads.query(LogStatements.findDirect, pair).rows.first {
                return ConversationID(column: try known.int8(0))
            }
            do {
                let made = try await reads.query(
                    LogStatements.makeDirect, pair + [.int8(makeID().column), .timestamp(milliseconds: now)])
                if let made = made.rows.first { return ConversationID(column: try made.int8(0)) }
            } catch {
                attempts += 1
                guard error.sqlState == .uniqueViolation, attempts < 5 else { throw error }
            }
        }
    }
}

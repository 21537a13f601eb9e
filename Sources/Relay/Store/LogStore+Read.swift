package import Postgres
package import Protocol

/// What someone finds of a conversation.
package enum Sight<Value> {
    case noConversation
    /// The user never was in it.
    case notMember
    case seen(Value)
}

extension Sight: Sendable where Value: Sendable {}

/// What a user may see of a conversation, and where it stands.
package struct LogWindow: Sendable, Equatable {
    /// The events (after, until].
    package var after: UInt64
    package var until: UInt64
    package var head: UInt64
    /// When the event at `head` was sent, in Unix milliseconds.
    package var activeAt: Int64

    package init(after: UInt64, until: UInt64, head: UInt64, activeAt: Int64) {
        self.after = after
        self.until = until
        self.head = head
        self.activeAt = activeAt
    }

    package func contains(_ seq: UInt64) -> Bool { seq > after && seq <= until }
}

extension LogStore {
    /// Where the conversations of users stand for their devices; an answer for each question, in order.
    package func standings(
        of questions: [StandingsQuestion]
    ) async throws(PostgresError) -> [[SyncPlan.Standing]] {
        let result = try await reads.query(
            ReadStatements.positionsOfAll,
            [
                .int8s(questions.map(\.user.column)), .int8s(questions.map(\.device.column)),
                .textArray(
                    questions.map { "{" + $0.named.map { String($0.column) }.joined(separator: ",") + "}" }),
            ])
        var standings = [[SyncPlan.Standing]](repeating: [], count: questions.count)
        for row in result.rows {
            let position = Int(try row.int8(0)) - 1
            guard standings.indices.contains(position) else {
                throw PostgresError(.decoding, "an answer to no question", attempted: "find where conversations stand")
            }
            standings[position].append(try Self.standing(row, from: 1))
        }
        return standings
    }

    /// Where some conversations of a user stand.
    package func standings(
        user: UInt64, in conversations: [UInt64]
    ) async throws(PostgresError) -> [SyncPlan.Standing] {
        let result = try await reads.query(
            ReadStatements.positionsOfSome, [.int8(user.column), .int8s(conversations.map(\.column))])
        var standings: [SyncPlan.Standing] = []
        standings.reserveCapacity(result.rows.count)
        for row in result.rows { standings.append(try Self.standing(row, from: 0)) }
        return standings
    }

    private static func standing(_ row: PostgresRow, from column: Int) throws(PostgresError) -> SyncPlan.Standing {
        .init(
            conversation: UInt64(column: try row.int8(column)), acknowledged: UInt64(column: try row.int8(column + 1)),
            head: UInt64(column: try row.int8(column + 2)), joined: UInt64(column: try row.int8(column + 3)),
            floor: UInt64(column: try row.int8(column + 4)))
    }

    /// The events of ranges (after, head], in the order given, each oldest first.
    package func events(
        in ranges: [SyncPlan.Position], for viewer: UInt64?
    ) async throws(PostgresError) -> [LogEvent] {
        let result = try await reads.query(
            ReadStatements.ranges,
            [
                .int8s(ranges.map(\.conversation.column)), .int8s(ranges.map(\.after.column)),
                .int8s(ranges.map(\.head.column)),
            ])
        var events: [LogEvent] = []
        events.reserveCapacity(result.rows.count)
        for row in result.rows { events.append(try EventColumns.event(row, for: viewer)) }
        return events
    }

    /// What a user may see of a conversation.
    package func window(conversation: UInt64, user: UInt64) async throws(PostgresError) -> Sight<LogWindow> {
        try Self.window(
            await reads.query(ReadStatements.window, [.int8(conversation.column), .int8(user.column)]).rows.first)
    }

    /// A page of a conversation's history, with one more than `limit` where there is more.
    package func history(
        _ request: RelayHistoryRequest, limit: Int
    ) async throws(PostgresError) -> Sight<[RelayMessage]> {
        let forward = request.fromStart || request.after > 0
        let edge: UInt64 =
            if forward { request.after } else if request.before > 0 { request.before } else { UInt64(Int64.max) }
        let results = try await reads.pipeline([
            (ReadStatements.window, [.int8(request.conversation.column), .int8(request.user.column)]),
            (
                forward ? ReadStatements.after : ReadStatements.before,
                [
                    .int8(request.conversation.column), .int8(request.user.column), .int8(edge.column),
                    .int8(Int64(limit + 1)), .bool(request.raw), .bool(request.changes),
                ]
            ),
        ])
        switch try Self.window(results[0].rows.first) {
        case .noConversation: return .noConversation
        case .notMember: return .notMember
        case .seen: return .seen(try Self.messages(results[1], for: request.user))
        }
    }

    /// The newest messages of a conversation, whoever asks, and what the user may see of it: both of one snapshot.
    package func newest(
        conversation: UInt64, user: UInt64, limit: Int, changes: Bool
    ) async throws(PostgresError) -> Sight<(LogWindow, CachedPage)> {
        let rows = try await reads.query(
            ReadStatements.newest,
            [.int8(conversation.column), .int8(user.column), .int8(Int64(limit)), .bool(changes)]
        ).rows
        switch try Self.window(rows.first, at: MessageColumns.count) {
        case .noConversation: return .noConversation
        case .notMember: return .notMember
        case .seen(let window):
            var page = CachedPage(
                conversation: conversation, head: window.head, activeAt: window.activeAt, messages: [])
            for row in rows where !row.isNull(0) { page.messages.append(try MessageColumns.message(row, for: nil)) }
            return .seen((window, page))
        }
    }

    /// Messages in the order asked for: those that the user may see and that were not deleted.
    package func lookup(user: UInt64, _ messages: [RelayCursor]) async throws(PostgresError) -> [RelayMessage] {
        let result = try await reads.query(
            ReadStatements.lookup,
            [
                .int8(user.column), .int8s(messages.map(\.conversation.column)), .int8s(messages.map(\.seq.column)),
            ])
        return try Self.messages(result, for: user)
    }

    /// Who has an event and who has read it, its sender apart.
    package func receipts(
        conversation: UInt64, seq: UInt64, user: UInt64
    ) async throws(PostgresError) -> Sight<RelayReceiptsResponse> {
        let results = try await reads.pipeline([
            (ReadStatements.window, [.int8(conversation.column), .int8(user.column)]),
            (ReadStatements.receipts, [.int8(conversation.column), .int8(seq.column)]),
        ])
        switch try Self.window(results[0].rows.first) {
        case .noConversation: return .noConversation
        case .notMember: return .notMember
        case .seen(let window):
            guard window.contains(seq) else { return .noConversation }
            var response = RelayReceiptsResponse()
            for row in results[1].rows {
                let user = UInt64(column: try row.int8(0))
                if try row.bool(1) { response.delivered.append(user) }
                if try row.bool(2) { response.read.append(user) }
            }
            return .seen(response)
        }
    }

    private static func messages(
        _ result: PostgresResult, for viewer: UInt64?
    ) throws(PostgresError) -> [RelayMessage] {
        var messages: [RelayMessage] = []
        messages.reserveCapacity(result.rows.count)
        for row in result.rows { messages.append(try MessageColumns.message(row, for: viewer)) }
        return messages
    }

    private static func window(_ row: PostgresRow?, at first: Int = 0) throws(PostgresError) -> Sight<LogWindow> {
        guard let row else { return .noConversation }
        guard let joined = try row.optionalInt8(first) else { return .notMember }
        return .seen(
            LogWindow(
                after: UInt64(column: joined), until: UInt64(column: max(try row.int8(first + 1), joined)),
                head: UInt64(column: try row.int8(first + 2)), activeAt: try row.timestampMilliseconds(first + 3)))
    }
}

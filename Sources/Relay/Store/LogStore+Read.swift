package import Postgres
package import Protocol

extension LogStore {
    /// Where conversations of a user stand for a device: all of them, or those named.
    package func standings(
        user: UInt64, device: UInt64, only conversations: [UInt64]?
    ) async throws(PostgresError) -> [SyncPlan.Standing] {
        let result =
            if let conversations {
                try await reads.query(
                    ReadStatements.positionsOfSome, [.int8(user.column), .int8s(conversations.map(\.column))])
            } else {
                try await reads.query(ReadStatements.positionsOfAll, [.int8(user.column), .int8(device.column)])
            }
        var standings: [SyncPlan.Standing] = []
        standings.reserveCapacity(result.rows.count)
        for row in result.rows {
            standings.append(
                .init(
                    conversation: UInt64(column: try row.int8(0)), acknowledged: UInt64(column: try row.int8(1)),
                    head: UInt64(column: try row.int8(2)), joined: UInt64(column: try row.int8(3)),
                    floor: UInt64(column: try row.int8(4))))
        }
        return standings
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
        return try Self.events(result, for: viewer)
    }

    /// What a user may see of a conversation. nil: there is no such conversation; `.some(nil)`: the user never was in it.
    package func window(
        conversation: UInt64, user: UInt64
    ) async throws(PostgresError) -> ClosedRange<UInt64>?? {
        let result = try await reads.query(ReadStatements.window, [.int8(conversation.column), .int8(user.column)])
        return try Self.window(result)
    }

    /// A page of a conversation's history, with one more than `limit` where there is more. As `window` where there is
    /// nothing to see.
    package func history(_ request: RelayHistoryRequest, limit: Int) async throws(PostgresError) -> [LogEvent]?? {
        let forward = request.fromStart || request.after > 0
        let edge: UInt64 =
            if forward { request.after } else if request.before > 0 { request.before } else { UInt64(Int64.max) }
        let results = try await reads.pipeline([
            (ReadStatements.window, [.int8(request.conversation.column), .int8(request.user.column)]),
            (
                forward ? ReadStatements.after : ReadStatements.before,
                [
                    .int8(request.conversation.column), .int8(request.user.column), .int8(edge.column),
                    .int8(Int64(limit + 1)), .bool(request.raw),
                ]
            ),
        ])
        switch try Self.window(results[0]) {
        case .none: return .none
        case .some(.none): return .some(.none)
        case .some(.some): return .some(.some(try Self.events(results[1], for: request.user)))
        }
    }

    /// Who has an event and who has read it, its sender apart. As `window` where the asking user can't see it.
    package func receipts(
        conversation: UInt64, seq: UInt64, user: UInt64
    ) async throws(PostgresError) -> RelayReceiptsResponse?? {
        let results = try await reads.pipeline([
            (ReadStatements.window, [.int8(conversation.column), .int8(user.column)]),
            (ReadStatements.receipts, [.int8(conversation.column), .int8(seq.column)]),
        ])
        switch try Self.window(results[0]) {
        case .none: return .none
        case .some(.none): return .some(.none)
        case .some(.some(let window)):
            guard seq > window.lowerBound, seq <= window.upperBound else { return .none }
            var response = RelayReceiptsResponse()
            for row in results[1].rows {
                let user = UInt64(column: try row.int8(0))
                if try row.bool(1) { response.delivered.append(user) }
                if try row.bool(2) { response.read.append(user) }
            }
            return .some(.some(response))
        }
    }

    /// A page of a user's conversations, newest first.
    package func conversations(
        _ request: RelayConversationsRequest, limit: Int, after cursor: ConversationCursor?
    ) async throws(PostgresError) -> (items: [RelayConversation], last: ConversationCursor?) {
        let result =
            if request.only != 0 {
                try await reads.query(
                    ReadStatements.conversation,
                    [.int8(request.user.column), .int8(request.device.column), .int8(request.only.column)])
            } else {
                try await reads.query(
                    ReadStatements.conversations,
                    [
                        .int8(request.user.column), .int8(request.device.column),
                        request.kind == .unspecified ? .null : .int2(Int16(request.kind.rawValue)),
                        .int8(Int64(limit)), cursor.map { .timestamp(milliseconds: $0.activeAt) } ?? .null,
                        cursor.map { .int8($0.conversation.column) } ?? .null, .bool(request.pendingOnly),
                    ])
            }
        var items: [RelayConversation] = []
        var last: ConversationCursor?
        items.reserveCapacity(result.rows.count)
        for row in result.rows {
            let first = EventColumns.count
            var item = RelayConversation()
            item.id = UInt64(column: try row.int8(first))
            item.kind = RelayConversationKind(rawValue: Int(try row.int2(first + 1))) ?? .unspecified
            item.head = UInt64(column: try row.int8(first + 2))
            item.delivered = min(UInt64(column: try row.int8(first + 3)), item.head)
            item.read = min(UInt64(column: try row.int8(first + 4)), item.head)
            item.unread = UInt64(column: try row.optionalInt8(first + 5) ?? 0)
            item.mutedUntilMs = try row.optionalTimestampMilliseconds(first + 6) ?? 0
            if !row.isNull(0) { item.lastEvent = try EventColumns.event(row, for: request.user) }
            if item.kind == .direct {
                item.peer = UInt64(column: try row.optionalInt8(first + 8) ?? request.user.column)
                item.peerRead = UInt64(column: try row.optionalInt8(first + 10) ?? 0)
                item.peerDelivered = max(UInt64(column: try row.optionalInt8(first + 9) ?? 0), item.peerRead)
            }
            items.append(item)
            last = ConversationCursor(activeAt: try row.timestampMilliseconds(first + 7), conversation: item.id)
        }
        return (items, last)
    }

    private static func events(_ result: PostgresResult, for viewer: UInt64?) throws(PostgresError) -> [LogEvent] {
        var events: [LogEvent] = []
        events.reserveCapacity(result.rows.count)
        for row in result.rows { events.append(try EventColumns.event(row, for: viewer)) }
        return events
    }

    private static func window(_ result: PostgresResult) throws(PostgresError) -> ClosedRange<UInt64>?? {
        guard let row = result.rows.first else { return .none }
        guard let joined = try row.optionalInt8(0) else { return .some(.none) }
        return .some(.some(UInt64(column: joined)...UInt64(column: max(try row.int8(1), joined))))
    }
}

/// Where a page of conversations ended. Opaque to clients: base-36 of the time and the id.
package struct ConversationCursor: Sendable, Equatable {
    /// Unix milliseconds.
    package var activeAt: Int64
    package var conversation: UInt64

    package init(activeAt: Int64, conversation: UInt64) {
        self.activeAt = activeAt
        self.conversation = conversation
    }

    /// nil where the text is none.
    package init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let activeAt = Int64(parts[0], radix: 36), activeAt >= 0,
            activeAt < 1 << 48, let conversation = UInt64(parts[1], radix: 36), conversation <= UInt64(Int64.max)
        else { return nil }
        self.init(activeAt: activeAt, conversation: conversation)
    }

    package var text: String { String(activeAt, radix: 36) + "." + String(conversation, radix: 36) }
}

package import Postgres
package import Protocol

extension LogStore {
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
                    request.pendingOnly ? ReadStatements.pendingConversations : ReadStatements.conversations,
                    [
                        .int8(request.user.column), .int8(request.device.column), Self.column(request.kind),
                        .int8(Int64(limit)), cursor.map { .timestamp(milliseconds: $0.activeAt) } ?? .null,
                        cursor.map { .int8($0.conversation.column) } ?? .null,
                    ])
            }
        var items: [RelayConversation] = []
        var last: ConversationCursor?
        items.reserveCapacity(result.rows.count)
        for row in result.rows {
            let item = try Self.conversation(row, of: request.user)
            items.append(item)
            last = ConversationCursor(
                activeAt: try row.timestampMilliseconds(EventColumns.count + 7), conversation: item.id)
        }
        return (items, last)
    }

    private static func conversation(_ row: PostgresRow, of user: UInt64) throws(PostgresError) -> RelayConversation {
        let first = EventColumns.count
        var item = RelayConversation()
        item.id = UInt64(column: try row.int8(first))
        item.kind = RelayConversationKind(rawValue: Int(try row.int2(first + 1))) ?? .unspecified
        item.head = UInt64(column: try row.int8(first + 2))
        item.delivered = min(UInt64(column: try row.int8(first + 3)), item.head)
        item.read = min(UInt64(column: try row.int8(first + 4)), item.head)
        item.unread = UInt64(column: try row.optionalInt8(first + 5) ?? 0)
        item.mutedUntilMs = try row.optionalTimestampMilliseconds(first + 6) ?? 0
        item.mentions = UInt64(column: try row.int8(first + 11))
        if !row.isNull(0) { item.lastEvent = try EventColumns.event(row, for: user) }
        switch item.kind {
        case .direct:
            item.peer = UInt64(column: try row.optionalInt8(first + 8) ?? user.column)
            item.peerRead = UInt64(column: try row.optionalInt8(first + 10) ?? 0)
            item.peerDelivered = max(UInt64(column: try row.optionalInt8(first + 9) ?? 0), item.peerRead)
        case .group:
            if let info = try row.optionalBytes(first + 12) {
                item.group = try EventColumns.decode(info, "of the conversation \(item.id)")
            }
            item.role = LogGroupRole(rawValue: Int(try row.int2(first + 13))) ?? .unspecified
            item.memberCount = UInt32(clamping: try row.int4(first + 14))
        case .unspecified, .UNRECOGNIZED: break
        }
        return item
    }

    /// What a user may read, where there is something.
    package func windows(
        user: UInt64, kind: RelayConversationKind, only: UInt64
    ) async throws(PostgresError) -> [RelayWindow] {
        let result =
            if only != 0 {
                try await reads.query(ReadStatements.windowOfOne, [.int8(user.column), .int8(only.column)])
            } else {
                try await reads.query(ReadStatements.windows, [.int8(user.column), Self.column(kind)])
            }
        var windows: [RelayWindow] = []
        windows.reserveCapacity(result.rows.count)
        for row in result.rows {
            var window = RelayWindow()
            window.conversation = UInt64(column: try row.int8(0))
            window.after = UInt64(column: try row.int8(1))
            window.until = UInt64(column: try row.int8(2))
            windows.append(window)
        }
        return windows
    }

    /// Those of the peers that the user has a direct conversation with in which something was said.
    package func contacts(user: UInt64, peers: [UInt64]) async throws(PostgresError) -> [UInt64] {
        let result = try await reads.query(
            ReadStatements.contacts, [.int8(user.column), .int8s(peers.map(\.column))])
        var contacts: [UInt64] = []
        for row in result.rows { contacts.append(UInt64(column: try row.int8(0))) }
        return contacts
    }

    private static func column(_ kind: RelayConversationKind) -> PostgresValue {
        kind == .unspecified ? .null : .int2(Int16(truncatingIfNeeded: kind.rawValue))
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

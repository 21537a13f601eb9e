package import ChatModel
import Postgres
package import ServiceKit

/// A page of a list: one entry more than asked for says that there are more.
package struct ListPage<Item: Sendable>: Sendable {
    package var items: [Item]
    /// Where the next page begins; nil: nowhere.
    package var next: String?

    /// - Parameters:
    ///   - found: `limit` + 1 entries, or fewer where there are no more.
    ///   - cursor: where the page after an entry begins.
    init(_ found: [Item], limit: Int, cursor: (Item) -> String) {
        items = Array(found.prefix(limit))
        next = found.count > limit ? items.last.map(cursor) : nil
    }
}

/// Lists, each in the order of an index: a page goes on where the one before ended.
extension GroupStore {
    /// A group as a user sees it in a list.
    package struct Listed: Sendable {
        package var group: Group
        package var role: GroupRole?
        var cursor: String
    }

    /// A user's groups, the one joined last first.
    package func groups(of user: UserID, _ page: Page) async throws -> ListPage<Listed> {
        let after = try Self.numbers(page.cursor, 2)
        let result = try await query(
            """
            SELECT \(Self.columns), m.role, m.joined_at FROM groups.members m JOIN groups.groups g ON g.id = m.group_id
            WHERE m.user_id = $1 AND (m.joined_at, m.group_id) < ($2, $3)
            ORDER BY m.joined_at DESC, m.group_id DESC LIMIT $4
            """,
            [
                .int8(user.column), .timestamp(milliseconds: after?[0] ?? Self.latest),
                .int8(after?[1] ?? 0), .int8(Int64(page.limit + 1)),
            ])
        var found: [Listed] = []
        for row in result.rows {
            let group = try Self.group(row)
            let joined = try row.timestampMilliseconds(Self.columnCount + 1)
            found.append(
                Listed(
                    group: group, role: try Self.role(row, Self.columnCount), cursor: "\(joined).\(group.id)"))
        }
        return ListPage(found, limit: page.limit, cursor: \.cursor)
    }

    /// Public groups with a word that begins with `prefix`, in the order of what was found, each once.
    ///
    /// - Parameter user: whose role in them is told.
    package func search(_ prefix: String, for user: UserID, _ page: Page) async throws -> ListPage<Listed> {
        let position = try page.cursor.map { cursor throws(Problem) in
            guard let position = SearchPosition(cursor: cursor) else { throw .field("cursor", "is not one of ours") }
            return position
        }
        let result = try await query(
            """
            SELECT \(Self.columns), m.role, n.key FROM groups.names n JOIN groups.groups g ON g.id = n.group_id
                LEFT JOIN groups.members m ON m.group_id = n.group_id AND m.user_id = $6
            WHERE n.key >= $1 AND n.key < $2 AND (n.key, n.group_id) > ($3, $4)
                AND NOT EXISTS (SELECT FROM groups.names o WHERE o.group_id = n.group_id AND o.key >= $1 AND o.key < n.key)
            ORDER BY n.key, n.group_id LIMIT $5
            """,
            [
                // The greatest code point: in the order of bytes nothing that begins with the prefix is behind it.
                .text(prefix), .text(prefix + "\u{10FFFF}"), .text(position?.key ?? prefix),
                .int8(position?.group.column ?? 0), .int8(Int64(page.limit + 1)), .int8(user.column),
            ])
        var found: [Listed] = []
        for row in result.rows {
            let group = try Self.group(row)
            let key = try row.text(Self.columnCount + 1)
            found.append(
                Listed(
                    group: group, role: try Self.role(row, Self.columnCount),
                    cursor: SearchPosition(key: key, group: group.id).cursor))
        }
        return ListPage(found, limit: page.limit, cursor: \.cursor)
    }

    /// Owners, admins, members, each by when they came.
    package func members(of id: ConversationID, _ page: Page) async throws -> ListPage<GroupMember> {
        let after = try Self.numbers(page.cursor, 3)
        let result = try await query(
            """
            SELECT user_id, role, joined_at FROM groups.members
            WHERE group_id = $1 AND ((-role), joined_at, user_id) > ($2, $3, $4)
            ORDER BY (-role), joined_at, user_id LIMIT $5
            """,
            [
                .int8(id.column), .int2(Int16(clamping: -(after?[0] ?? 9))), .timestamp(milliseconds: after?[1] ?? 0),
                .int8(after?[2] ?? 0), .int8(Int64(page.limit + 1)),
            ])
        var found: [GroupMember] = []
        for row in result.rows {
            guard let role = try Self.role(row, 1) else { continue }
            found.append(
                GroupMember(
                    user: UserID(column: try row.int8(0)), role: role, joinedAt: try row.timestampMilliseconds(2)))
        }
        return ListPage(found, limit: page.limit) { "\($0.role.rawValue).\($0.joinedAt).\($0.user)" }
    }

    /// Somebody in a group; nil where they aren't.
    package func member(_ user: UserID, of id: ConversationID) async throws -> GroupMember? {
        let result = try await query(
            "SELECT role, joined_at FROM groups.members WHERE group_id = $1 AND user_id = $2",
            [.int8(id.column), .int8(user.column)])
        guard let row = result.rows.first, let role = try Self.role(row, 0) else { return nil }
        return GroupMember(user: user, role: role, joinedAt: try row.timestampMilliseconds(1))
    }

    /// Newest first.
    package func bans(of id: ConversationID, _ page: Page) async throws -> ListPage<GroupBan> {
        let after = try Self.numbers(page.cursor, 2)
        let result = try await query(
            """
            SELECT user_id, banned_by, banned_at FROM groups.bans
            WHERE group_id = $1 AND (banned_at, user_id) < ($2, $3) ORDER BY banned_at DESC, user_id DESC LIMIT $4
            """,
            [
                .int8(id.column), .timestamp(milliseconds: after?[0] ?? Self.latest), .int8(after?[1] ?? 0),
                .int8(Int64(page.limit + 1)),
            ])
        var found: [GroupBan] = []
        for row in result.rows {
            found.append(
                GroupBan(
                    user: UserID(column: try row.int8(0)), by: UserID(column: try row.int8(1)),
                    at: try row.timestampMilliseconds(2)))
        }
        return ListPage(found, limit: page.limit) { "\($0.at).\($0.user)" }
    }

    /// Those that are still good, newest first.
    package func invites(of id: ConversationID, now: Int64, _ page: Page) async throws -> ListPage<Invite> {
        var after: (at: Int64, code: String) = (Self.latest, "")
        if let cursor = page.cursor {
            guard let dot = cursor.firstIndex(of: "."), let at = Int64(cursor[..<dot]), Self.isTime(at) else {
                throw Self.badCursor
            }
            after = (at, String(cursor[cursor.index(after: dot)...]))
            guard Base64URL.decode(after.code) != nil else { throw Self.badCursor }
        }
        let result = try await query(
            """
            SELECT \(Self.inviteColumns) FROM groups.invites i
            WHERE i.group_id = $1 AND (i.created_at, i.code) < ($2, $3)
                AND (i.expires_at IS NULL OR i.expires_at > $4) AND (i.max_uses IS NULL OR i.uses < i.max_uses)
            ORDER BY i.created_at DESC, i.code DESC LIMIT $5
            """,
            [
                .int8(id.column), .timestamp(milliseconds: after.at), .text(after.code), .timestamp(milliseconds: now),
                .int8(Int64(page.limit + 1)),
            ])
        var found: [Invite] = []
        for row in result.rows { found.append(try Self.invite(row)) }
        return ListPage(found, limit: page.limit) { "\($0.createdAt).\($0.code)" }
    }

    /// An invite with where it leads, and what the user is there.
    package func invite(
        _ code: String, for user: UserID
    ) async throws -> (invite: Invite, group: Group, role: GroupRole?)? {
        let result = try await query(
            """
            SELECT \(Self.columns), m.role, \(Self.inviteColumns)
            FROM groups.invites i JOIN groups.groups g ON g.id = i.group_id
                LEFT JOIN groups.members m ON m.group_id = i.group_id AND m.user_id = $2
            WHERE i.code = $1
            """,
            [.text(code), .int8(user.column)])
        guard let row = result.rows.first else { return nil }
        return (
            try Self.invite(row, from: Self.columnCount + 1), try Self.group(row), try Self.role(row, Self.columnCount)
        )
    }

    // MARK: Cursors

    private struct SearchPosition {
        var key: String
        var group: ConversationID

        init(key: String, group: ConversationID) {
            self.key = key
            self.group = group
        }

        /// Opaque to clients.
        var cursor: String { Base64URL.encode(Array("\(group) \(key)".utf8)) }

        init?(cursor: String) {
            guard cursor.utf8.count <= 1024, let bytes = Base64URL.decode(cursor),
                let text = String(validating: bytes, as: UTF8.self), let blank = text.firstIndex(of: " "),
                let group = ConversationID(text[..<blank]), !text.utf8.contains(0)
            else { return nil }
            self.init(key: String(text[text.index(after: blank)...]), group: group)
        }
    }

    private static var badCursor: Problem { .field("cursor", "is not one of ours") }

    /// The end of the year 9999: after everything.
    private static let latest: Int64 = 253_402_300_799_999

    private static func isTime(_ milliseconds: Int64) -> Bool { (0...latest).contains(milliseconds) }

    /// The numbers of a cursor, with dots between them; the last is an id, the one before it a time.
    private static func numbers(_ cursor: String?, _ count: Int) throws(Problem) -> [Int64]? {
        guard let cursor else { return nil }
        let numbers = cursor.split(separator: ".", omittingEmptySubsequences: false).compactMap { Int64($0) }
        guard numbers.count == count, cursor.utf8.count(where: { $0 == UInt8(ascii: ".") }) == count - 1,
            numbers.allSatisfy({ $0 >= 0 }), isTime(numbers[count - 2])
        else { throw badCursor }
        return numbers
    }
}

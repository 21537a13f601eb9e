import Foundation

// REST calls about conversations and groups, as scripts, tests and `roost chat` make them. Answers are the contract's JSON.

extension Account {
    /// The service of a conversation's kind: a group's id is odd.
    package static func service(of conversation: String) -> String {
        conversation.utf8.last.map { $0 & 1 == 1 } ?? false
            ? "/group-message-service/v1" : "/message-service/v1"
    }

    private static func path(_ conversation: String, _ rest: String = "") -> String {
        "\(service(of: conversation))/conversations/\(conversation)\(rest)"
    }

    private static func query(_ parameters: [(String, String?)]) -> String {
        let pairs = parameters.compactMap { name, value in value.map { "\(name)=\($0.percentEncoded)" } }
        return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
    }

    /// All items of a list, page by page, `most` at most.
    package func items(_ path: String, most: Int = 1000) async throws -> [JSONValue] {
        var items: [JSONValue] = []
        var cursor: String?
        repeat {
            let separator = path.contains("?") ? "&" : "?"
            let page = try await json(
                "GET", path + (cursor.map { "\(separator)cursor=\($0.percentEncoded)" } ?? ""))
            items += page["items"].array ?? []
            cursor = page["next"].string
        } while cursor != nil && items.count < most
        return items
    }

    // MARK: Conversations

    /// Direct ones, or groups, newest first.
    package func conversations(groups: Bool, most: Int = 1000) async throws -> [JSONValue] {
        try await items("/\(groups ? "group-" : "")message-service/v1/conversations?limit=100", most: most)
    }

    /// Messages in their present state: the newest, those before a seq (newest first), or those after one (oldest first).
    package func history(
        _ conversation: String, before: Int? = nil, after: Int? = nil, limit: Int = 50
    ) async throws -> [JSONValue] {
        let query = Self.query([
            ("before", before.map(String.init)), ("after", after.map(String.init)), ("limit", "\(limit)"),
        ])
        return try await json("GET", Self.path(conversation, "/messages\(query)"))["items"].array ?? []
    }

    package func search(
        _ text: String, in conversation: String? = nil, from: String? = nil, limit: Int = 20
    ) async throws -> [JSONValue] {
        let query = Self.query([("q", text), ("conversation", conversation), ("from", from), ("limit", "\(limit)")])
        if let conversation {
            return try await json("GET", "\(Self.service(of: conversation))/search\(query)")["items"].array ?? []
        }
        let direct = try await json("GET", "/message-service/v1/search\(query)")["items"].array ?? []
        let groups = try await json("GET", "/group-message-service/v1/search\(query)")["items"].array ?? []
        func time(_ hit: JSONValue) -> String { hit["sent_at"].string ?? "" }
        return Array((direct + groups).sorted { time($0) > time($1) }.prefix(limit))
    }

    package func receipts(_ message: String, in conversation: String) async throws -> JSONValue {
        try await json("GET", Self.path(conversation, "/messages/\(message)/receipts"))
    }

    /// `until`: RFC 3339; nil: no longer.
    package func mute(_ conversation: String, until: String?) async throws {
        _ = try await json("PUT", Self.path(conversation, "/mute"), ["until": until.map { .string($0) } ?? .null])
    }

    // MARK: Users

    package func user(_ id: String) async throws -> JSONValue { try await json("GET", "/user-service/v1/users/\(id)") }

    /// The user of that name; nil: there is none.
    package func user(named username: String) async throws -> JSONValue? {
        let found = try await json("GET", "/user-service/v1/users\(Self.query([("query", username)]))")
        return found["items"].array?.first { $0["username"].string?.lowercased() == username.lowercased() }
    }

    // MARK: Groups

    package func groups() async throws -> [JSONValue] { try await items("/group-service/v1/groups?limit=100") }

    package func publicGroups(_ text: String) async throws -> [JSONValue] {
        try await json("GET", "/group-service/v1/groups\(Self.query([("query", text)]))")["items"].array ?? []
    }

    package func createGroup(_ name: String, isPublic: Bool = false, members: [String] = []) async throws -> JSONValue {
        try await json(
            "POST", "/group-service/v1/groups",
            [
                "name": .string(name), "visibility": isPublic ? "public" : "private",
                "members": .array(members.map { .string($0) }),
            ])
    }

    package func join(group: String) async throws {
        _ = try await json("POST", "/group-service/v1/groups/\(group)/join")
    }

    package func join(invite code: String) async throws -> JSONValue {
        try await json("POST", "/group-service/v1/invites/\(code.percentEncoded)")
    }

    package func invite(to group: String) async throws -> JSONValue {
        try await json("POST", "/group-service/v1/groups/\(group)/invites", .object([:]))
    }

    package func members(of group: String) async throws -> [JSONValue] {
        try await items("/group-service/v1/groups/\(group)/members?limit=100", most: 10_000)
    }

    /// Adds a member, or changes their role.
    package func setMember(_ user: String, of group: String, role: String = "member") async throws {
        _ = try await json("PUT", "/group-service/v1/groups/\(group)/members/\(user)", ["role": .string(role)])
    }

    /// Removes a member; oneself: leaves.
    package func removeMember(_ user: String, of group: String) async throws {
        _ = try await json("DELETE", "/group-service/v1/groups/\(group)/members/\(user)")
    }
}

extension String {
    /// For a path's segment or a query's value (RFC 3986's unreserved characters stay).
    package var percentEncoded: String {
        var encoded = ""
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = Array("0123456789ABCDEF")
                encoded += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
        return encoded
    }
}

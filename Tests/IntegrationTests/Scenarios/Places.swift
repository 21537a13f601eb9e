import Client
import Foundation
import Testing

/// The two kinds of conversation. What holds in both is tested in both.
enum Place: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case direct, group

    var testDescription: String { rawValue }
    /// The REST calls' prefix.
    var prefix: String {
        switch self {
        case .direct: "/message-service/v1"
        case .group: "/group-message-service/v1"
        }
    }

    /// A new conversation of two.
    func open(_ ada: Account, _ bob: Account) async throws -> Conversation {
        switch self {
        case .direct:
            let first = try await ada.json(
                "POST", "\(prefix)/messages",
                ["to": .string(bob.user), "client_id": .string(UUID().uuidString), "body": ["text": "first"]])
            return Conversation(place: self, id: try #require(first["conversation"].string))
        case .group:
            let group = try await Groups.create(by: ada, members: [bob])
            return Conversation(place: self, id: group)
        }
    }
}

/// A conversation as REST knows it.
struct Conversation: Sendable {
    var place: Place
    var id: String

    var path: String { "\(place.prefix)/conversations/\(id)" }
    func path(of message: String) -> String { "\(path)/messages/\(message)" }

    /// How a user's list shows it.
    func listed(for account: Account) async throws -> JSONValue {
        let items = try await account.json("GET", "\(place.prefix)/conversations?limit=100")["items"].array ?? []
        return try #require(items.first { $0["id"].string == id }, "it is not in the list")
    }

    /// Its newest messages, newest first.
    func history(for account: Account, _ query: String = "") async throws -> [JSONValue] {
        try #require(try await account.json("GET", "\(path)/messages\(query)")["items"].array)
    }

    /// One message as it is now.
    func message(_ id: String, for account: Account) async throws -> JSONValue {
        try #require(try await history(for: account).first { $0["id"].string == id }, "the history lacks \(id)")
    }

    /// Everything that happened, as a device that has nothing yet gets it.
    func log(for account: Account) async throws -> [JSONValue] {
        let reader = try await ChatConnection.connect(account, cursors: [id: 0])
        let events = reader.events(in: id)
        try await reader.close()
        return events
    }

    @discardableResult
    func post(_ text: String, by account: Account, mentions: [Account] = []) async throws -> JSONValue {
        var body: [String: JSONValue] = ["text": .string(text)]
        if !mentions.isEmpty { body["mentions"] = .array(mentions.map { .string($0.user) }) }
        return try await account.json(
            "POST", "\(place.prefix)/messages",
            ["conversation": .string(id), "client_id": .string(UUID().uuidString), "body": .object(body)])
    }
}

/// Calls about groups.
enum Groups {
    static let path = "/group-service/v1/groups"

    static func create(
        by owner: Account, members: [Account] = [], visibility: String = "private", name: String = "Rowing club"
    ) async throws -> String {
        let group = try await owner.json(
            "POST", path,
            [
                "name": .string(name), "visibility": .string(visibility),
                "members": .array(members.map { .string($0.user) }),
            ])
        return try #require(group["id"].string)
    }

    static func setRole(
        _ role: String, of user: Account, in group: String, by actor: Account
    ) async throws -> RESTResponse {
        try await actor.call("PUT", "\(path)/\(group)/members/\(user.user)", ["role": .string(role)])
    }

    static func remove(_ user: Account, from group: String, by actor: Account) async throws -> RESTResponse {
        try await actor.call("DELETE", "\(path)/\(group)/members/\(user.user)")
    }
}

extension ChatConnection {
    /// Sends a frame that is answered, and waits for its `ack` or `error`.
    func ask(
        _ type: String, in conversation: Conversation, _ members: [String: JSONValue], ref: String = UUID().uuidString
    ) async throws -> JSONValue {
        let before = frames.count
        var frame = members
        frame["type"] = .string(type)
        frame["ref"] = .string(ref)
        frame["conversation"] = .string(conversation.id)
        send(.object(frame))
        // A ref may be used again: only what came since counts.
        try await wait("answer to \(type)") { frames, _ in
            frames.dropFirst(before).contains { $0["ref"].string == ref }
        }
        return frames.dropFirst(before).first { $0["ref"].string == ref } ?? .null
    }

    func edit(
        _ message: String, in conversation: Conversation, _ text: String, ref: String = UUID().uuidString
    ) async throws -> JSONValue {
        try await ask(
            "edit", in: conversation, ["message": .string(message), "body": ["text": .string(text)]], ref: ref)
    }

    func delete(_ message: String, in conversation: Conversation) async throws -> JSONValue {
        try await ask("delete", in: conversation, ["message": .string(message)])
    }

    func react(
        _ message: String, in conversation: Conversation, _ emoji: String, remove: Bool = false
    ) async throws -> JSONValue {
        try await ask(
            "react", in: conversation,
            ["message": .string(message), "emoji": .string(emoji), "remove": .bool(remove)])
    }

    /// Waits for an event and answers it.
    func event(
        in conversation: Conversation, within timeout: Duration = .seconds(20),
        where check: @escaping @Sendable (JSONValue) -> Bool
    ) async throws -> JSONValue {
        @Sendable func fits(_ frame: JSONValue) -> Bool {
            frame["type"] == "event" && frame["conversation"].string == conversation.id && check(frame)
        }
        try await wait("an event", within: timeout) { frames, _ in frames.contains(where: fits) }
        return frames.first(where: fits) ?? .null
    }

    func event(in conversation: Conversation, kind: String, of message: String? = nil) async throws -> JSONValue {
        try await event(in: conversation) {
            $0["kind"].string == kind && (message == nil || $0["message"].string == message)
        }
    }
}

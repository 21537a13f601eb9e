/// The frames that a client sends, as JSON. `ref` is echoed in the answer.
package enum ChatFrames {
    /// `cursors`: what this client holds; nil: what its device last acknowledged.
    package static func hello(client: String, cursors: [String: Int]? = nil) -> JSONValue {
        var frame: [String: JSONValue] = ["type": "hello", "client": .string(client)]
        if let cursors { frame["cursors"] = Self.cursors(cursors) }
        return .object(frame)
    }

    package static func send(
        ref: String, to: String? = nil, conversation: String? = nil, clientID: String, body: JSONValue
    ) -> JSONValue {
        var frame: [String: JSONValue] = [
            "type": "send", "ref": .string(ref), "client_id": .string(clientID), "body": body,
        ]
        if let to { frame["to"] = .string(to) }
        if let conversation { frame["conversation"] = .string(conversation) }
        return .object(frame)
    }

    /// - Parameters:
    ///   - replyTo: the message answered.
    ///   - mentions: users.
    package static func body(
        _ text: String, isMarkdown: Bool = false, replyTo: String? = nil, mentions: [String] = []
    ) -> JSONValue {
        var body: [String: JSONValue] = ["text": .string(text)]
        if isMarkdown { body["format"] = "markdown" }
        if let replyTo { body["reply_to"] = .string(replyTo) }
        if !mentions.isEmpty { body["mentions"] = .array(mentions.map { .string($0) }) }
        return .object(body)
    }

    package static func edit(ref: String, message: String, conversation: String, body: JSONValue) -> JSONValue {
        [
            "type": "edit", "ref": .string(ref), "message": .string(message), "conversation": .string(conversation),
            "body": body,
        ]
    }

    package static func delete(ref: String, message: String, conversation: String) -> JSONValue {
        ["type": "delete", "ref": .string(ref), "message": .string(message), "conversation": .string(conversation)]
    }

    package static func react(
        ref: String, message: String, conversation: String, emoji: String, removed: Bool = false
    ) -> JSONValue {
        [
            "type": "react", "ref": .string(ref), "message": .string(message), "conversation": .string(conversation),
            "emoji": .string(emoji), "remove": .bool(removed),
        ]
    }

    package static func read(_ conversation: String, _ seq: Int) -> JSONValue {
        ["type": "read", "conversation": .string(conversation), "seq": .integer(Int64(seq))]
    }

    package static func received(_ cursors: [String: Int]) -> JSONValue {
        ["type": "received", "cursors": Self.cursors(cursors)]
    }

    package static func typing(_ conversation: String, isActive: Bool) -> JSONValue {
        ["type": "typing", "conversation": .string(conversation), "active": .bool(isActive)]
    }

    package static func watch(_ users: [String]) -> JSONValue {
        ["type": "watch", "users": .array(users.map { .string($0) })]
    }

    package static func unwatch(_ users: [String]) -> JSONValue {
        ["type": "unwatch", "users": .array(users.map { .string($0) })]
    }

    private static func cursors(_ cursors: [String: Int]) -> JSONValue {
        .object(cursors.mapValues { .integer(Int64($0)) })
    }
}

package import ChatModel
package import Protocol

/// An event as REST clients see it: the members of the WebSocket's `event` (CONTRACT §3).
package struct EventJSON: Encodable, Sendable {
    package var conversation: String
    package var seq: UInt64
    package var id: String
    package var kind: String
    package var sender: String
    package var sentAt: Timestamp
    package var clientId: String?
    package var body: BodyJSON?
    package var message: String?
    package var emoji: String?
    package var removed: Bool?
    package var user: String?
    package var change: String?
    package var role: String?
    package var group: GroupEventJSON?
    package var deleted: Bool?

    /// The event is taken to have its `client_id` only where its reader may see it.
    package init(_ event: LogEvent) {
        let client = ClientEvent(event, withClientID: true)
        conversation = client.conversation
        seq = client.seq
        id = client.id
        kind = client.kind
        sender = client.sender
        sentAt = Timestamp(milliseconds: client.sentAtMs)
        clientId = client.clientID.isEmpty ? nil : client.clientID
        body = client.hasBody ? BodyJSON(client.body) : nil
        message = client.message.isEmpty ? nil : client.message
        emoji = client.emoji.isEmpty ? nil : client.emoji
        removed = client.kind == "reaction" ? client.removed : nil
        user = client.user.isEmpty ? nil : client.user
        change = client.change.isEmpty ? nil : client.change
        role = client.role.isEmpty ? nil : client.role
        group = client.hasGroup ? GroupEventJSON(client.group) : nil
        deleted = client.deleted ? true : nil
    }
}

/// What a group is called from an event on.
package struct GroupEventJSON: Encodable, Sendable {
    package var id: String
    package var name: String
    package var about: String
    package var avatar: String?
    package var visibility: String
    package var deleted: Bool?

    package init(_ group: ClientGroup) {
        id = group.id
        name = group.name
        about = group.about
        avatar = group.avatar.isEmpty ? nil : group.avatar
        visibility = group.visibility
        deleted = group.deleted ? true : nil
    }
}

/// What a message says, as REST clients send and see it. Members that are left out are empty.
package struct BodyJSON: Codable, Sendable {
    package var text: String?
    package var format: String?
    package var attachments: [String]?
    package var replyTo: String?
    package var mentions: [String]?

    package init(_ body: ClientBody) {
        text = body.text
        format = body.format
        attachments = body.attachments.isEmpty ? nil : body.attachments
        replyTo = body.replyTo.isEmpty ? nil : body.replyTo
        mentions = body.mentions.isEmpty ? nil : body.mentions
    }

    /// The body by the rules of the contract.
    ///
    /// - Parameter conversation: where it is sent, if known.
    /// - Throws: `invalid` or `too_large`, naming the member.
    package func checked(in conversation: ConversationID?) throws(Problem) -> LogBody {
        var body = ClientBody()
        body.text = text ?? ""
        body.format = format ?? ""
        body.attachments = attachments ?? []
        body.replyTo = replyTo ?? ""
        body.mentions = mentions ?? []
        do {
            return try body.wire(in: conversation)
        } catch {
            let field = error.field ?? "body"
            throw Problem(
                code: error.code == .tooLong ? .tooLarge : .invalid, detail: "\(field): \(error.message)",
                errors: [FieldError(field: field, message: error.message)])
        }
    }
}

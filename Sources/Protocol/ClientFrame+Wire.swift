package import ChatModel

// What clients send, checked against the contract's rules and turned into what services speak. The same for both
// subprotocols. An empty string and a zero stand for a field that was left out.

extension ClientClientFrame {
    /// The answer's `ref`; empty where the frame has none.
    package var ref: String {
        switch frame {
        case .send(let value): value.ref
        case .edit(let value): value.ref
        case .delete(let value): value.ref
        case .react(let value): value.ref
        case .ping(let value): value.ref
        case .hello, .read, .received, .typing, .watch, .unwatch, nil: ""
        }
    }
}

extension ClientSend {
    /// The call that stores this message, or what is wrong with it.
    package func request(user: UserID, device: DeviceID) throws(ClientFrameError) -> MessagesSendRequest {
        try require(ref: ref)
        guard !clientID.isEmpty else { throw ClientFrameError(.missing, field: "client_id", "is required") }
        guard clientID.utf8.count <= Limits.clientIDBytes else {
            throw ClientFrameError(.tooLong, field: "client_id", "longer than \(Limits.clientIDBytes) bytes")
        }
        guard conversation.isEmpty != to.isEmpty else {
            throw ClientFrameError(.missing, field: "conversation", "this or `to` is required, and not both")
        }
        guard hasBody else { throw ClientFrameError(.missing, field: "body", "is required") }
        var request = MessagesSendRequest()
        request.user = user.rawValue
        request.device = device.rawValue
        request.clientID = clientID
        if to.isEmpty {
            let conversation = try identifier(conversation, ConversationID.self, "conversation")
            request.conversation = conversation.rawValue
            request.body = try body.wire(in: conversation)
        } else {
            request.to = try identifier(to, UserID.self, "to").rawValue
            request.body = try body.wire(in: nil)
        }
        return request
    }
}

extension ClientEdit {
    /// The call that makes this edit, or what is wrong with it.
    package func request(user: UserID, device: DeviceID) throws(ClientFrameError) -> MessagesAmendRequest {
        var request = try amendment(of: message, in: conversation, ref: ref, user, device)
        guard hasBody else { throw ClientFrameError(.missing, field: "body", "is required") }
        request.edit = try body.wire(in: ConversationID(rawValue: request.conversation))
        return request
    }
}

extension ClientDelete {
    /// The call that makes this deletion, or what is wrong with it.
    package func request(user: UserID, device: DeviceID) throws(ClientFrameError) -> MessagesAmendRequest {
        var request = try amendment(of: message, in: conversation, ref: ref, user, device)
        request.deletion = MessagesDeletion()
        return request
    }
}

extension ClientReact {
    /// The call that makes this reaction or takes it back, or what is wrong with it.
    package func request(user: UserID, device: DeviceID) throws(ClientFrameError) -> MessagesAmendRequest {
        var request = try amendment(of: message, in: conversation, ref: ref, user, device)
        do {
            try MessageRules.check(emoji: emoji)
        } catch {
            throw ClientFrameError(
                emoji.isEmpty ? .missing : error.isTooLong ? .tooLong : .invalidValue, field: error.field,
                error.message)
        }
        var reaction = MessagesReaction()
        reaction.emoji = emoji
        reaction.removed = remove
        request.reaction = reaction
        return request
    }
}

private func amendment(
    of message: String, in conversation: String, ref: String, _ user: UserID, _ device: DeviceID
) throws(ClientFrameError) -> MessagesAmendRequest {
    try require(ref: ref)
    let target = try event(message, in: conversation)
    var request = MessagesAmendRequest()
    request.user = user.rawValue
    request.device = device.rawValue
    request.conversation = target.conversation.rawValue
    request.message = target.seq
    request.ref = ref
    return request
}

extension ClientRead {
    package func position() throws(ClientFrameError) -> EventID {
        let conversation = try identifier(conversation, ConversationID.self, "conversation")
        guard seq > 0 else { throw ClientFrameError(.missing, field: "seq", "is required") }
        return EventID(conversation: conversation, seq: seq)
    }
}

extension ClientReceived {
    package func positions() throws(ClientFrameError) -> [EventID] {
        try positionsOf(cursors)
    }
}

extension ClientHello {
    /// What the client holds; nil where it does not say. Names that are no conversation's are left out: harmless.
    package func positions() -> [EventID]? {
        guard hasCursors else { return nil }
        return cursors.cursors.compactMap { name, seq in
            ConversationID(name).map { EventID(conversation: $0, seq: seq) }
        }
    }
}

extension ClientTyping {
    package func target() throws(ClientFrameError) -> ConversationID {
        try identifier(conversation, ConversationID.self, "conversation")
    }
}

extension ClientWatch {
    package func ids() throws(ClientFrameError) -> [UserID] {
        guard users.count <= Limits.watchedUsers else {
            throw ClientFrameError(.tooLong, field: "users", "more than \(Limits.watchedUsers)")
        }
        var ids: [UserID] = []
        for user in users { ids.append(try identifier(user, UserID.self, "users")) }
        return ids
    }
}

extension ClientBody {
    /// The body as the log has it, or which rule it breaks. `conversation`: where it is sent, if known.
    package func wire(in conversation: ConversationID?) throws(ClientFrameError) -> LogBody {
        guard text.utf8.count <= Limits.textBytes else {
            throw ClientFrameError(.tooLong, field: "body.text", "longer than \(Limits.textBytes) bytes")
        }
        guard !text.isEmpty || !attachments.isEmpty else {
            throw ClientFrameError(.missing, field: "body.text", "text or an attachment is required")
        }
        guard attachments.count <= Limits.attachments else {
            throw ClientFrameError(.tooLong, field: "body.attachments", "more than \(Limits.attachments)")
        }
        guard mentions.count <= Limits.mentions else {
            throw ClientFrameError(.tooLong, field: "body.mentions", "more than \(Limits.mentions)")
        }
        var body = LogBody()
        body.text = text
        switch format {
        case "", "plain": body.format = .plain
        case "markdown": body.format = .markdown
        default: throw ClientFrameError(.invalidValue, field: "body.format", "must be plain or markdown")
        }
        for attachment in attachments {
            guard !attachment.isEmpty, attachment.utf8.count <= ClientJSON.identifierBytes else {
                throw ClientFrameError(.invalidValue, field: "body.attachments", "has what is no media id")
            }
        }
        body.attachments = attachments
        if !replyTo.isEmpty {
            guard let target = EventID(replyTo), conversation == nil || target.conversation == conversation else {
                throw ClientFrameError(.invalidValue, field: "body.reply_to", "names no message of the conversation")
            }
            body.replyTo = target.seq
        }
        for mention in mentions {
            body.mentions.append(try identifier(mention, UserID.self, "body.mentions").rawValue)
        }
        return body
    }

    /// The body as clients see it.
    package init(_ body: LogBody, in conversation: ConversationID) {
        self.init()
        text = body.text
        switch body.format {
        case .plain, .UNRECOGNIZED: format = "plain"
        case .markdown: format = "markdown"
        }
        attachments = body.attachments
        if body.replyTo > 0 { replyTo = EventID(conversation: conversation, seq: body.replyTo).description }
        mentions = body.mentions.map { UserID(rawValue: $0).description }
    }
}

private func require(ref: String) throws(ClientFrameError) {
    guard !ref.isEmpty else { throw ClientFrameError(.missing, field: "ref", "is required") }
    guard ref.utf8.count <= Limits.clientIDBytes else {
        throw ClientFrameError(.tooLong, field: "ref", "longer than \(Limits.clientIDBytes) bytes")
    }
}

private func identifier<ID: Identifier>(
    _ string: String, _ type: ID.Type, _ field: String
) throws(ClientFrameError) -> ID {
    guard !string.isEmpty else { throw ClientFrameError(.missing, field: field, "is required") }
    guard let id = ID(string) else { throw ClientFrameError(.invalidValue, field: field, "is no id") }
    return id
}

private func event(_ message: String, in conversation: String) throws(ClientFrameError) -> EventID {
    let conversation = try identifier(conversation, ConversationID.self, "conversation")
    guard !message.isEmpty else { throw ClientFrameError(.missing, field: "message", "is required") }
    guard let event = EventID(message), event.conversation == conversation else {
        throw ClientFrameError(.invalidValue, field: "message", "names no message of the conversation")
    }
    return event
}

private func positionsOf(_ cursors: [String: UInt64]) throws(ClientFrameError) -> [EventID] {
    var positions: [EventID] = []
    for (name, seq) in cursors {
        positions.append(
            EventID(conversation: try identifier(name, ConversationID.self, "cursors"), seq: seq))
    }
    return positions
}

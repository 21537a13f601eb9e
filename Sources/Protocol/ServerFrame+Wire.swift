import ChatModel

// What services speak, as clients see it.

extension ClientEvent {
    /// The event as clients see it; `client_id` only for the sender's own devices.
    package init(_ event: LogEvent, withClientID: Bool) {
        self.init()
        let conversation = ConversationID(rawValue: event.conversation)
        self.conversation = conversation.description
        seq = event.seq
        id = EventID(conversation: conversation, seq: event.seq).description
        sender = UserID(rawValue: event.sender).description
        sentAtMs = event.sentAtMs
        if withClientID { clientID = event.clientID }
        func target() -> String { EventID(conversation: conversation, seq: event.target).description }
        switch event.kind {
        case .message:
            kind = "message"
            if event.deleted { deleted = true } else { body = ClientBody(event.body, in: conversation) }
        case .edit:
            kind = "edit"
            message = target()
            if event.deleted { deleted = true } else { body = ClientBody(event.body, in: conversation) }
        case .delete:
            kind = "delete"
            message = target()
        case .reaction:
            kind = "reaction"
            message = target()
            emoji = event.emoji
            removed = event.removed
        case .member:
            kind = "member"
            user = UserID(rawValue: event.member.user).description
            change = event.member.change.name
            role = event.member.role.name
        case .group:
            kind = "group"
            group = ClientGroup(event.group, id: conversation)
        case .unspecified, .UNRECOGNIZED: kind = "unknown"  // newer than this node: clients ignore what they don't know
        }
    }
}

extension ClientGroup {
    /// `id`: the conversation, which is the group's own id.
    init(_ group: LogGroup, id: ConversationID) {
        self.init()
        self.id = id.description
        name = group.name
        about = group.about
        avatar = group.avatar
        visibility = group.public ? "public" : "private"
        deleted = group.deleted
    }
}

extension LogMemberChange {
    /// As clients know it; empty for what this build does not know.
    package var name: String {
        switch self {
        case .joined: "joined"
        case .left: "left"
        case .removed: "removed"
        case .banned: "banned"
        case .role: "role"
        case .unspecified, .UNRECOGNIZED: ""
        }
    }
}

extension LogGroupRole {
    /// As clients know it; empty for none.
    package var name: String {
        switch self {
        case .owner: "owner"
        case .admin: "admin"
        case .member: "member"
        case .unspecified, .UNRECOGNIZED: ""
        }
    }

    /// The role that a client names.
    package init?(name: String) {
        switch name {
        case "owner": self = .owner
        case "admin": self = .admin
        case "member": self = .member
        default: return nil
        }
    }
}

extension ClientMuted {
    package init(_ mute: ChatMute) {
        self.init()
        conversation = ConversationID(rawValue: mute.conversation).description
        if mute.untilMs > 0 { untilMs = mute.untilMs }
    }
}

extension ClientReceipt {
    package init(_ receipt: ChatReceipt) {
        self.init()
        conversation = ConversationID(rawValue: receipt.conversation).description
        user = UserID(rawValue: receipt.user).description
        delivered = receipt.delivered
        read = receipt.read
    }
}

extension ClientTyping {
    package init(_ typing: ChatTyping) {
        self.init()
        conversation = ConversationID(rawValue: typing.conversation).description
        user = UserID(rawValue: typing.user).description
        active = typing.active
    }
}

extension ClientPresence {
    /// Hidden: only the user. Never seen: without a time.
    package init(_ presence: LastSeenPresence) {
        self.init()
        user = UserID(rawValue: presence.user).description
        if presence.hidden { return }
        online = presence.online
        if presence.lastSeenMs > 0 { lastSeenMs = presence.lastSeenMs }
    }
}

extension ClientAck {
    package init(_ response: MessagesSendResponse, ref: String) {
        self.init()
        let id = EventID(conversation: ConversationID(rawValue: response.conversation), seq: response.seq)
        self.ref = ref
        conversation = id.conversation.description
        seq = id.seq
        self.id = id.description
        sentAtMs = response.sentAtMs
        duplicate = response.duplicate
    }
}

extension RelayAppendRequest {
    /// A message for a conversation.
    package init(_ request: MessagesSendRequest, conversation: UInt64) {
        self.init()
        self.conversation = conversation
        sender = request.user
        clientID = request.clientID
        kind = .message
        body = request.body
    }
}

extension MessagesSendResponse {
    /// What became of it.
    package init(_ response: RelayAppendResponse) {
        self.init()
        conversation = response.conversation
        seq = response.seq
        sentAtMs = response.sentAtMs
        duplicate = response.duplicate
    }
}

extension ClientError {
    /// A frame that was refused.
    package init(_ error: ClientFrameError, ref: String = "") {
        self.init()
        self.ref = ref
        code = error.code == .tooLong ? "too_large" : "invalid"
        message = error.description
    }
}

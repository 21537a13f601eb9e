import ChatModel
import Protocol
import ServiceKit

// What REST clients send and see, member for member.

struct SendJSON: Decodable {
    var to: String?
    var conversation: String?
    var clientId: String
    var body: BodyJSON
}

struct EditJSON: Decodable {
    var body: BodyJSON
    var clientId: String?
}

struct ReadJSON: Decodable {
    var seq: UInt64
}

struct MuteJSON: Decodable {
    var until: Timestamp?
}

struct PeerJSON: Encodable, Sendable {
    var id: String
    @Nullable var username: String?
    @Nullable var displayName: String?
    @Nullable var avatar: String?

    /// `profile` is nil where the account is gone.
    init(id: UInt64, _ profile: UsersProfile?) {
        self.id = UserID(rawValue: id).description
        _username = Nullable(wrappedValue: profile?.username)
        _displayName = Nullable(wrappedValue: profile?.displayName)
        _avatar = Nullable(wrappedValue: profile.flatMap { $0.avatar.isEmpty ? nil : $0.avatar })
    }
}

/// A group as the list of conversations shows it: what it is called now, and what the user is in it.
struct GroupJSON: Encodable, Sendable {
    var id: String
    var name: String
    var about: String
    @Nullable var avatar: String?
    var visibility: String
    var role: String
    var memberCount: UInt32

    init(_ conversation: RelayConversation) {
        let group = conversation.group
        id = ConversationID(rawValue: conversation.id).description
        name = group.name
        about = group.about
        _avatar = Nullable(wrappedValue: group.avatar.isEmpty ? nil : group.avatar)
        visibility = group.public ? "public" : "private"
        role = conversation.role.name
        memberCount = conversation.memberCount
    }
}

struct ConversationJSON: Encodable, Sendable {
    var id: String
    var kind: String
    var peer: PeerJSON?
    var group: GroupJSON?
    var lastEvent: EventJSON?
    var head: UInt64
    var delivered: UInt64
    var read: UInt64
    var unread: UInt64
    var mentions: UInt64
    var muted: Bool
    @Nullable var mutedUntil: Timestamp?
    /// Direct: what the other has, and has read, where both show it.
    var peerDelivered: UInt64?
    var peerRead: UInt64?

    /// - Parameters:
    ///   - profiles: of the user and, of a direct conversation, of the peer.
    ///   - now: Unix milliseconds.
    init(
        _ conversation: RelayConversation, kind: MessagesKind, user: UInt64, _ profiles: [UInt64: UsersProfile],
        now: Int64
    ) {
        id = ConversationID(rawValue: conversation.id).description
        self.kind = kind.name
        lastEvent = conversation.hasLastEvent ? EventJSON(conversation.lastEvent) : nil
        head = conversation.head
        delivered = conversation.delivered
        read = conversation.read
        unread = conversation.unread
        mentions = conversation.mentions
        muted = conversation.mutedUntilMs > now
        _mutedUntil = Nullable(
            wrappedValue: muted ? Timestamp(milliseconds: conversation.mutedUntilMs) : nil)
        switch kind {
        case .direct:
            let profile = profiles[conversation.peer]
            peer = PeerJSON(id: conversation.peer, profile)
            let shown = profile?.readReceipts ?? false && profiles[user]?.readReceipts ?? false
            peerDelivered = shown ? conversation.peerDelivered : 0
            peerRead = shown ? conversation.peerRead : 0
        case .group:
            group = GroupJSON(conversation)
        }
    }
}

/// A message in its present state: the event that made it, and what became of it. Pages of them are written by
/// `MessagePageJSON`, which says the same.
struct MessageJSON: Encodable, Sendable {
    struct Reaction: Encodable, Sendable {
        var emoji: String
        var users: [String]
    }

    private enum CodingKeys: CodingKey {
        case editedAt, reactions
    }

    var event: EventJSON
    var editedAt: Timestamp?
    var reactions: [Reaction]

    init(_ message: RelayMessage) {
        var event = message.event
        event.deleted = event.deleted || message.deleted
        self.event = EventJSON(event)
        editedAt = message.editedAtMs > 0 ? Timestamp(milliseconds: message.editedAtMs) : nil
        reactions = message.reactions.map { reaction in
            Reaction(emoji: reaction.emoji, users: reaction.users.map { UserID(rawValue: $0).description })
        }
    }

    func encode(to encoder: any Encoder) throws {
        try event.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(editedAt, forKey: .editedAt)
        if !reactions.isEmpty { try container.encode(reactions, forKey: .reactions) }
    }
}

struct ReceiptsJSON: Encodable, Sendable {
    var delivered: [String]
    var read: [String]

    init(delivered: [UInt64], read: [UInt64]) {
        self.delivered = delivered.map { UserID(rawValue: $0).description }
        self.read = read.map { UserID(rawValue: $0).description }
    }
}

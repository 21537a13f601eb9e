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

struct ConversationJSON: Encodable, Sendable {
    var id: String
    var kind = "direct"
    var peer: PeerJSON
    var lastEvent: EventJSON?
    var head: UInt64
    var delivered: UInt64
    var read: UInt64
    var unread: UInt64
    var mentions = 0
    var muted: Bool
    @Nullable var mutedUntil: Timestamp?
    /// What the other has, and has read where they show it.
    var peerDelivered: UInt64
    var peerRead: UInt64

    /// - Parameter now: Unix milliseconds.
    init(_ conversation: RelayConversation, _ profile: UsersProfile?, now: Int64) {
        id = ConversationID(rawValue: conversation.id).description
        peer = PeerJSON(id: conversation.peer, profile)
        lastEvent = conversation.hasLastEvent ? EventJSON(conversation.lastEvent) : nil
        head = conversation.head
        delivered = conversation.delivered
        read = conversation.read
        unread = conversation.unread
        muted = conversation.mutedUntilMs > now
        _mutedUntil = Nullable(
            wrappedValue: muted ? Timestamp(milliseconds: conversation.mutedUntilMs) : nil)
        peerDelivered = conversation.peerDelivered
        peerRead = profile?.readReceipts ?? false ? conversation.peerRead : 0
    }
}

/// A message in its present state: the event that made it, and what became of it.
struct MessageJSON: Encodable, Sendable {
    struct Reaction: Encodable, Sendable {
        var emoji: String
        var users: [String]
    }

    private enum CodingKeys: CodingKey {
        case deleted, editedAt, reactions
    }

    var event: EventJSON
    var deleted: Bool
    var editedAt: Timestamp?
    var reactions: [Reaction]

    init(_ message: RelayMessage) {
        event = EventJSON(message.event)
        deleted = message.deleted
        editedAt = message.editedAtMs > 0 ? Timestamp(milliseconds: message.editedAtMs) : nil
        reactions = message.reactions.map { reaction in
            Reaction(emoji: reaction.emoji, users: reaction.users.map { UserID(rawValue: $0).description })
        }
    }

    func encode(to encoder: any Encoder) throws {
        try event.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        if deleted { try container.encode(deleted, forKey: .deleted) }
        try container.encodeIfPresent(editedAt, forKey: .editedAt)
        if !reactions.isEmpty { try container.encode(reactions, forKey: .reactions) }
    }
}

struct ReceiptsJSON: Encodable, Sendable {
    var delivered: [String]
    var read: [String]
}

import ChatModel
import Protocol
import ServiceKit

// What REST clients see, member for member.

struct GroupJSON: Encodable, Sendable {
    var id: String
    var conversation: String
    var name: String
    var about: String
    @Nullable var avatar: String?
    var visibility: String
    /// The caller's; null where they are not in it.
    @Nullable var role: String?
    var memberCount: Int
    var createdAt: Timestamp

    init(_ group: Group, role: GroupRole?) {
        id = group.id.description
        conversation = group.id.description
        name = group.profile.name
        about = group.profile.about
        _avatar = Nullable(wrappedValue: group.profile.avatar)
        visibility = group.profile.isPublic ? "public" : "private"
        _role = Nullable(wrappedValue: role?.name)
        memberCount = group.memberCount
        createdAt = Timestamp(milliseconds: group.createdAt)
    }
}

struct PersonJSON: Encodable, Sendable {
    var id: String
    @Nullable var username: String?
    @Nullable var displayName: String?
    @Nullable var avatar: String?

    /// `profile` is nil where the account is gone.
    init(_ user: UserID, _ profile: UsersProfile?) {
        id = user.description
        _username = Nullable(wrappedValue: profile?.username)
        _displayName = Nullable(wrappedValue: profile?.displayName)
        _avatar = Nullable(wrappedValue: profile.flatMap { $0.avatar.isEmpty ? nil : $0.avatar })
    }
}

struct MemberJSON: Encodable, Sendable {
    var user: PersonJSON
    var role: String
    var joinedAt: Timestamp

    init(_ member: GroupMember, _ profile: UsersProfile?) {
        user = PersonJSON(member.user, profile)
        role = member.role.name
        joinedAt = Timestamp(milliseconds: member.joinedAt)
    }
}

struct BanJSON: Encodable, Sendable {
    var user: PersonJSON
    var bannedBy: String
    var bannedAt: Timestamp

    init(_ ban: GroupBan, _ profile: UsersProfile?) {
        user = PersonJSON(ban.user, profile)
        bannedBy = ban.by.description
        bannedAt = Timestamp(milliseconds: ban.at)
    }
}

/// An invite as admins see it.
struct InviteJSON: Encodable, Sendable {
    var code: String
    var url: String
    @Nullable var expiresAt: Timestamp?
    @Nullable var maxUses: Int64?
    var uses: Int64
    var createdBy: String
    var createdAt: Timestamp

    init(_ invite: Invite, url: String) {
        code = invite.code
        self.url = url
        _expiresAt = Nullable(wrappedValue: invite.expiresAt.map { Timestamp(milliseconds: $0) })
        _maxUses = Nullable(wrappedValue: invite.maxUses)
        uses = invite.uses
        createdBy = invite.by.description
        createdAt = Timestamp(milliseconds: invite.createdAt)
    }
}

/// An invite as whoever has it sees it.
struct InvitationJSON: Encodable, Sendable {
    var code: String
    var url: String
    @Nullable var expiresAt: Timestamp?
    var group: GroupJSON

    init(_ invite: Invite, url: String, group: GroupJSON) {
        code = invite.code
        self.url = url
        _expiresAt = Nullable(wrappedValue: invite.expiresAt.map { Timestamp(milliseconds: $0) })
        self.group = group
    }
}

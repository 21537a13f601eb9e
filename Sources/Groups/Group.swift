package import ChatModel
package import Protocol

/// What a member may do; a higher one may do all that a lower one may.
package enum GroupRole: Int16, Sendable, CaseIterable, Comparable {
    case member = 1
    case admin = 2
    case owner = 3

    /// As clients write it.
    package var name: String {
        switch self {
        case .member: "member"
        case .admin: "admin"
        case .owner: "owner"
        }
    }

    package init?(name: String) {
        guard let role = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = role
    }

    /// As the log has it.
    package var wire: LogGroupRole {
        switch self {
        case .member: .member
        case .admin: .admin
        case .owner: .owner
        }
    }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// A group as it is.
package struct Group: Sendable, Equatable {
    /// Its conversation's id as well.
    package var id: ConversationID
    package var profile: Profile
    package var memberCount: Int
    /// Unix milliseconds.
    package var createdAt: Int64
    /// The number of the last change that went to the log.
    package var changes: Int64

    /// What it is called and who may find it.
    package struct Profile: Sendable, Equatable {
        package var name: String
        package var about: String
        package var avatar: String?
        package var isPublic: Bool

        package init(name: String, about: String = "", avatar: String? = nil, isPublic: Bool) {
            self.name = name
            self.about = about
            self.avatar = avatar
            self.isPublic = isPublic
        }

        /// As the log has it.
        package var wire: LogGroup {
            var group = LogGroup()
            group.name = name
            group.about = about
            group.avatar = avatar ?? ""
            group.public = isPublic
            return group
        }
    }

    package init(id: ConversationID, profile: Profile, memberCount: Int, createdAt: Int64, changes: Int64) {
        self.id = id
        self.profile = profile
        self.memberCount = memberCount
        self.createdAt = createdAt
        self.changes = changes
    }
}

/// Somebody in a group.
package struct GroupMember: Sendable, Equatable {
    package var user: UserID
    package var role: GroupRole
    /// Unix milliseconds.
    package var joinedAt: Int64
}

/// Somebody who is kept out of a group.
package struct GroupBan: Sendable, Equatable {
    package var user: UserID
    package var by: UserID
    /// Unix milliseconds.
    package var at: Int64
}

/// A code that lets whoever has it into a group.
package struct Invite: Sendable, Equatable {
    package var code: String
    package var group: ConversationID
    package var by: UserID
    /// Unix milliseconds.
    package var createdAt: Int64
    /// Unix milliseconds; nil: never.
    package var expiresAt: Int64?
    /// nil: any number.
    package var maxUses: Int64?
    package var uses: Int64

    /// Whether it still lets anybody in.
    package func isGood(now: Int64) -> Bool {
        if let expiresAt, expiresAt <= now { return false }
        if let maxUses, uses >= maxUses { return false }
        return true
    }
}

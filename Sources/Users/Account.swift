package import ChatModel
package import Protocol

/// A user's account, without its password.
package struct Account: Hashable, Sendable {
    package enum Visibility: Int16, Sendable {
        case everyone, contacts, nobody

        /// As clients name it.
        package init?(name: String) {
            switch name {
            case "everyone": self = .everyone
            case "contacts": self = .contacts
            case "nobody": self = .nobody
            case _: return nil
            }
        }

        package var name: String {
            switch self {
            case .everyone: "everyone"
            case .contacts: "contacts"
            case .nobody: "nobody"
            }
        }
    }

    package var id: UserID
    package var username: String
    package var email: String
    package var displayName: String
    package var avatar: String?
    package var about: String
    package var lastSeenVisibility: Visibility
    package var readReceipts: Bool
    /// Unix milliseconds.
    package var createdAt: Int64

    package init(
        id: UserID, username: String, email: String, displayName: String, avatar: String? = nil, about: String = "",
        lastSeenVisibility: Visibility = .everyone, readReceipts: Bool = true, createdAt: Int64
    ) {
        self.id = id
        self.username = username
        self.email = email
        self.displayName = displayName
        self.avatar = avatar
        self.about = about
        self.lastSeenVisibility = lastSeenVisibility
        self.readReceipts = readReceipts
        self.createdAt = createdAt
    }

    /// What other services may know of it.
    package var profile: UsersProfile {
        var profile = UsersProfile()
        profile.id = id.rawValue
        profile.username = username
        profile.displayName = displayName
        profile.avatar = avatar ?? ""
        profile.about = about
        profile.lastSeenVisibility =
            switch lastSeenVisibility {
            case .everyone: .everyone
            case .contacts: .contacts
            case .nobody: .nobody
            }
        profile.readReceipts = readReceipts
        return profile
    }
}

/// What logs in: a browser, a phone, a program.
package struct Device: Hashable, Sendable {
    package var id: DeviceID
    package var name: String
    /// Unix milliseconds.
    package var createdAt: Int64
    /// The last login or refresh.
    package var lastUsedAt: Int64

    package init(id: DeviceID, name: String, createdAt: Int64, lastUsedAt: Int64) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
        self.lastUsedAt = lastUsedAt
    }
}

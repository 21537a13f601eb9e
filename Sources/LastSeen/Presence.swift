package import ChatModel
package import Protocol

/// Whether a user is online, and when last.
package struct Presence: Hashable, Sendable {
    package var user: UserID
    package var online: Bool
    /// Unix milliseconds: while online, when that began; 0: never seen.
    package var lastSeen: Int64

    package init(user: UserID, online: Bool, lastSeen: Int64) {
        self.user = user
        self.online = online
        self.lastSeen = lastSeen
    }

    /// Never seen.
    package init(user: UserID) { self.init(user: user, online: false, lastSeen: 0) }

    /// Reads what the scripts publish: `user:online:last seen`, separated by blanks. What can't be read is left out.
    package static func changes(in payload: [UInt8]) -> [Presence] {
        String(decoding: payload, as: UTF8.self).split(separator: " ").compactMap { word in
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, let user = UserID(parts[0]), parts[1] == "0" || parts[1] == "1",
                let lastSeen = Int64(parts[2])
            else { return nil }
            return Presence(user: user, online: parts[1] == "1", lastSeen: lastSeen)
        }
    }
}

/// Who may see a user's presence.
package enum PresencePrivacy {
    /// - Parameters:
    ///   - viewer: nil: anyone, as in what all nodes follow.
    ///   - visibility: the user's setting; nil when it can't be known, which hides.
    ///
    /// Who shares a direct conversation with whom can't be asked of any service yet: until then `contacts` hides
    /// like `nobody`. It may show too little, never too much.
    package static func shows(_ user: UserID, to viewer: UserID?, visibility: UsersVisibility?) -> Bool {
        if user == viewer { return true }
        switch visibility {
        case .everyone: return true
        case .contacts, .nobody, .UNRECOGNIZED, nil: return false
        }
    }

    /// What goes to a chat node.
    package static func message(
        _ presence: Presence, to viewer: UserID?, visibility: UsersVisibility?, now: Int64
    ) -> LastSeenPresence {
        var message = LastSeenPresence()
        message.user = presence.user.rawValue
        guard shows(presence.user, to: viewer, visibility: visibility) else {
            message.hidden = true
            return message
        }
        message.online = presence.online
        // Who is online is seen right now.
        message.lastSeenMs = presence.online ? now : presence.lastSeen
        return message
    }
}

/// Changes on their way to the followers: of each user only the last, in the order of the first.
package struct PresenceBatch: Sendable {
    private var order: [UserID] = []
    private var latest: [UserID: Presence] = [:]

    package init() {}

    package var isEmpty: Bool { order.isEmpty }

    package mutating func add(_ presence: Presence) {
        if latest.updateValue(presence, forKey: presence.user) == nil { order.append(presence.user) }
    }

    /// What was added since the last time.
    package mutating func take() -> [Presence] {
        defer { self = PresenceBatch() }
        return order.compactMap { latest[$0] }
    }
}

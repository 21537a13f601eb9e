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
package struct PresencePrivacy: Sendable, Equatable {
    /// The user's setting; nil when it can't be known, which hides.
    package var visibility: UsersVisibility?
    /// Whether the user and the viewer have a direct conversation; nil when that can't be known, which hides where it matters.
    package var isContact: Bool?
    /// Whether the user has blocked the viewer; nil when that can't be known, which hides.
    package var hasBlocked: Bool?

    package init(visibility: UsersVisibility?, isContact: Bool? = nil, hasBlocked: Bool? = nil) {
        self.visibility = visibility
        self.isContact = isContact
        self.hasBlocked = hasBlocked
    }

    /// Whether the viewer may see it. It may show too little, never too much.
    package func shows(_ user: UserID, to viewer: UserID) -> Bool {
        if user == viewer { return true }
        guard hasBlocked == false else { return false }
        switch visibility {
        case .everyone: return true
        case .contacts: return isContact == true
        case .nobody, .UNRECOGNIZED, nil: return false
        }
    }

    /// Whether chat nodes are told of it at all, which know of each viewer whether to pass it on.
    package static func showsSomeone(_ visibility: UsersVisibility?) -> Bool {
        switch visibility {
        case .everyone, .contacts: true
        case .nobody, .UNRECOGNIZED, nil: false
        }
    }
}

extension Presence {
    /// What goes to a chat node.
    package func message(isShown: Bool, now: Int64) -> LastSeenPresence {
        var message = LastSeenPresence()
        message.user = user.rawValue
        guard isShown else {
            message.hidden = true
            return message
        }
        message.online = online
        // Who is online is seen right now.
        message.lastSeenMs = online ? now : lastSeen
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

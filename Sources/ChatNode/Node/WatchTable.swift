package import ChatModel

/// Which connections watch whose presence.
package struct WatchTable: Sendable {
    /// By user, the connections' handles, and whether the user hides from that connection's user.
    private var watchers: [UserID: [UInt32: Bool]] = [:]

    package init() {}

    package var isEmpty: Bool { watchers.isEmpty }

    /// Hidden until the first answer says otherwise.
    package mutating func watch(_ user: UserID, by handle: UInt32) {
        if watchers[user]?[handle] == nil { watchers[user, default: [:]][handle] = true }
    }

    package mutating func unwatch(_ user: UserID, by handle: UInt32) {
        watchers[user]?[handle] = nil
        if watchers[user]?.isEmpty == true { watchers[user] = nil }
    }

    /// What the service answered that viewer: false where the connection no longer watches that user.
    package mutating func answered(_ user: UserID, by handle: UInt32, isHidden: Bool) -> Bool {
        guard watchers[user]?[handle] != nil else { return false }
        watchers[user]?[handle] = isHidden
        return true
    }

    /// Who is told of a change.
    package func watchers(of user: UserID) -> [UInt32] {
        watchers[user].map { $0.compactMap { $0.value ? nil : $0.key } } ?? []
    }
}

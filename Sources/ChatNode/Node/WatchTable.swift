package import ChatModel

/// Which connections watch whose presence.
package struct WatchTable: Sendable {
    private struct Watch {
        /// Whose connection it is.
        var viewer: UserID
        /// Whether the user hides from the viewer.
        var isHidden = true
    }

    /// By user, the connections' handles.
    private var watches: [UserID: [UInt32: Watch]] = [:]

    package init() {}

    package var isEmpty: Bool { watches.isEmpty }

    /// Hidden until the first answer says otherwise.
    package mutating func watch(_ user: UserID, by handle: UInt32, viewer: UserID) {
        if watches[user]?[handle] == nil { watches[user, default: [:]][handle] = Watch(viewer: viewer) }
    }

    package mutating func unwatch(_ user: UserID, by handle: UInt32) {
        watches[user]?[handle] = nil
        if watches[user]?.isEmpty == true { watches[user] = nil }
    }

    /// What the service answered that viewer: false where the connection no longer watches that user.
    package mutating func answered(_ user: UserID, by handle: UInt32, isHidden: Bool) -> Bool {
        guard watches[user]?[handle] != nil else { return false }
        watches[user]?[handle]?.isHidden = isHidden
        return true
    }

    /// Who is told of a change.
    package func watchers(of user: UserID) -> [UInt32] {
        watches[user].map { $0.compactMap { $0.value.isHidden ? nil : $0.key } } ?? []
    }

    /// Everyone who watches, hidden from or not.
    package func viewers(of user: UserID) -> [(handle: UInt32, viewer: UserID)] {
        watches[user].map { $0.map { ($0.key, $0.value.viewer) } } ?? []
    }
}

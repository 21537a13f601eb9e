/// The members of conversations, remembered by the version of the membership. A value: two generations, the older of which
/// is dropped when the younger is full, so that what is in use stays and nothing is ever walked.
package struct MembershipCache: Sendable {
    package struct Members: Sendable, Equatable {
        package var version: Int64
        /// `RelayConversationKind`'s raw value.
        package var kind: Int16
        package var users: [UInt64]

        package init(version: Int64, kind: Int16, users: [UInt64]) {
            self.version = version
            self.kind = kind
            self.users = users
        }
    }

    private let limit: Int
    private var cost = 0
    private var young: [UInt64: Members] = [:]
    private var old: [UInt64: Members] = [:]

    /// `limit`: members remembered in one generation, all conversations together.
    package init(limit: Int) { self.limit = limit }

    /// The members of a conversation as of `version` (or later); nil: they have to be read.
    package mutating func members(of conversation: UInt64, version: Int64) -> Members? {
        if let members = young[conversation] { return members.version >= version ? members : nil }
        guard let members = old[conversation], members.version >= version else { return nil }
        insert(conversation, members)
        return members
    }

    package mutating func insert(_ conversation: UInt64, _ members: Members) {
        if let known = young[conversation] {
            guard known.version <= members.version else { return }
            cost -= known.users.count + 1
        }
        young[conversation] = members
        cost += members.users.count + 1
        guard cost > limit else { return }
        old = young
        young = [:]
        cost = 0
    }
}

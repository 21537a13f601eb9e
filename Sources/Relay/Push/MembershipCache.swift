package import Protocol

/// The members of conversations, remembered by the version of the membership. A value: two generations, the older of which
/// is dropped when the younger is full, so that what is in use stays and nothing is ever walked.
package struct MembershipCache: Sendable {
    /// Someone in a conversation, or who was: gets the events after `after` and up to `until`.
    package struct Member: Sendable, Equatable {
        package var user: UInt64
        package var after: UInt64
        /// The largest number: still in.
        package var until: UInt64

        package init(user: UInt64, after: UInt64 = 0, until: UInt64 = .max) {
            self.user = user
            self.after = after
            self.until = until
        }
    }

    package struct Members: Sendable, Equatable {
        package var version: Int64
        /// `RelayConversationKind`'s raw value.
        package var kind: Int16
        /// Also some who have left, lately.
        package var members: [Member]

        package init(version: Int64, kind: Int16, members: [Member]) {
            self.version = version
            self.kind = kind
            self.members = members
        }

        /// Who is in it now.
        package var present: some Sequence<UInt64> { members.lazy.filter { $0.until == .max }.map(\.user) }

        /// Does what a change of the group said: its events, in their order.
        package mutating func apply(_ events: [Protocol.LogEvent], version: Int64) {
            self.version = version
            guard let first = events.first?.seq else { return }
            members.removeAll { $0.until < first }
            var indices: [UInt64: Int]?
            // One is found by looking through all, many through a table.
            if events.count > 4 {
                indices = Dictionary(
                    members.indices.map { (members[$0].user, $0) }, uniquingKeysWith: { _, last in last })
            }
            for event in events {
                guard event.hasMember else {
                    if event.group.deleted {
                        for index in members.indices where members[index].until == .max {
                            members[index].until = event.seq
                        }
                    }
                    continue
                }
                let user = event.member.user
                let index = if let indices { indices[user] } else { members.firstIndex { $0.user == user } }
                switch event.member.change {
                case .joined:
                    // As the store has it: who is there when it is made sees all of it.
                    let member = Member(user: user, after: first == 1 ? 0 : event.seq - 1)
                    if let index {
                        members[index] = member
                    } else {
                        indices?[user] = members.count
                        members.append(member)
                    }
                case .left, .removed, .banned: if let index { members[index].until = event.seq }
                case .role, .unspecified, .UNRECOGNIZED: break
                }
            }
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
            cost -= known.members.count + 1
        }
        young[conversation] = members
        cost += members.members.count + 1
        guard cost > limit else { return }
        old = young
        young = [:]
        cost = 0
    }
}

/// A registered node: its record and the epoch of its registration.
package struct Member: Sendable, Equatable {
    /// What the node says of itself.
    package var record: NodeRecord
    /// The czxid of its znode: each registration has a greater one than those before it, also of other nodes. What
    /// was learnt under another epoch than the present one is void.
    package var epoch: Int64
    /// The version of the znode's data: grows with each report of the same registration.
    package var revision: Int32

    package init(record: NodeRecord, epoch: Int64, revision: Int32 = 0) {
        self.record = record
        self.epoch = epoch
        self.revision = revision
    }

    /// The node's name.
    package var id: String { self.record.id }
}

/// All registered nodes as of one moment.
package struct MembershipSnapshot: Sendable, Equatable {
    /// The members of each role, in the order of their ids.
    package var membersByRole: [String: [Member]]
    /// Grows with each change.
    package var version: UInt64
    /// ZooKeeper can't be reached, or was lost and not all are back: this is the last known membership.
    package var stale: Bool

    package init(membersByRole: [String: [Member]] = [:], version: UInt64 = 0, stale: Bool = true) {
        self.membersByRole = membersByRole.mapValues { $0.sorted { $0.id < $1.id } }
        self.version = version
        self.stale = stale
    }

    /// The members of a role, in the order of their ids; none if no such role is registered.
    package func members(of role: String) -> [Member] {
        self.membersByRole[role] ?? []
    }

    /// The members of a role that take new clients.
    package func serving(_ role: String) -> [Member] {
        self.members(of: role).filter { $0.record.state == .serving }
    }

    /// One member.
    package func member(of role: String, id: String) -> Member? {
        self.members(of: role).first { $0.id == id }
    }
}

/// What happened to one node between two snapshots of the same role.
package enum MembershipChange: Sendable, Equatable {
    /// It is new, or registered anew (another epoch).
    case joined(Member)
    /// Its record changed.
    case updated(Member)
    /// Its registration is gone.
    case left(Member)

    /// The changes that make `new` of `old`: first who left, then who joined or changed. A node that registered anew
    /// both left and joined.
    package static func between(_ old: [Member], _ new: [Member]) -> [MembershipChange] {
        let before = Dictionary(old.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let after = Dictionary(new.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var changes = old.filter { after[$0.id]?.epoch != $0.epoch }.map(MembershipChange.left)
        for member in new {
            if let previous = before[member.id], previous.epoch == member.epoch {
                if previous.record != member.record { changes.append(.updated(member)) }
            } else {
                changes.append(.joined(member))
            }
        }
        return changes
    }
}

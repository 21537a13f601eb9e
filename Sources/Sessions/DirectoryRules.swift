import ChatModel
package import Cluster
import Roster

/// What of the directory counts.
package enum DirectoryRules {
    /// Whether something that was reported under an epoch is of the node's present registration, as far as ZooKeeper's
    /// word is known. A node that ZooKeeper doesn't know, or that reported before it had registered, counts as
    /// long as its lease does: losing ZooKeeper changes nothing.
    package static func isCurrent(node: String, epoch: Int64, membership: MembershipSnapshot) -> Bool {
        guard epoch != 0, let member = membership.member(of: chatRole, id: node) else { return true }
        return member.epoch <= epoch
    }

    package static let chatRole = "chat"

    /// Where a list goes on: behind a handle of a node.
    package struct Position: Hashable, Sendable {
        package var node: String
        package var handle: UInt32

        package init(node: String, handle: UInt32) {
            self.node = node
            self.handle = handle
        }

        package init?(cursor: String) {
            guard let dot = cursor.lastIndex(of: "."), let handle = UInt32(cursor[cursor.index(after: dot)...]),
                dot > cursor.startIndex
            else { return nil }
            self.init(node: String(cursor[..<dot]), handle: handle)
        }

        package var cursor: String { "\(node).\(handle)" }
    }
}

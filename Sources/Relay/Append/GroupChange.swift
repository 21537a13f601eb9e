import ChatModel
package import Protocol
package import RPC
import SwiftProtobuf

/// A change of a group, as the log's columns have it.
package struct GroupChange: Sendable {
    package let request: RelayChangeGroupRequest
    /// A serialized `LogGroup`; nil: unchanged.
    package let info: [UInt8]?
    package let users: [Int64]
    package let changes: [Int16]
    package let roles: [Int16]
    /// Serialized `LogMember`s.
    package let bodies: [[UInt8]]

    /// Throws `invalid` for what no log may hold. The rules of groups are the caller's.
    package init(_ given: RelayChangeGroupRequest) throws(RPCError) {
        var request = given
        guard request.conversation.isIdentifier, request.sender.isIdentifier else {
            throw RPCError(.invalid, "A change of a group needs a conversation and a sender.")
        }
        guard !request.changeID.isEmpty, request.changeID.utf8.count <= Limits.clientIDBytes,
            !request.changeID.utf8.contains(0)
        else {
            throw RPCError(.invalid, "A change of a group needs a change_id of 1 to 64 bytes.")
        }
        guard !request.group.deleted || request.members.isEmpty else {
            throw RPCError(.invalid, "A group that is deleted has no members to change.")
        }
        var seen: Set<UInt64> = []
        for index in request.members.indices {
            let member = request.members[index]
            guard member.user.isIdentifier, seen.insert(member.user).inserted else {
                throw RPCError(.invalid, "Each user can be changed once.")
            }
            switch member.change {
            case .joined, .role:
                if member.role == .unspecified { request.members[index].role = .member }
                if case .UNRECOGNIZED = member.role { throw RPCError(.invalid, "There is no such role.") }
            case .left, .removed, .banned: request.members[index].role = .unspecified
            case .unspecified, .UNRECOGNIZED: throw RPCError(.invalid, "There is no such change of a member.")
            }
        }
        self.request = request
        info = request.hasGroup ? try? request.group.serializedBytes() : nil
        users = request.members.map(\.user.column)
        changes = request.members.map { Int16(truncatingIfNeeded: $0.change.rawValue) }
        roles = request.members.map { Int16(truncatingIfNeeded: $0.role.rawValue) }
        bodies = request.members.map { (try? $0.serializedBytes()) ?? [] }
    }

    /// The event that a position of `LogStatements.changeGroup` stands for: 0 is the group, from 1 the members.
    func event(at position: Int, seq: UInt64, sentAt: Int64) -> Protocol.LogEvent? {
        var event = Protocol.LogEvent()
        event.conversation = request.conversation
        event.seq = seq
        event.sender = request.sender
        event.sentAtMs = sentAt
        if position == 0 {
            event.kind = .group
            event.group = request.group
        } else {
            guard request.members.indices.contains(position - 1) else { return nil }
            event.kind = .member
            event.member = request.members[position - 1]
        }
        return event
    }
}

/// What became of a `GroupChange`.
package struct GroupChangeOutcome: Sendable {
    package var verdict: AppendOutcome.Verdict
    /// Of its last event.
    package var seq: UInt64
    /// Of its first event, where it was stored before.
    package var first: UInt64
    /// In the order of the log.
    package var events: [CommittedEvent]
}

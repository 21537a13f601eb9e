import Cluster
import NIOConcurrencyHelpers
import ServiceKit

/// Who serves what, and who is next: the membership with the counts of what was handed out from it.
final class NodeDirectory: Sendable {
    struct Choice: Sendable {
        var member: Member
        var snapshot: MembershipSnapshot
    }

    private struct State {
        var picker: LeastLoadedPicker
        /// The version that the picker has seen.
        var version: UInt64?
        /// Whose turn it is, by role.
        var turns: [String: Int] = [:]

        mutating func follow(_ snapshot: MembershipSnapshot) {
            // Another caller may have been here with a newer one.
            if let version, snapshot.version <= version { return }
            version = snapshot.version
            picker.update(snapshot.members(of: loadedRole))
        }
    }

    /// The role whose nodes carry clients and are picked by their load.
    static let loadedRole = "chat"

    private let membership: MembershipView
    private let state: NIOLockedValueBox<State>

    init(membership: MembershipView, seed: UInt64 = UInt64.random(in: .min ... .max)) {
        self.membership = membership
        state = NIOLockedValueBox(State(picker: LeastLoadedPicker(seed: seed)))
    }

    var snapshot: MembershipSnapshot { membership.current }

    var changes: AsyncStream<MembershipSnapshot> { membership.changes }

    /// The least-loaded serving chat node, which counts as handed out.
    ///
    /// - Parameter excluded: Ids or addresses.
    func pick(excluding excluded: Set<String> = []) -> Choice? {
        let snapshot = membership.current
        let ids = Self.ids(excluded, among: snapshot.members(of: Self.loadedRole))
        return state.withLockedValue { state in
            state.follow(snapshot)
            return state.picker.pick(excluding: ids).map { Choice(member: $0, snapshot: snapshot) }
        }
    }

    /// Where a request for a role goes.
    ///
    /// - Parameters:
    ///   - node: The node that it should go to, if that still serves.
    ///   - excluded: Ids or addresses that were tried in vain.
    func route(role: String, node: String?, excluding excluded: Set<String>) -> Member? {
        let snapshot = membership.current
        if let node, let member = snapshot.member(of: role, id: node), member.record.state == .serving,
            !excluded.contains(member.id), !excluded.contains(member.record.http)
        {
            return member
        }
        if role == Self.loadedRole { return pick(excluding: excluded)?.member }
        let members = snapshot.serving(role).filter { member in
            !member.record.http.isEmpty && !excluded.contains(member.id) && !excluded.contains(member.record.http)
        }
        guard !members.isEmpty else { return nil }
        let turn = state.withLockedValue { state in
            state.turns[role, default: 0] &+= 1
            return state.turns[role, default: 0]
        }
        return members[Int(UInt(bitPattern: turn) % UInt(members.count))]
    }

    private static func ids(_ excluded: Set<String>, among members: [Member]) -> Set<String> {
        guard !excluded.isEmpty else { return [] }
        return Set(members.filter { excluded.contains($0.id) || excluded.contains($0.record.http) }.map(\.id))
    }
}

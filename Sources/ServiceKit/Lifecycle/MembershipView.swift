package import Cluster
package import Logging
package import ZooKeeper

/// Who is registered under every role, as ZooKeeper has it or last had it.
///
/// While ZooKeeper can't be reached the last known membership stays, marked `stale`.
package final class MembershipView: Sendable {
    private let roles: [String]
    private let state: Broadcast<State>
    private let logger: Logger

    private struct State: Sendable {
        var membersByRole: [String: [Member]] = [:]
        /// Roles whose members are not known to be current.
        var stale: Set<String>
        /// Roles that were current at least once.
        var read: Set<String> = []
        /// Made once a change, as it is read with every request.
        private(set) var snapshot = MembershipSnapshot()

        mutating func changed() {
            snapshot = MembershipSnapshot(
                membersByRole: membersByRole, version: snapshot.version + 1, stale: !stale.isEmpty)
        }
    }

    package init(roles: [String] = RoleNames.all, logger: Logger) {
        self.roles = roles
        self.logger = logger
        state = Broadcast(State(stale: Set(roles)))
    }

    package var current: MembershipSnapshot { state.value.snapshot }

    /// Whether all roles have been read at least once, so that who isn't there isn't registered.
    package var hasBeenRead: Bool { state.value.read.count == roles.count }

    /// The present membership and then the newest after each change.
    package var changes: AsyncStream<MembershipSnapshot> {
        state.follow { $0.snapshot }
    }

    /// The first snapshot that satisfies `condition`.
    ///
    /// - Throws: `CancellationError`.
    package func first(where condition: @Sendable (MembershipSnapshot) -> Bool) async throws -> MembershipSnapshot {
        try await state.first { state in
            let snapshot = state.snapshot
            return condition(snapshot) ? snapshot : nil
        }
    }

    /// Replaces what is known: for processes without ZooKeeper, and tests.
    package func set(_ membersByRole: [String: [Member]], stale: Bool = false) {
        state.update { state in
            state.membersByRole = membersByRole
            state.stale = stale ? Set(roles) : []
            state.read = Set(roles)
            state.changed()
        }
    }

    /// Follows ZooKeeper until cancelled or the client is closed.
    package func run(_ client: ZooKeeperClient) async throws {
        try await withThrowingTaskGroup { group in
            for role in roles {
                let view = GroupView(client: client, path: RoleNames.path(role), logger: logger)
                group.addTask { try await view.run() }
                group.addTask {
                    for await snapshot in view.changes { self.take(snapshot, role: role) }
                }
            }
            try await group.waitForAll()
        }
    }

    func take(_ snapshot: GroupSnapshot, role: String) {
        let members = snapshot.members.compactMap { member(of: $0, role: role) }
        state.update { state in
            let wasStale = !state.stale.isEmpty
            if snapshot.stale {
                state.stale.insert(role)
                // Before the first answer there is nothing to know.
                if !state.read.contains(role), members.isEmpty { return }
            } else {
                state.stale.remove(role)
                state.read.insert(role)
            }
            guard state.membersByRole[role] ?? [] != members || wasStale != !state.stale.isEmpty else { return }
            state.membersByRole[role] = members
            state.changed()
        }
    }

    private func member(of group: GroupMember, role: String) -> Member? {
        do {
            let record = try NodeRecord(json: group.data)
            guard record.id == group.name, record.role == role else {
                logger.warning(
                    "A node's record has another name than its place in ZooKeeper; ignored",
                    metadata: [LogKey.role: "\(role)", LogKey.node: "\(group.name)"])
                return nil
            }
            return Member(record: record, epoch: group.czxid, revision: group.version)
        } catch {
            logger.warning(
                "A node's record can't be read; ignored",
                metadata: [LogKey.role: "\(role)", LogKey.node: "\(group.name)", LogKey.error: "\(error)"])
            return nil
        }
    }
}

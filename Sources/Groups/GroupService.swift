package import ChatModel
import Protocol
import Postgres
import ServiceKit

/// What the calls about groups do. A change is answered when the log has it. Errors are `Problem`s, or the store's and the
/// users service's own, which REST translates.
package struct GroupService: Sendable {
    package var store: GroupStore
    package var outbox: ChangeOutbox
    package var people: GroupPeople
    /// Members that a group can have.
    package var limit: Int
    /// Unix milliseconds.
    package var now: @Sendable () -> Int64

    package init(
        store: GroupStore, outbox: ChangeOutbox, people: GroupPeople, limit: Int = Limits.groupMembers,
        now: @escaping @Sendable () -> Int64
    ) {
        self.store = store
        self.outbox = outbox
        self.people = people
        self.limit = limit
        self.now = now
    }

    // MARK: The group

    package func create(_ new: NewGroup, by creator: UserID) async throws -> Group {
        try await people.check(new.members, addedBy: creator) { "members.\(new.positions[$0])" }
        let now = now()
        let members =
            [GroupMember(user: creator, role: .owner, joinedAt: now)]
            + new.members.map { GroupMember(user: $0, role: .member, joinedAt: now) }
        // An id is drawn from 2^62: two attempts are one more than anyone will need.
        for _ in 0..<3 {
            let group = Group(
                id: .randomGroup(), profile: new.profile, memberCount: members.count, createdAt: now, changes: 1)
            var request = RelayChangeGroupRequest()
            request.conversation = group.id.rawValue
            request.sender = creator.rawValue
            request.changeID = ChangeID.random()
            request.create = true
            request.group = group.profile.wire
            request.members = members.map { LogMember($0.user, .joined, $0.role) }
            do {
                try await store.create(group, members: members, request: request, now: now)
            } catch let error as PostgresError where error.sqlState == .uniqueViolation {
                continue
            }
            // The group exists, whether or not the log has it yet: a refusal would have its maker make another.
            try? await outbox.settle(group.id, through: group.changes)
            return group
        }
        throw Problem(code: .internal, detail: "No id could be found.")
    }

    /// A group as a user sees it.
    package func group(_ id: ConversationID, for user: UserID) async throws -> (group: Group, role: GroupRole?) {
        let situation = try await situation(id, user)
        try situation.require(.see(isPublic: situation.group.profile.isPublic))
        return (situation.group, situation.actorRole)
    }

    package func update(
        _ id: ConversationID, _ changes: ProfileChanges, by user: UserID
    ) async throws -> GroupStore.Outcome {
        try await change(id, by: user) { try $0.describe(as: changes.applied(to: $0.group.profile)) }
    }

    package func delete(_ id: ConversationID, by user: UserID) async throws {
        _ = try await change(id, by: user) { try $0.delete() }
    }

    // MARK: Members

    /// Returns when the user may do that.
    package func require(_ action: GroupAction, in id: ConversationID, of user: UserID) async throws {
        try await situation(id, user).require(action)
    }

    package func join(_ id: ConversationID, _ user: UserID) async throws -> GroupStore.Outcome {
        try await change(id, by: user) { try $0.join() }
    }

    /// Gives a member another role, or adds a user with it. Answers whether the user was added.
    package func setRole(
        of user: UserID, in id: ConversationID, to role: GroupRole, by actor: UserID
    ) async throws -> Bool {
        let present = try await situation(id, actor, target: user)
        let isAdding = present.targetRole == nil
        if isAdding {
            // Who may not add anyone learns nothing of users.
            _ = try present.setRole(role)
            try await people.check([user], addedBy: actor) { _ in nil }
        }
        let outcome = try await change(id, by: actor, to: user) { situation in
            guard isAdding || situation.targetRole != nil else {
                throw Problem.conflict("The member has left the group just now.")
            }
            return try situation.setRole(role)
        }
        return outcome.effects.contains(.added(user, role))
    }

    /// Removes a member, or leaves.
    package func remove(_ user: UserID, from id: ConversationID, by actor: UserID) async throws {
        _ = try await change(id, by: actor, to: user) { try $0.remove() }
    }

    package func ban(_ user: UserID, from id: ConversationID, by actor: UserID) async throws {
        let present = try await situation(id, actor, target: user)
        if present.targetRole == nil, !present.isTargetBanned {
            _ = try present.ban()
            let known = try await people.profiles([user])
            guard known[user] != nil else { throw Problem.notFound("There is no such user.") }
        }
        _ = try await change(id, by: actor, to: user) { try $0.ban() }
    }

    package func unban(_ user: UserID, from id: ConversationID, by actor: UserID) async throws {
        _ = try await change(id, by: actor, to: user) { try $0.unban() }
    }

    // MARK: Invites

    package func invite(to id: ConversationID, _ new: NewInvite, by user: UserID) async throws -> Invite {
        let now = now()
        let invite = Invite(
            code: Base64URL.encode(ChangeID.randomBytes(16)), group: id, by: user, createdAt: now,
            expiresAt: new.lifetime.map { now + $0 * 1000 }, maxUses: new.maxUses, uses: 0)
        _ = try await change(id, by: user) { try $0.invite(invite) }
        return invite
    }

    package func revoke(_ code: String, of id: ConversationID, by user: UserID) async throws {
        _ = try await change(id, by: user, invite: code) { situation, invite in try situation.revoke(invite) }
    }

    /// What an invite leads to.
    package func invite(
        _ code: String, for user: UserID
    ) async throws -> (invite: Invite, group: Group, role: GroupRole?) {
        guard Self.isCode(code), let found = try await store.invite(code, for: user),
            found.invite.isGood(now: now()) || found.role != nil
        else { throw GroupSituation.noInvite }
        return found
    }

    package func redeem(_ code: String, by user: UserID) async throws -> GroupStore.Outcome {
        let found = try await invite(code, for: user)
        return try await change(found.group.id, by: user, invite: code) { situation, invite in
            guard let invite else { throw GroupSituation.noInvite }
            return try situation.redeem(invite, now: now())
        }
    }

    /// Anything else isn't looked for.
    private static func isCode(_ text: String) -> Bool { text.utf8.count <= 64 && Base64URL.decode(text) != nil }

    // MARK: Changing

    private func situation(
        _ id: ConversationID, _ actor: UserID, target: UserID? = nil
    ) async throws -> GroupSituation {
        guard let found = try await store.situation(id, actor: actor, target: target, limit: limit, now: now()) else {
            throw GroupSituation.noGroup
        }
        return found
    }

    private func change(
        _ id: ConversationID, by actor: UserID, to target: UserID? = nil,
        _ decide: (GroupSituation) throws -> [GroupEffect]
    ) async throws -> GroupStore.Outcome {
        try await change(id, by: actor, to: target, invite: nil) { situation, _ in try decide(situation) }
    }

    private func change(
        _ id: ConversationID, by actor: UserID, to target: UserID? = nil, invite: String?,
        _ decide: (GroupSituation, Invite?) throws -> [GroupEffect]
    ) async throws -> GroupStore.Outcome {
        let outcome = try await store.change(
            id, actor: actor, target: target, invite: invite, limit: limit, now: now(), decide)
        // Also where nothing was to be done: what is so already may be on its way.
        try await outbox.settle(id, through: outcome.group.changes)
        return outcome
    }
}

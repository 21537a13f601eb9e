package import ChatModel
package import Protocol
package import ServiceKit

/// What a change does to a group, to be written and told to the log.
package enum GroupEffect: Sendable, Equatable {
    case added(UserID, GroupRole)
    case roleChanged(UserID, GroupRole)
    case gone(UserID, Departure)
    case banned(UserID)
    case unbanned(UserID)
    case described(Group.Profile)
    case invited(Invite)
    case inviteUsed(String)
    case inviteRevoked(String)
    case deleted

    package enum Departure: Sendable, Equatable {
        case left, removed, banned
    }
}

/// All that matters for a decision about a group, read under its lock. Each method answers what must be done (nothing, where
/// it is so already), or why it may not be.
package struct GroupSituation: Sendable {
    package var group: Group
    package var actor: UserID
    package var actorRole: GroupRole?
    package var isActorBanned: Bool
    /// Whom it is about; the actor where nobody else is.
    package var target: UserID
    package var targetRole: GroupRole?
    package var isTargetBanned: Bool
    package var owners: Int
    /// Invites that are good.
    package var invites: Int
    /// Members that a group can have.
    package var limit: Int

    package init(
        group: Group, actor: UserID, actorRole: GroupRole?, isActorBanned: Bool, target: UserID,
        targetRole: GroupRole?, isTargetBanned: Bool, owners: Int, invites: Int, limit: Int
    ) {
        self.group = group
        self.actor = actor
        self.actorRole = actorRole
        self.isActorBanned = isActorBanned
        self.target = target
        self.targetRole = targetRole
        self.isTargetBanned = isTargetBanned
        self.owners = owners
        self.invites = invites
        self.limit = limit
    }

    private var isAboutOneself: Bool { actor == target }

    /// Returns when the actor may do that.
    ///
    /// - Throws: `not_found` where they may not even know of the group.
    package func require(_ action: GroupAction) throws(Problem) {
        guard GroupPermissions.allow(.see(isPublic: group.profile.isPublic), by: actorRole) else {
            throw Self.noGroup
        }
        guard GroupPermissions.allow(action, by: actorRole) else {
            throw .forbidden(
                actorRole == nil
                    ? "You are not a member of this group."
                    : "Your role in this group doesn't allow that.")
        }
    }

    package func describe(as profile: Group.Profile) throws(Problem) -> [GroupEffect] {
        try require(.describe)
        if profile.isPublic != group.profile.isPublic { try require(.changeVisibility) }
        return profile == group.profile ? [] : [.described(profile)]
    }

    /// The actor comes in by themself.
    package func join() throws(Problem) -> [GroupEffect] {
        try require(.join(isPublic: group.profile.isPublic))
        return try enter()
    }

    /// The actor comes in with an invite, wherever it leads.
    package func redeem(_ invite: Invite, now: Int64) throws(Problem) -> [GroupEffect] {
        if actorRole != nil { return [] }
        guard invite.isGood(now: now) else { throw Self.noInvite }
        return try enter() + [.inviteUsed(invite.code)]
    }

    private func enter() throws(Problem) -> [GroupEffect] {
        if actorRole != nil { return [] }
        guard !isActorBanned else { throw .forbidden("You are banned from this group.") }
        try requireRoom()
        return [.added(actor, .member)]
    }

    /// The target gets that role; who isn't in the group is added with it.
    package func setRole(_ role: GroupRole) throws(Problem) -> [GroupEffect] {
        guard let present = targetRole else {
            try require(.add(as: role))
            guard !isTargetBanned else { throw .conflict("This user is banned: lift the ban first.") }
            try requireRoom()
            return [.added(target, role)]
        }
        // Whoever may know of the group may say what is so already.
        try require(
            present == role ? .see(isPublic: false) : isAboutOneself && role < present ? .lowerOwnRole : .changeRole)
        if present == role { return [] }
        if present == .owner { try requireAnotherOwner() }
        return [.roleChanged(target, role)]
    }

    /// The target goes: removed by the actor, or leaving.
    package func remove() throws(Problem) -> [GroupEffect] {
        guard let role = targetRole else {
            try require(isAboutOneself ? .see(isPublic: group.profile.isPublic) : .remove(.member))
            return []
        }
        try require(isAboutOneself ? .leave : .remove(role))
        if role == .owner { try requireAnotherOwner() }
        return [.gone(target, isAboutOneself ? .left : .removed)]
    }

    package func ban() throws(Problem) -> [GroupEffect] {
        try require(.ban(targetRole))
        guard !isAboutOneself else { throw .forbidden("You can't ban yourself.") }
        var effects: [GroupEffect] = isTargetBanned ? [] : [.banned(target)]
        if targetRole != nil { effects.append(.gone(target, .banned)) }
        return effects
    }

    package func unban() throws(Problem) -> [GroupEffect] {
        try require(.unban)
        return isTargetBanned ? [.unbanned(target)] : []
    }

    package func invite(_ invite: Invite) throws(Problem) -> [GroupEffect] {
        try require(.invite)
        guard invites < Limits.groupInvites else {
            throw .conflict("The group has \(Limits.groupInvites) invites: revoke one first.")
        }
        return [.invited(invite)]
    }

    package func revoke(_ invite: Invite?) throws(Problem) -> [GroupEffect] {
        try require(.invite)
        return invite.map { [.inviteRevoked($0.code)] } ?? []
    }

    package func delete() throws(Problem) -> [GroupEffect] {
        try require(.delete)
        return [.deleted]
    }

    private func requireRoom() throws(Problem) {
        guard group.memberCount < limit else { throw .conflict("The group is full: it has \(limit) members.") }
    }

    private func requireAnotherOwner() throws(Problem) {
        guard owners > 1 else {
            throw .conflict("A group needs an owner: make somebody else one first, or delete the group.")
        }
    }

    package static var noGroup: Problem { .notFound("There is no such group.") }
    package static var noInvite: Problem { .notFound("There is no such invite, or it is no longer good.") }
}

extension GroupSituation {
    /// The group after the effects.
    package func group(after effects: [GroupEffect]) -> Group {
        var group = group
        for effect in effects {
            switch effect {
            case .added: group.memberCount += 1
            case .gone: group.memberCount -= 1
            case .described(let profile): group.profile = profile
            case .roleChanged, .banned, .unbanned, .invited, .inviteUsed, .inviteRevoked, .deleted: break
            }
        }
        if request(for: effects, changeID: "") != nil { group.changes += 1 }
        return group
    }

    /// What the actor is after the effects.
    package func actorRole(after effects: [GroupEffect]) -> GroupRole? {
        var role = actorRole
        for effect in effects {
            switch effect {
            case .added(actor, let new), .roleChanged(actor, let new): role = new
            case .gone(actor, _), .deleted: role = nil
            case .added, .roleChanged, .gone, .banned, .unbanned, .described, .invited, .inviteUsed, .inviteRevoked:
                break
            }
        }
        return role
    }

    /// What the log must be told of the effects; nil: nothing.
    ///
    /// - Parameter changeID: unique to the actor.
    package func request(for effects: [GroupEffect], changeID: String) -> RelayChangeGroupRequest? {
        var request = RelayChangeGroupRequest()
        request.conversation = group.id.rawValue
        request.sender = actor.rawValue
        request.changeID = changeID
        for effect in effects {
            switch effect {
            case .added(let user, let role): request.members.append(.init(user, .joined, role))
            case .roleChanged(let user, let role): request.members.append(.init(user, .role, role))
            case .gone(let user, .left): request.members.append(.init(user, .left))
            case .gone(let user, .removed): request.members.append(.init(user, .removed))
            case .gone(let user, .banned): request.members.append(.init(user, .banned))
            case .described(let profile): request.group = profile.wire
            case .deleted:
                request.group = group.profile.wire
                request.group.deleted = true
            case .banned, .unbanned, .invited, .inviteUsed, .inviteRevoked: break
            }
        }
        return request.hasGroup || !request.members.isEmpty ? request : nil
    }
}

extension LogMember {
    init(_ user: UserID, _ change: LogMemberChange, _ role: GroupRole? = nil) {
        self.init()
        self.user = user.rawValue
        self.change = change
        self.role = role?.wire ?? .unspecified
    }
}

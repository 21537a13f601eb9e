/// What can be done in a group. `README.md` has the table of who may do what.
package enum GroupAction: Hashable, Sendable {
    case see(isPublic: Bool)
    case join(isPublic: Bool)
    /// Name, description, picture.
    case describe
    case changeVisibility
    /// Somebody who isn't in it, as this.
    case add(as: GroupRole)
    case changeRole
    case lowerOwnRole
    case remove(GroupRole)
    /// nil: who isn't in it.
    case ban(GroupRole?)
    case unban
    case invite
    case leave
    case delete

    /// Every action, in the order of the table.
    package static var all: [GroupAction] {
        [.see(isPublic: true), .see(isPublic: false), .join(isPublic: true), .join(isPublic: false)]
            + [.describe, .changeVisibility] + GroupRole.allCases.map { .add(as: $0) } + [.changeRole, .lowerOwnRole]
            + GroupRole.allCases.map { .remove($0) } + [.ban(nil)] + GroupRole.allCases.map { .ban($0) }
            + [.unban, .invite, .leave, .delete]
    }
}

/// Who may do what in a group. A value that knows nothing else: that the last owner stays, that a banned user stays out
/// and that a group can be full are `GroupSituation`'s.
package enum GroupPermissions {
    /// - Parameter role: nil: not a member.
    package static func allow(_ action: GroupAction, by role: GroupRole?) -> Bool {
        switch action {
        case .see(let isPublic), .join(let isPublic): role != nil || isPublic
        case .lowerOwnRole, .leave: role != nil
        case .describe, .unban, .invite, .add(as: .member), .remove(.member), .ban(nil), .ban(.member):
            (role ?? .member) >= .admin
        case .changeVisibility, .add(as: .admin), .add(as: .owner), .changeRole, .remove(.admin), .remove(.owner),
            .ban(.admin), .ban(.owner), .delete:
            role == .owner
        }
    }
}

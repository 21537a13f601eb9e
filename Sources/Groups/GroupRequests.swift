package import ChatModel
package import ServiceKit

// What clients send, checked. Each `init` throws `invalid` with everything that is wrong.

/// What a group's fields may hold.
enum GroupRules {
    static func name(_ text: String) throws(TextRules.Refusal) -> String {
        try TextRules.line(text, Limits.groupNameCharacters)
    }

    static func about(_ text: String) throws(TextRules.Refusal) -> String {
        try TextRules.lines(text, Limits.groupAboutCharacters)
    }

    /// Whether it is public.
    static func visibility(_ text: String) throws(TextRules.Refusal) -> Bool {
        switch text {
        case "public": return true
        case "private": return false
        case _: throw TextRules.Refusal("must be private or public")
        }
    }

    static func role(_ text: String) throws(TextRules.Refusal) -> GroupRole {
        guard let role = GroupRole(name: text) else { throw TextRules.Refusal("must be owner, admin or member") }
        return role
    }
}

package struct NewGroup: Sendable {
    package var profile: Group.Profile
    /// Without who makes it, each once, in the order given.
    package var members: [UserID]
    /// Where each stood in the list.
    package var positions: [Int]

    /// - Parameter limit: members that a group can have, with who makes it.
    package init(_ body: RequestFields, creator: UserID, limit: Int) throws(Problem) {
        var fields = body
        let name = fields.required("name", GroupRules.name)
        let about = fields.optional("about", GroupRules.about)
        let avatar = fields.optional("avatar", TextRules.picture)
        let isPublic = fields.required("visibility", GroupRules.visibility)
        var (members, positions): ([UserID], [Int]) = ([], [])
        var seen: Set<UserID> = [creator]
        for (index, text) in fields.texts("members").enumerated() {
            guard let user = UserID(text) else {
                if fields.errors.count < 20 { fields.refuse("members.\(index)", "is no user id") }
                continue
            }
            guard seen.insert(user).inserted else { continue }
            members.append(user)
            positions.append(index)
        }
        if members.count >= limit { fields.refuse("members", "a group has \(limit) members at most") }
        try fields.finish()
        profile = Group.Profile(
            name: name ?? "", about: about ?? "", avatar: avatar ?? nil, isPublic: isPublic ?? false)
        self.members = members
        self.positions = positions
    }
}

/// What a change of a group's profile says: nil leaves a field as it is.
package struct ProfileChanges: Sendable {
    package var name: String?
    package var about: String?
    /// The inner nil removes it.
    package var avatar: String??
    package var isPublic: Bool?

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        name = fields.optional("name", GroupRules.name)
        about = fields.isNull("about") ? "" : fields.optional("about", GroupRules.about)
        avatar = fields.isNull("avatar") ? .some(nil) : fields.optional("avatar", TextRules.picture)
        isPublic = fields.optional("visibility", GroupRules.visibility)
        for field in ["name", "visibility"] where fields.isNull(field) { fields.refuse(field, "must not be null") }
        try fields.finish()
    }

    package func applied(to profile: Group.Profile) -> Group.Profile {
        Group.Profile(
            name: name ?? profile.name, about: about ?? profile.about, avatar: avatar ?? profile.avatar,
            isPublic: isPublic ?? profile.isPublic)
    }
}

package struct RoleChange: Sendable {
    package var role: GroupRole

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        let role = fields.required("role", GroupRules.role)
        try fields.finish()
        self.role = role ?? .member
    }
}

package struct NewInvite: Sendable {
    /// Seconds; nil: for ever.
    package var lifetime: Int64?
    /// nil: any number.
    package var maxUses: Int64?

    /// A week: long enough for a link in a mail, short enough for one that is forgotten.
    private static let lifetime: Int64 = 7 * 24 * 3600

    package init(_ body: RequestFields) throws(Problem) {
        var fields = body
        let given = fields.number("expires_in_s", in: Limits.inviteSeconds)
        lifetime = fields.isNull("expires_in_s") ? nil : given ?? Self.lifetime
        maxUses = fields.number("max_uses", in: Limits.inviteUses)
        try fields.finish()
    }
}

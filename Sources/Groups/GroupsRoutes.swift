import ChatModel
import HTTPTypes
package import Hummingbird
package import ServiceKit

/// The REST interface: `/group-service/v1`.
package struct GroupsRoutes: Sendable {
    private let service: GroupService
    /// The gateway, as clients reach it.
    private let publicURL: String
    private let limiter: RequestLimiter

    package init(service: GroupService, publicURL: String, limiter: RequestLimiter) {
        self.service = service
        self.limiter = limiter
        self.publicURL = publicURL
    }

    package func add(to router: Router<RoostRequestContext>) {
        let root = router.group("group-service/v1")
        root.post("groups", use: create)
        root.get("groups", use: list)
        root.get("groups/{group}", use: group)
        root.patch("groups/{group}", use: update)
        root.delete("groups/{group}", use: delete)
        root.post("groups/{group}/join", use: join)
        root.get("groups/{group}/members", use: members)
        root.put("groups/{group}/members/{user}", use: setRole)
        root.delete("groups/{group}/members/{user}", use: remove)
        root.get("groups/{group}/bans", use: bans)
        root.put("groups/{group}/bans/{user}", use: ban)
        root.delete("groups/{group}/bans/{user}", use: unban)
        root.post("groups/{group}/invites", use: makeInvite)
        root.get("groups/{group}/invites", use: invites)
        root.delete("groups/{group}/invites/{invite}", use: revokeInvite)
        root.get("invites/{invite}", use: invite)
        root.post("invites/{invite}", use: redeem)
    }

    /// Opens the page with the invite. The code is in the fragment, which browsers send to nobody.
    private func url(_ code: String) -> String { "\(publicURL)/#/invite/\(code)" }

    // MARK: The group

    @Sendable private func create(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let new = try NewGroup(
            try await request.decodeJSON(RequestFields.self, context), creator: user, limit: service.limit)
        try await limiter.check([.init(.group, "\(user)")], "Too many groups: wait before the next.")
        let group = try await service.create(new, by: user)
        return try .json(GroupJSON(group, role: .owner), status: .created)
    }

    /// One's own, or public ones by `query`.
    @Sendable private func list(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let page = try Page(request)
        let found: ListPage<GroupStore.Listed>
        if let text = request.uri.queryParameters["query"] {
            let query: String
            do {
                query = try TextRules.query(String(text))
            } catch {
                throw Problem.field("query", error.message)
            }
            found = try await service.store.search(query, for: user, page)
        } else {
            found = try await service.store.groups(of: user, page)
        }
        return try .json(
            PageResponse(items: found.items.map { GroupJSON($0.group, role: $0.role) }, next: found.next))
    }

    @Sendable private func group(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let (group, role) = try await service.group(try context.group, for: user)
        return try .json(GroupJSON(group, role: role))
    }

    @Sendable private func update(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let changes = try ProfileChanges(try await request.decodeJSON(RequestFields.self, context))
        return try answer(try await service.update(try context.group, changes, by: user))
    }

    @Sendable private func delete(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        try await service.delete(try context.group, by: user)
        return .noContent
    }

    private func answer(_ outcome: GroupStore.Outcome) throws -> Response {
        try .json(GroupJSON(outcome.group, role: outcome.role))
    }

    // MARK: Members

    @Sendable private func join(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        return try answer(try await service.join(try context.group, user))
    }

    @Sendable private func members(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let page = try Page(request)
        let group = try context.group
        try await service.require(.see(isPublic: false), in: group, of: user)
        let found = try await service.store.members(of: group, page)
        let profiles = try await service.people.profiles(found.items.map(\.user))
        return try .json(
            PageResponse(items: found.items.map { MemberJSON($0, profiles[$0.user]) }, next: found.next))
    }

    @Sendable private func setRole(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let actor = try context.requireUser().user
        let group = try context.group
        let user = try context.user
        let role = try RoleChange(try await request.decodeJSON(RequestFields.self, context)).role
        let isNew = try await service.setRole(of: user, in: group, to: role, by: actor)
        guard let member = try await service.store.member(user, of: group) else {
            throw Problem.notFound("They have left the group again.")
        }
        let profile = try await service.people.profiles([user])[user]
        return try .json(MemberJSON(member, profile), status: isNew ? .created : .ok)
    }

    @Sendable private func remove(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let actor = try context.requireUser().user
        try await service.remove(try context.user, from: try context.group, by: actor)
        return .noContent
    }

    // MARK: Bans

    @Sendable private func bans(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let page = try Page(request)
        let group = try context.group
        try await service.require(.unban, in: group, of: user)
        let found = try await service.store.bans(of: group, page)
        let profiles = try await service.people.profiles(found.items.map(\.user))
        return try .json(PageResponse(items: found.items.map { BanJSON($0, profiles[$0.user]) }, next: found.next))
    }

    @Sendable private func ban(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let actor = try context.requireUser().user
        try await service.ban(try context.user, from: try context.group, by: actor)
        return .noContent
    }

    @Sendable private func unban(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let actor = try context.requireUser().user
        try await service.unban(try context.user, from: try context.group, by: actor)
        return .noContent
    }

    // MARK: Invites

    @Sendable private func makeInvite(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let group = try context.group
        let fields = try await request.decodeJSONIfPresent(RequestFields.self, context)
        let new = try NewInvite(fields ?? RequestFields())
        let invite = try await service.invite(to: group, new, by: user)
        return try .json(InviteJSON(invite, url: url(invite.code)), status: .created)
    }

    @Sendable private func invites(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let page = try Page(request)
        let group = try context.group
        try await service.require(.invite, in: group, of: user)
        let found = try await service.store.invites(of: group, now: service.now(), page)
        return try .json(
            PageResponse(items: found.items.map { InviteJSON($0, url: url($0.code)) }, next: found.next))
    }

    @Sendable private func revokeInvite(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        try await service.revoke(context.code, of: try context.group, by: user)
        return .noContent
    }

    @Sendable private func invite(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        let (invite, group, role) = try await service.invite(context.code, for: user)
        return try .json(InvitationJSON(invite, url: url(invite.code), group: GroupJSON(group, role: role)))
    }

    @Sendable private func redeem(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let user = try context.requireUser().user
        return try answer(try await service.redeem(context.code, by: user))
    }
}

extension RoostRequestContext {
    /// The group that the path names.
    fileprivate var group: ConversationID {
        get throws(Problem) { try identifier("group") }
    }

    /// The user that the path names.
    fileprivate var user: UserID {
        get throws(Problem) { try identifier("user") }
    }

    /// The invite that the path names, unchecked.
    fileprivate var code: String { parameters.get("invite") ?? "" }
}

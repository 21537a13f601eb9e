import ChatModel
package import Hummingbird
import Protocol
package import ServiceKit

/// The REST interface: `/last-seen-service/v1`.
package struct LastSeenRoutes: Sendable {
    private let service: PresenceService

    package init(service: PresenceService) { self.service = service }

    package func add(to router: Router<RoostRequestContext>) {
        let group = router.group("/last-seen-service/v1")
        group.get("users", use: several)
        group.get("users/:user", use: one)
    }

    /// Both fields are null where the user hides them; `last_seen` also where there is nothing to say.
    private struct Item: Encodable, Sendable {
        var user: String
        @Nullable var online: Bool?
        @Nullable var lastSeen: Timestamp?

        init(_ presence: LastSeenPresence) {
            user = UserID(rawValue: presence.user).description
            _online = Nullable(wrappedValue: presence.hidden ? nil : presence.online)
            _lastSeen = Nullable(
                wrappedValue: presence.hidden || presence.lastSeenMs == 0
                    ? nil : Timestamp(milliseconds: presence.lastSeenMs))
        }
    }

    @Sendable private func one(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let user = try context.identifier("user", as: UserID.self)
        guard let presence = try await service.presences(of: [user], for: identity.user).first, presence.exists else {
            throw Problem.notFound("There is no such user.")
        }
        return try .json(Item(presence.message))
    }

    /// Those that exist of the users asked for, each once.
    @Sendable private func several(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        guard let text = request.uri.queryParameters["ids"] else { throw Problem.field("ids", "is missing") }
        var users: [UserID] = []
        var seen: Set<UserID> = []
        for part in text.split(separator: ",") {
            guard let user = UserID(part) else { throw Problem.field("ids", "must be users' ids, separated by commas") }
            if seen.insert(user).inserted { users.append(user) }
        }
        guard users.count <= Limits.watchedUsers else {
            throw Problem.field("ids", "may name \(Limits.watchedUsers) users at most")
        }
        let presences = try await service.presences(of: users, for: identity.user)
        return try .json(PageResponse(items: presences.filter(\.exists).map { Item($0.message) }))
    }
}

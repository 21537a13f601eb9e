package import ChatModel
package import Protocol
package import RPC
import ServiceKit

/// What is asked of the users service.
package struct GroupPeople: Sendable {
    /// Those of the users that exist.
    package typealias Profiles = @Sendable ([UInt64]) async throws(RPCError) -> [UsersProfile]
    /// Those of the peers that have blocked the user.
    package typealias Blocking = @Sendable (_ user: UInt64, _ peers: [UInt64]) async throws(RPCError) -> [UInt64]

    /// Ids in one call.
    private static let page = 500

    private let findProfiles: Profiles
    private let findBlocking: Blocking

    package init(profiles: @escaping Profiles, blocking: @escaping Blocking) {
        findProfiles = profiles
        findBlocking = blocking
    }

    package init(users: UsersStub) {
        self.init(
            profiles: { ids throws(RPCError) in
                var request = UsersProfilesRequest()
                request.ids = ids
                return try await users.profiles(request).profiles
            },
            blocking: { user, peers throws(RPCError) in
                var request = UsersBlockingRequest()
                request.user = user
                request.peers = peers
                return try await users.blocking(request).peers
            })
    }

    /// Those of the users that exist, by id.
    package func profiles(_ users: [UserID]) async throws(RPCError) -> [UserID: UsersProfile] {
        var found: [UserID: UsersProfile] = [:]
        for start in stride(from: 0, to: users.count, by: Self.page) {
            let ids = users[start..<min(start + Self.page, users.count)].map(\.rawValue)
            for profile in try await findProfiles(ids) { found[UserID(rawValue: profile.id)] = profile }
        }
        return found
    }

    /// Returns when all of the users exist and none has blocked the one who adds them to a group.
    ///
    /// - Parameter field: what a client calls the user at an index; nil: none of its fields.
    /// - Throws: `not_found` or `forbidden`, naming those.
    package func check(_ users: [UserID], addedBy actor: UserID, field: (Int) -> String?) async throws {
        func errors(_ message: String, _ isConcerned: (UserID) -> Bool) -> [FieldError] {
            users.indices.filter { isConcerned(users[$0]) }.prefix(Self.named).compactMap { index in
                field(index).map { FieldError(field: $0, message: message) }
            }
        }
        let known = try await profiles(users)
        guard users.allSatisfy({ known[$0] != nil }) else {
            throw Problem(
                code: .notFound, detail: "There is no such user.",
                errors: errors("is no user") { known[$0] == nil })
        }
        var blocking: Set<UserID> = []
        for start in stride(from: 0, to: users.count, by: Self.page) {
            let ids = users[start..<min(start + Self.page, users.count)].map(\.rawValue)
            for user in try await findBlocking(actor.rawValue, ids) { blocking.insert(UserID(rawValue: user)) }
        }
        guard !blocking.isEmpty else { return }
        let names = blocking.sorted().prefix(Self.named).map { known[$0]?.username ?? "\($0)" }.joined(separator: ", ")
        throw Problem(
            code: .forbidden, detail: "You can't add who has blocked you: \(names).",
            errors: errors("has blocked you") { blocking.contains($0) })
    }

    /// How many are named in an error.
    private static let named = 20
}

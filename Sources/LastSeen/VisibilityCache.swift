package import ChatModel
import NIOConcurrencyHelpers
package import Protocol

/// Who shows their presence to whom, asked of the users service and remembered for a few seconds.
package final class VisibilityCache: Sendable {
    private struct State {
        var known: [UserID: (visibility: UsersVisibility, until: ContinuousClock.Instant)] = [:]
    }

    private let state = NIOLockedValueBox(State())
    private let lifetime: Duration
    private let limit: Int
    private let fetch: @Sendable (UsersProfilesRequest) async throws -> UsersProfilesResponse

    /// - Parameter limit: users remembered; when there are more, all are forgotten.
    package init(
        lifetime: Duration = .seconds(10), limit: Int = 100_000,
        fetch: @escaping @Sendable (UsersProfilesRequest) async throws -> UsersProfilesResponse
    ) {
        self.lifetime = lifetime
        self.limit = limit
        self.fetch = fetch
    }

    /// The settings of those that exist. When the users service doesn't answer: what was last known, and `isComplete` is
    /// false: who is missing may exist.
    package func visibilities(
        of users: [UserID]
    ) async -> (found: [UserID: UsersVisibility], isComplete: Bool) {
        let now = ContinuousClock.now
        var (found, missing) = state.withLockedValue { state in
            var found: [UserID: UsersVisibility] = [:]
            var missing: [UserID] = []
            for user in users {
                if let known = state.known[user] {
                    found[user] = known.visibility
                    if known.until <= now { missing.append(user) }
                } else {
                    missing.append(user)
                }
            }
            return (found, missing)
        }
        for start in stride(from: 0, to: missing.count, by: 500) {
            let part = missing[start..<min(start + 500, missing.count)]
            var request = UsersProfilesRequest()
            request.ids = part.map(\.rawValue)
            guard let profiles = try? await fetch(request).profiles else { return (found, false) }
            state.withLockedValue { state in
                if state.known.count + part.count > limit { state.known = [:] }
                for user in part {
                    state.known[user] = nil
                    found[user] = nil
                }
                for profile in profiles {
                    let user = UserID(rawValue: profile.id)
                    state.known[user] = (profile.lastSeenVisibility, now + lifetime)
                    found[user] = profile.lastSeenVisibility
                }
            }
        }
        return (found, true)
    }

    /// Forgets what is known of a user, because it has changed.
    package func forget(_ user: UserID) {
        state.withLockedValue { _ = $0.known.removeValue(forKey: user) }
    }
}

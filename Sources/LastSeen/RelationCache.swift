package import ChatModel
import NIOConcurrencyHelpers

/// Which users stand in a relation to another one (have blocked them, know them), asked of the service that knows and
/// remembered for a few seconds.
package final class RelationCache: Sendable {
    private struct Known {
        var holds: Bool
        var until: ContinuousClock.Instant
    }

    private struct State {
        /// By user, then by viewer.
        var known: [UserID: [UserID: Known]] = [:]
        var count = 0

        mutating func remember(_ user: UserID, _ viewer: UserID, _ value: Known) {
            if known[user, default: [:]].updateValue(value, forKey: viewer) == nil { count += 1 }
        }
    }

    private let state = NIOLockedValueBox(State())
    private let lifetime: Duration
    private let limit: Int
    private let fetch: @Sendable (_ viewer: UserID, _ users: [UserID]) async throws -> Set<UserID>

    /// - Parameters:
    ///   - limit: pairs remembered; when there are more, all are forgotten.
    ///   - fetch: those of the users that stand in the relation to the viewer.
    package init(
        lifetime: Duration = .seconds(5), limit: Int = 200_000,
        fetch: @escaping @Sendable (_ viewer: UserID, _ users: [UserID]) async throws -> Set<UserID>
    ) {
        self.lifetime = lifetime
        self.limit = limit
        self.fetch = fetch
    }

    /// Whether each of the users stands in the relation, in one question at most. When that isn't answered: what was
    /// last known; who is missing isn't known.
    package func relations(of users: [UserID], to viewer: UserID) async -> [UserID: Bool] {
        let now = ContinuousClock.now
        var (found, wanted) = state.withLockedValue { state in
            var found: [UserID: Bool] = [:]
            var wanted: [UserID] = []
            for user in users {
                let known = state.known[user]?[viewer]
                found[user] = known?.holds
                if known.map({ $0.until <= now }) ?? true { wanted.append(user) }
            }
            return (found, wanted)
        }
        guard !wanted.isEmpty, let holding = try? await fetch(viewer, wanted) else { return found }
        state.withLockedValue { state in
            if state.count + wanted.count > limit { state = State() }
            for user in wanted {
                let holds = holding.contains(user)
                found[user] = holds
                state.remember(user, viewer, Known(holds: holds, until: now + lifetime))
            }
        }
        return found
    }

    /// Forgets what is known of a user, because it has changed.
    package func forget(_ user: UserID) {
        state.withLockedValue { state in
            state.count -= state.known.removeValue(forKey: user)?.count ?? 0
        }
    }
}

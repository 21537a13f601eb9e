import NIOConcurrencyHelpers
package import Protocol
package import RPC

/// What is remembered of users: that they exist (for ever), how they are called (for a while), and which conversation two
/// of them have (for ever).
package final class People: Sendable {
    private struct Pair: Hashable {
        var low: UInt64
        var high: UInt64
    }

    private struct Known {
        var profile: UsersProfile
        var until: ContinuousClock.Instant
    }

    private struct State {
        var profiles = GenerationCache<UInt64, Known>(limit: 20_000)
        var directs = GenerationCache<Pair, UInt64>(limit: 100_000)
    }

    private static let lifetime: Duration = .seconds(30)

    private let state = NIOLockedValueBox(State())
    private let users: UsersStub
    private let relay: RelayStub

    package init(users: UsersStub, relay: RelayStub) {
        self.users = users
        self.relay = relay
    }

    /// Those of the users that exist.
    package func profiles(_ ids: [UInt64], options: CallOptions) async throws(RPCError) -> [UInt64: UsersProfile] {
        let now = ContinuousClock.now
        var found: [UInt64: UsersProfile] = [:]
        var stale: [UInt64: UsersProfile] = [:]
        var wanted: [UInt64] = []
        state.withLockedValue { state in
            for id in Set(ids) {
                guard let known = state.profiles[id] else {
                    wanted.append(id)
                    continue
                }
                if known.until > now {
                    found[id] = known.profile
                } else {
                    stale[id] = known.profile
                    wanted.append(id)
                }
            }
        }
        guard !wanted.isEmpty else { return found }
        var request = UsersProfilesRequest()
        request.ids = wanted
        do {
            let answer = try await users.profiles(request, options: options)
            state.withLockedValue { state in
                for profile in answer.profiles {
                    state.profiles[profile.id] = Known(profile: profile, until: now + Self.lifetime)
                    found[profile.id] = profile
                }
            }
        } catch {
            // Names of a minute ago are better than no list.
            guard stale.count == wanted.count else { throw error }
            found.merge(stale) { first, _ in first }
        }
        return found
    }

    /// The direct conversation of two users, made when there is none.
    ///
    /// - Throws: `not_found` where the other doesn't exist.
    package func direct(_ user: UInt64, _ peer: UInt64, options: CallOptions) async throws(RPCError) -> UInt64 {
        let pair = Pair(low: min(user, peer), high: max(user, peer))
        if let known = state.withLockedValue({ $0.directs[pair] }) { return known }
        if user != peer {
            guard try await profiles([peer], options: options)[peer] != nil else {
                throw RPCError(.notFound, "There is no such user.", details: ["field": "to"])
            }
        }
        var request = RelayOpenDirectRequest()
        request.user = user
        request.peer = peer
        let conversation = try await relay.openDirect(request, options: options).conversation
        state.withLockedValue { $0.directs[pair] = conversation }
        return conversation
    }
}

import NIOConcurrencyHelpers
package import Protocol
package import RPC
import ServiceKit

/// Users, and which conversation two of them have.
///
/// Profiles are asked for each time, so that a privacy switch holds at once; those seen last serve only while users can't be
/// reached. A pair's conversation is remembered: it never changes.
package final class People: Sendable {
    private struct Pair: Hashable {
        var low: UInt64
        var high: UInt64
    }

    private struct State {
        var profiles = GenerationCache<UInt64, UsersProfile>(limit: 20_000)
        var directs = GenerationCache<Pair, UInt64>(limit: 100_000)
    }

    /// Ids in one call.
    private static let chunk = 1000

    private let state = NIOLockedValueBox(State())
    private let users: UsersStub
    private let relay: RelayStub

    package init(users: UsersStub, relay: RelayStub) {
        self.users = users
        self.relay = relay
    }

    /// Those of the users that exist.
    package func profiles(
        _ ids: some Sequence<UInt64>, options: CallOptions = .init()
    ) async throws(RPCError) -> [UInt64: UsersProfile] {
        let wanted = Array(Set(ids))
        var found: [UInt64: UsersProfile] = [:]
        for start in stride(from: 0, to: wanted.count, by: Self.chunk) {
            let part = wanted[start..<min(start + Self.chunk, wanted.count)]
            for profile in try await ask(part, options: options) { found[profile.id] = profile }
        }
        return found
    }

    private func ask(_ ids: ArraySlice<UInt64>, options: CallOptions) async throws(RPCError) -> [UsersProfile] {
        var request = UsersProfilesRequest()
        request.ids = Array(ids)
        do {
            let found = try await users.profiles(request, options: options).profiles
            state.withLockedValue { state in
                for profile in found { state.profiles[profile.id] = profile }
            }
            return found
        } catch {
            let known = state.withLockedValue { state in ids.compactMap { state.profiles[$0] } }
            guard known.count == ids.count else { throw error }
            return known
        }
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

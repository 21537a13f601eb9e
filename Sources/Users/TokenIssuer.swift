import ChatModel
import Crypto
import JWTKit
import NIOConcurrencyHelpers
package import ServiceKit

/// Makes tokens, once the keys are there.
package final class TokenIssuer: Sendable {
    private struct State {
        var keys: AccountKeys
        var signers: JWTKeyCollection
    }

    private let state = NIOLockedValueBox<State?>(nil)

    package init() {}

    package func use(_ keys: AccountKeys) async {
        let signers = JWTKeyCollection()
        for signing in keys.access {
            await signers.add(eddsa: EdDSA.PrivateKey(backing: signing.key), kid: JWKIdentifier(string: signing.kid))
        }
        state.withLockedValue { $0 = State(keys: keys, signers: signers) }
    }

    /// The keys.
    ///
    /// - Throws: `unavailable` until they have been read.
    package func keys() throws(Problem) -> AccountKeys { try current().keys }

    private func current() throws(Problem) -> State {
        guard let state = state.withLockedValue({ $0 }) else {
            throw .unavailable("The keys of accounts have not been read from PostgreSQL yet.")
        }
        return state
    }

    package func accessToken(for identity: Identity, now: Int64) async throws -> String {
        let state = try current()
        guard let kid = state.keys.access.first?.kid else { throw Problem.unavailable("There is no signing key.") }
        return try await state.signers.sign(
            AccessToken(identity: identity, now: now), kid: JWKIdentifier(string: kid))
    }

    package func refreshToken(_ token: RefreshToken) throws(Problem) -> String {
        token.encoded(key: try current().keys.refresh[0])
    }

    package func ticket(for identity: Identity, now: Int64) throws(Problem) -> String {
        let ticket = Ticket(
            user: identity.user, device: identity.device, expires: now + Ticket.lifetime,
            nonce: (0..<16).map { _ in UInt8.random(in: 0...255) })
        return ticket.encoded(key: try current().keys.ticket[0])
    }
}

import ChatModel
package import Protocol
import RPC
package import RPCTransport
package import Redis
import Postgres
package import ServiceKit

/// The RPC interface: who a credential stands for, keys, profiles, revocations.
package struct UsersRPC: UsersService {
    private let service: AccountService
    private let authenticator: Authenticator
    private let redis: RedisClient
    private let prefix: String

    package init(
        service: AccountService, authenticator: Authenticator, redis: RedisClient, prefix: String = "roost:v1:ticket"
    ) {
        self.service = service
        self.authenticator = authenticator
        self.redis = redis
        self.prefix = prefix
    }

    package func blocking(_ request: UsersBlockingRequest, context: RPCContext) async throws -> UsersBlockingResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }

    package func authenticate(
        _ request: UsersAuthenticateRequest, context: RPCContext
    ) async throws -> UsersAuthenticateResponse {
        let identity: Identity
        switch request.credential {
        case .ticket(let text): identity = try await redeem(text)
        case .accessToken(let token):
            do {
                identity = try await authenticator.verify(accessToken: token)
            } catch {
                throw RPCError(error)
            }
        case nil: throw RPCError(.invalid, "There is no credential.")
        }
        var response = UsersAuthenticateResponse()
        response.user = identity.user.rawValue
        response.device = identity.device.rawValue
        return response
    }

    /// Takes a ticket: whoever sets its mark in Redis first has it.
    private func redeem(_ text: String) async throws(RPCError) -> Identity {
        let now = service.now()
        let keys: AccountKeys
        do { keys = try service.issuer.keys() } catch { throw RPCError(error) }
        guard let ticket = Ticket(text, keys: keys.ticket, now: now),
            !service.revocations.isRevoked(ticket.device, issuedAt: ticket.expires - Ticket.lifetime)
        else { throw RPCError(.unauthorized, "The ticket is bad or has expired.") }
        let mark = RedisArgument("\(prefix):\(Base64URL.encode(ticket.nonce))")
        let isFirst: Bool
        do {
            // Kept longer than the ticket is good, for clocks that differ.
            isFirst = try await !redis.send(
                "SET", mark, "1", "NX", "PX", RedisArgument(ticket.expires - now + 10_000)
            ).isNull
        } catch {
            throw RPCError(
                .unavailable, "Tickets can't be redeemed while Redis can't be reached: \(error.code).")
        }
        guard isFirst else { throw RPCError(.unauthorized, "The ticket has been used.") }
        return Identity(user: ticket.user, device: ticket.device)
    }

    package func keys(_ request: UsersKeysRequest, context: RPCContext) async throws -> UsersKeysResponse {
        var response = UsersKeysResponse()
        do { response.jwks = try service.issuer.keys().jwks } catch { throw RPCError(error) }
        return response
    }

    package func profiles(
        _ request: UsersProfilesRequest, context: RPCContext
    ) async throws -> UsersProfilesResponse {
        guard request.ids.count <= 1000 else { throw RPCError(.invalid, "At most 1000 ids.") }
        var response = UsersProfilesResponse()
        do {
            response.profiles = try await service.store.accounts(request.ids.map { UserID(rawValue: $0) }).map(
                \.profile)
        } catch {
            throw RPCError(Problem(error))
        }
        return response
    }

    package func revocations(
        _ request: UsersRevocationsRequest, writer: RPCStreamWriter<UsersRevocationsPage>, context: RPCContext
    ) async throws {
        try await service.revocations.follow { entries in
            // A page may be empty only as the first: it says that there is nothing to know.
            for start in stride(from: 0, to: max(1, entries.count), by: 1000) {
                var page = UsersRevocationsPage()
                let part = entries[start..<min(start + 1000, entries.count)]
                page.devices = part.map(\.device.rawValue)
                page.endedMs = part.map(\.at)
                try await writer.write(page)
            }
        }
    }
}

extension RPCError {
    /// The same failure, to a service.
    init(_ problem: Problem) {
        let code: RPCError.Code =
            switch problem.code {
            case .invalid, .unsupportedMedia: .invalid
            case .unauthorized: .unauthorized
            case .forbidden: .forbidden
            case .notFound: .notFound
            case .conflict: .conflict
            case .tooLarge: .tooLarge
            case .rateLimited: .rateLimited
            case .unavailable: .unavailable
            case .internal: .internalError
            }
        self.init(code, problem.detail)
    }
}

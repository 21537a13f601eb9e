import ChatModel
package import Protocol
import RPC
package import RPCTransport
import Postgres
package import ServiceKit

/// The RPC interface: who a credential stands for, keys, profiles, blocks, revocations.
package struct UsersRPC: UsersService {
    private let service: AccountService
    private let authenticator: Authenticator
    private let tickets: TicketRedeemer

    package init(service: AccountService, authenticator: Authenticator, tickets: TicketRedeemer) {
        self.service = service
        self.authenticator = authenticator
        self.tickets = tickets
    }

    package func authenticate(
        _ request: UsersAuthenticateRequest, context: RPCContext
    ) async throws -> UsersAuthenticateResponse {
        let identity: Identity
        switch request.credential {
        case .ticket(let text): identity = try await tickets.redeem(text)
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

    package func blocking(
        _ request: UsersBlockingRequest, context: RPCContext
    ) async throws -> UsersBlockingResponse {
        guard request.peers.count <= 10_000 else { throw RPCError(.invalid, "At most 10000 peers.") }
        var response = UsersBlockingResponse()
        do {
            response.peers = try await service.store.blocking(
                UserID(rawValue: request.user), among: request.peers.map { UserID(rawValue: $0) }
            ).map(\.rawValue)
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

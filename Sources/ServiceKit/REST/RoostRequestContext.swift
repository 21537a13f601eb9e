package import ChatModel
import HTTPTypes
package import Hummingbird
import Logging
import NIOCore

/// Who a request comes from, as its access token says.
package struct Identity: Sendable, Hashable {
    package var user: UserID
    package var device: DeviceID

    package init(user: UserID, device: DeviceID) {
        self.user = user
        self.device = device
    }
}

/// What goes with a REST request on its way through the middleware to its route.
package struct RoostRequestContext: RequestContext {
    /// What the `Authorization` header was found to be.
    package enum Authentication: Sendable {
        /// There was none.
        case none
        case user(Identity)
        /// The operator's token.
        case admin
        /// There was one, and it isn't good; or it could not be checked.
        case failed(Problem)
    }

    package var coreContext: CoreRequestContextStorage
    /// In every log line and in the response's `X-Request-Id`: the gateway's, or one of our own.
    package var requestID: String
    /// The client's address: the peer's, or what a trusted gateway says in `X-Forwarded-For`. Empty where unknown.
    package var clientAddress: String
    package var authentication: Authentication
    /// Bytes of a body that is collected or decoded.
    package var maxUploadSize: Int

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        requestID = ""
        clientAddress = source.channel.remoteAddress?.ipAddress ?? ""
        authentication = .none
        maxUploadSize = Self.maxUnknownUpload
    }

    /// Bytes of a body from anyone.
    package static let maxUnknownUpload = 64 << 10
    /// Bytes of a body from a user or the operator.
    package static let maxKnownUpload = 1 << 20

    package var requestDecoder: RoostCoder { RoostCoder() }
    package var responseEncoder: RoostCoder { RoostCoder() }

    /// The caller.
    ///
    /// - Throws: `unauthorized` without a good access token, `unavailable` when none can be checked now.
    package func requireUser() throws(Problem) -> Identity {
        switch authentication {
        case .user(let identity): return identity
        case .none, .admin: throw .unauthorized("Send an access token: Authorization: Bearer …")
        case .failed(let problem): throw problem
        }
    }

    /// Returns when the caller is the operator.
    ///
    /// - Throws: `unauthorized` without a token or with a bad one, `forbidden` with a user's.
    package func requireAdmin() throws(Problem) {
        switch authentication {
        case .admin: return
        case .none: throw .unauthorized("Send the operator's token: Authorization: Bearer …")
        case .user: throw .forbidden("This is for operators.")
        case .failed(let problem): throw problem
        }
    }

    /// A path parameter that must be an identifier.
    ///
    /// - Throws: `not_found`: what isn't an identifier names nothing.
    package func identifier<ID: Identifier>(_ name: String, as type: ID.Type = ID.self) throws(Problem) -> ID {
        guard let text = parameters.get(name), let id = ID(text) else {
            throw .notFound("There is no such \(name).")
        }
        return id
    }
}

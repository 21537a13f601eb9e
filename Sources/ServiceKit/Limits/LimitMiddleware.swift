import HTTPTypes
package import Hummingbird

/// Counts each call of a service's REST interface: a user's by user and device, anyone else's by address. Operators are
/// free, and so is what the gateway and operators ask of a process beside those interfaces.
package struct LimitMiddleware: RouterMiddleware {
    package typealias Context = RoostRequestContext

    private let limiter: RequestLimiter

    package init(limiter: RequestLimiter) { self.limiter = limiter }

    @concurrent package func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        guard Self.isPublic(request.uri.path) else { return try await next(request, context) }
        switch context.authentication {
        case .admin: break
        case .user(let identity):
            try await limiter.check(
                [.init(.device, "\(identity.device)"), .init(.user, "\(identity.user)")],
                "Too many requests: slow down.")
        case .none, .failed:
            try await limiter.check(
                [.init(.address, address: context.clientAddress)], "Too many requests from this address: slow down.")
        }
        return try await next(request, context)
    }

    /// `/<name>-service/…`: what the gateway lets in.
    private static func isPublic(_ path: String) -> Bool {
        // As the router sees it, which doesn't mind several slashes.
        path.split(separator: "/", maxSplits: 1).first?.hasSuffix("-service") ?? false
    }
}

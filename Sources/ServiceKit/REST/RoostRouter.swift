import HTTPTypes
package import Hummingbird
import NIOCore

/// The REST base: routers with Roost's middleware.
package enum RoostRouter {
    /// A router with request ids, problem+json, authentication and the operational endpoints; roles add their routes.
    package static func make(_ context: ServiceContext) -> Router<RoostRequestContext> {
        let router = make(
            authenticator: context.authenticator, metrics: context.metrics,
            proxies: context.configuration.trustedProxies, limiter: context.limiter)
        let operations = context.operations
        for path in Operations.paths {
            router.get(RouterPath(path)) { _, _ in
                guard let answer = await operations.answer(path) else { throw Problem.notFound("Not here.") }
                return Response(
                    status: .init(code: answer.status),
                    headers: [.contentType: answer.contentType, .cacheControl: "no-store"],
                    body: ResponseBody(byteBuffer: ByteBuffer(string: answer.body)))
            }
        }
        return router
    }

    /// The same without the operational endpoints.
    package static func make(
        authenticator: Authenticator, metrics: MetricsRegistry, proxies: TrustedProxies = .loopback,
        limiter: RequestLimiter = RequestLimiter(limits: nil, redis: nil)
    ) -> Router<RoostRequestContext> {
        let router = Router(context: RoostRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.addMiddleware {
            RequestMiddleware(proxies: proxies, metrics: HTTPMetrics(registry: metrics))
            ProblemMiddleware()
            TargetMiddleware()
            AuthenticationMiddleware(authenticator: authenticator)
            LimitMiddleware(limiter: limiter)
        }
        return router
    }

    /// Answers the methods that a path has no route for: 405 with `Allow`, and OPTIONS with what there is. To be called
    /// when all routes have been added.
    package static func closeMethods(of router: Router<RoostRequestContext>) {
        let methods = Dictionary(grouping: router.routes, by: { $0.path.description })
        for routes in methods.values {
            guard let path = routes.first?.path else { continue }
            var allowed = Set(routes.map(\.method))
            if allowed.contains(.get) { allowed.insert(.head) }
            allowed.insert(.options)
            let allow = allowed.map(\.rawValue).sorted().joined(separator: ", ")
            for method in Self.methods where !routes.contains(where: { $0.method == method }) {
                // Made from GET when the router is built.
                if method == .head, allowed.contains(.head) { continue }
                router.on(path, method: method) { _, _ in
                    if method == .options { return Response(status: .noContent, headers: [.allow: allow]) }
                    throw Problem(
                        code: .invalid, detail: "This path knows \(allow).", status: .methodNotAllowed,
                        headers: [.allow: allow])
                }
            }
        }
    }

    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .options, .trace,
    ]
}

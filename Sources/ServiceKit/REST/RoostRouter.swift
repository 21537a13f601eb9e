package import Hummingbird
import NIOCore

/// The REST base: routers with Roost's middleware.
package enum RoostRouter {
    /// A router with request ids, problem+json, authentication and the operational endpoints; roles add their routes.
    package static func make(_ context: ServiceContext) -> Router<RoostRequestContext> {
        let router = make(
            authenticator: context.authenticator, metrics: context.metrics,
            proxies: context.configuration.trustedProxies)
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
        authenticator: Authenticator, metrics: MetricsRegistry, proxies: TrustedProxies = .loopback
    ) -> Router<RoostRequestContext> {
        let router = Router(context: RoostRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.addMiddleware {
            RequestMiddleware(proxies: proxies, metrics: HTTPMetrics(registry: metrics))
            ProblemMiddleware()
            AuthenticationMiddleware(authenticator: authenticator)
        }
        return router
    }
}

package import HTTPTypes

/// What is counted of REST requests.
package struct HTTPMetrics: Sendable {
    private let registry: MetricsRegistry

    package init(registry: MetricsRegistry) {
        self.registry = registry
        registry.describe("http_requests_total", "REST requests answered, by method, route and status class.")
        registry.describe("http_request_duration_seconds", "From the request's head to its response's head, by route.")
    }

    /// - Parameter route: The pattern, `/users/{id}`, never a path; nil: none matched.
    package func record(method: HTTPRequest.Method, route: String?, status: HTTPResponse.Status, elapsed: Duration) {
        let route = route ?? "none"
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(method.rawValue)
        let counted = [
            ("method", known ? method.rawValue : "other"), ("route", route), ("status", "\(status.code / 100)xx"),
        ]
        registry.counter("http_requests_total", counted).increment(by: Int64(1))
        let (seconds, attoseconds) = elapsed.components
        registry.histogram("http_request_duration_seconds", [("route", route)])
            .observe(Double(seconds) + Double(attoseconds) / 1e18)
    }
}

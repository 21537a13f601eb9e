import HTTPTypes
package import Hummingbird
import Logging

import NIOCore

extension HTTPField.Name {
    package static let requestID = HTTPField.Name("X-Request-Id")!
    package static let forwardedFor = HTTPField.Name("X-Forwarded-For")!
}

/// Outermost: gives the request its id, finds the client's address, counts and logs the request.
package struct RequestMiddleware: RouterMiddleware {
    package typealias Context = RoostRequestContext

    private let proxies: TrustedProxies
    private let metrics: HTTPMetrics

    package init(proxies: TrustedProxies, metrics: HTTPMetrics) {
        self.proxies = proxies
        self.metrics = metrics
    }

    @concurrent package func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        let started = ContinuousClock.now
        var context = context
        let fromGateway = proxies.trusts(context.clientAddress)
        context.requestID = Self.identifier(request.headers[.requestID], trusted: fromGateway)
        if fromGateway, let forwarded = request.headers[.forwardedFor] {
            context.clientAddress = proxies.client(forwarded: forwarded, peer: context.clientAddress)
        }
        context.logger = Logger(requestID: context.requestID, basedOn: context.logger)
        var response = try await next(request, context)
        response.headers[.requestID] = context.requestID
        let elapsed = ContinuousClock.now - started
        metrics.record(method: request.method, route: context.endpointPath, status: response.status, elapsed: elapsed)
        context.logger.debug(
            "Answered a request",
            metadata: [
                LogKey.method: "\(request.method)", LogKey.path: "\(request.uri.path)",
                LogKey.status: "\(response.status.code)", LogKey.client: "\(context.clientAddress)",
                LogKey.milliseconds: "\(elapsed.milliseconds)",
            ])
        return response
    }

    /// The gateway's id when it looks like one, else 16 random hexadecimal digits.
    private static func identifier(_ given: String?, trusted: Bool) -> String {
        if trusted, let given, (1...64).contains(given.utf8.count),
            given.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") })
        {
            return given
        }
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Turns whatever is thrown below it into problem+json.
package struct ProblemMiddleware: RouterMiddleware {
    package typealias Context = RoostRequestContext

    package init() {}

    @concurrent package func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let problem = Problem(for: error)
            if problem.code == .internal {
                context.logger.error(
                    "A request failed",
                    metadata: [
                        LogKey.error: "\(error)", LogKey.method: "\(request.method)",
                        LogKey.path: "\(request.uri.path)",
                    ])
            }
            return problem.response()
        }
    }
}

/// Finds out who asks. It never refuses: a route does, with `requireUser` or `requireAdmin`, so public ones stay public.
package struct AuthenticationMiddleware: RouterMiddleware {
    package typealias Context = RoostRequestContext

    private let authenticator: Authenticator

    package init(authenticator: Authenticator) { self.authenticator = authenticator }

    @concurrent package func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let header = request.headers[.authorization] else { return try await next(request, context) }
        var context = context
        context.authentication = await authenticator.authenticate(header: header)
        if case .user(let identity) = context.authentication {
            context.logger[metadataKey: LogKey.user] = "\(identity.user)"
        }
        return try await next(request, context)
    }
}

/// An error of a lower layer that knows what REST clients get to see of it.
package protocol ProblemConvertible: Error {
    var problem: Problem { get }
}

extension Problem {
    /// What a client gets to see of an error.
    package init(for error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as any ProblemConvertible: self = error.problem
        case let error as HTTPError: self.init(error)
        case is NIOTooManyBytesError:
            self.init(code: .tooLarge, detail: "The body is too long.")
        case is CancellationError:
            self = .unavailable("This process is shutting down.")
        case let error as any HTTPResponseError:
            self.init(status: error.status, message: nil, headers: [:])
        default:
            self.init(code: .internal, detail: "The fault is ours; it has been logged.")
        }
    }

    init(_ error: HTTPError) {
        self.init(status: error.status, message: error.body, headers: error.headers)
    }

    private init(status: HTTPResponse.Status, message: String?, headers: HTTPFields) {
        let code: Code
        switch status.code {
        case 401: code = .unauthorized
        case 403: code = .forbidden
        case 404, 405: code = .notFound
        case 409, 412: code = .conflict
        case 413: code = .tooLarge
        case 415: code = .unsupportedMedia
        case 429: code = .rateLimited
        case 503, 504: code = .unavailable
        case 400..<500: code = .invalid
        default: code = .internal
        }
        self.init(
            code: code, detail: code == .internal ? code.title : message ?? "\(code.title).", status: status,
            headers: headers)
    }
}

extension Logger {
    fileprivate init(requestID: String, basedOn logger: Logger) {
        self = logger
        self[metadataKey: "hb.request.id"] = nil
        self[metadataKey: LogKey.request] = "\(requestID)"
    }
}

extension Duration {
    /// Whole and fractional milliseconds.
    package var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1000 + Double(attoseconds) / 1e15
    }
}

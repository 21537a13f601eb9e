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
        // Whatever the answer is, and wherever it comes from.
        if request.method == .head { response = response.createHeadResponse() }
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

/// Refuses a path or query that isn't UTF-8, percent-encoded, without NUL, which no store can hold, so that nothing below
/// has to think of it. In a query, `+` is a blank, as forms and `URLSearchParams` write it.
package struct TargetMiddleware: RouterMiddleware {
    package typealias Context = RoostRequestContext

    package init() {}

    @concurrent package func handle(
        _ request: Request, context: RoostRequestContext,
        next: @concurrent (Request, RoostRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let target = request.head.path else { return try await next(request, context) }
        guard Self.isText(target.utf8) else {
            throw Problem(code: .invalid, detail: "The path or the query is not percent-encoded UTF-8 text.")
        }
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")),
            target.utf8[mark...].contains(UInt8(ascii: "+"))
        else { return try await next(request, context) }
        var head = request.head
        head.path =
            target[..<mark]
            + target[mark...].split(separator: "+", omittingEmptySubsequences: false)
            .joined(separator: "%20")
        return try await next(Request(head: head, body: request.body), context)
    }

    private static func isText(_ target: String.UTF8View) -> Bool {
        // What most are: nothing is encoded.
        guard target.contains(where: { $0 == UInt8(ascii: "%") || $0 == 0 || $0 >= 0x80 }) else { return true }
        var bytes: [UInt8] = []
        var index = target.startIndex
        while index != target.endIndex {
            var byte = target[index]
            target.formIndex(after: &index)
            if byte == UInt8(ascii: "%") {
                byte = 0
                for _ in 0..<2 {
                    guard index != target.endIndex, let digit = Self.digit(target[index]) else { return false }
                    byte = byte << 4 | digit
                    target.formIndex(after: &index)
                }
            }
            guard byte != 0 else { return false }
            bytes.append(byte)
        }
        return String(validating: bytes, as: UTF8.self) != nil
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Finds out who asks. It never refuses: a route does, with `requireUser` or `requireAdmin`, so public ones stay public.
/// Who is known may send longer bodies.
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
        switch context.authentication {
        case .user(let identity):
            context.logger[metadataKey: LogKey.user] = "\(identity.user)"
            context.maxUploadSize = RoostRequestContext.maxKnownUpload
        case .admin: context.maxUploadSize = RoostRequestContext.maxKnownUpload
        case .none, .failed: break
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
        case 404: code = .notFound
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

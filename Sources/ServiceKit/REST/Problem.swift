package import HTTPTypes
package import Hummingbird
import NIOCore

/// An error as REST clients see it: RFC 9457 `application/problem+json` with the contract's `code`.
///
/// Throw one anywhere below a route; `ProblemMiddleware` turns it (and whatever else is thrown) into the response.
package struct Problem: Error, Sendable, Equatable {
    /// What kind of failure it is; programs decide by it.
    package enum Code: String, Sendable, CaseIterable {
        case invalid
        case unauthorized
        case forbidden
        case notFound = "not_found"
        case conflict
        case tooLarge = "too_large"
        case unsupportedMedia = "unsupported_media"
        case rateLimited = "rate_limited"
        case unavailable
        case `internal`

        /// The HTTP status that goes with the code.
        package var status: HTTPResponse.Status {
            switch self {
            case .invalid: .badRequest
            case .unauthorized: .unauthorized
            case .forbidden: .forbidden
            case .notFound: .notFound
            case .conflict: .conflict
            case .tooLarge: .contentTooLarge
            case .unsupportedMedia: .unsupportedMediaType
            case .rateLimited: .tooManyRequests
            case .unavailable: .serviceUnavailable
            case .internal: .internalServerError
            }
        }

        /// The short, unchanging summary: the same words for every problem of this code.
        package var title: String {
            switch self {
            case .invalid: "The request is not valid"
            case .unauthorized: "Log in first"
            case .forbidden: "Not allowed"
            case .notFound: "Not found"
            case .conflict: "Conflicts with what is there"
            case .tooLarge: "Too large"
            case .unsupportedMedia: "Unsupported media type"
            case .rateLimited: "Too many requests"
            case .unavailable: "Not available now"
            case .internal: "Something went wrong here"
            }
        }
    }

    package var code: Code
    /// What went wrong this time, for people.
    package var detail: String
    /// What is wrong with which field of the request.
    package var errors: [FieldError]
    /// When it is worth trying again: the `Retry-After` header, in whole seconds, at least one, and `retry_after_ms` in the
    /// body.
    package var retryAfter: Duration?
    /// The code's own unless the protocol asks for another one of the same class (405, 431 …).
    package var status: HTTPResponse.Status
    /// Headers that the response needs beside the usual ones, like `Allow`.
    package var headers: HTTPFields

    package init(
        code: Code, detail: String, errors: [FieldError] = [], retryAfter: Duration? = nil,
        status: HTTPResponse.Status? = nil, headers: HTTPFields = [:]
    ) {
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retryAfter = retryAfter
        self.status = status ?? code.status
        self.headers = headers
    }

    /// A request whose field is wrong: `invalid` with one entry in `errors`.
    package static func field(_ name: String, _ message: String) -> Problem {
        Problem(code: .invalid, detail: "\(name): \(message)", errors: [FieldError(field: name, message: message)])
    }

    package static func notFound(_ detail: String) -> Problem { Problem(code: .notFound, detail: detail) }
    package static func forbidden(_ detail: String) -> Problem { Problem(code: .forbidden, detail: detail) }
    package static func conflict(_ detail: String) -> Problem { Problem(code: .conflict, detail: detail) }
    package static func unauthorized(_ detail: String) -> Problem { Problem(code: .unauthorized, detail: detail) }
    package static func unavailable(_ detail: String, retryAfter: Duration = .seconds(1)) -> Problem {
        Problem(code: .unavailable, detail: detail, retryAfter: retryAfter)
    }
}

/// What is wrong with one field; `field` is its path as the client wrote it: `keys.auth`, `members.0`.
package struct FieldError: Codable, Sendable, Equatable {
    package var field: String
    package var message: String

    package init(field: String, message: String) {
        self.field = field
        self.message = message
    }
}

/// Collects what is wrong with a request, so that the client hears of all of it at once.
package struct FieldChecks: Sendable {
    package private(set) var errors: [FieldError] = []

    package init() {}

    /// Notes `message` against `field` unless `condition` holds.
    package mutating func check(_ field: String, _ condition: Bool, _ message: @autoclosure () -> String) {
        if !condition { errors.append(FieldError(field: field, message: message())) }
    }

    /// Throws `invalid` with everything noted, if anything was.
    package func finish() throws(Problem) {
        guard let first = errors.first else { return }
        let more = errors.count > 1 ? " (and \(errors.count - 1) more)" : ""
        throw Problem(code: .invalid, detail: "\(first.field): \(first.message)\(more)", errors: errors)
    }
}

extension Problem: HTTPResponseError {
    private struct Body: Encodable {
        var type = "about:blank"
        var title: String
        var status: Int
        var detail: String
        var code: String
        var errors: [FieldError]
        var retryAfterMs: Int64?
    }

    package func response(from request: Request, context: some RequestContext) throws -> Response { response() }

    /// The response by itself, for places that have no request at hand.
    package func response() -> Response {
        let body = Body(
            title: code.title, status: status.code, detail: detail, code: code.rawValue, errors: errors,
            retryAfterMs: retryAfter.map { Int64($0.milliseconds.rounded(.up)) })
        let bytes = (try? RoostJSON.encode(body)) ?? []
        var headers = headers
        headers[.contentType] = "application/problem+json"
        headers[.contentLength] = String(bytes.count)
        headers[.cacheControl] = "no-store"
        if let retryAfter {
            let (seconds, attoseconds) = retryAfter.components
            headers[.retryAfter] = String(max(1, attoseconds > 0 ? seconds + 1 : seconds))
        }
        if code == .unauthorized, headers[.wwwAuthenticate] == nil { headers[.wwwAuthenticate] = "Bearer" }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}

extension Problem: CustomStringConvertible {
    package var description: String { "\(code.rawValue): \(detail)" }
}

import NIOCore

/// A response to a plain request; the connection closes after it.
package struct HTTPResponse: Equatable, Sendable {
    package var status: Int
    package var headers: [(String, String)]
    package var body: [UInt8]

    package init(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package init(status: Int, text: String, contentType: String = "text/plain; charset=utf-8") {
        self.init(status: status, headers: [("Content-Type", contentType)], body: Array(text.utf8))
    }

    package static func == (left: HTTPResponse, right: HTTPResponse) -> Bool {
        left.status == right.status && left.body == right.body
            && left.headers.elementsEqual(right.headers) { $0 == $1 }
    }

    private var reason: String {
        switch status {
        case 200: "OK"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 503: "Service Unavailable"
        default: "Status"
        }
    }

    func encoded(allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: body.count + 256)
        buffer.writeString("HTTP/1.1 \(status) \(reason)\r\n")
        for (name, value) in headers { buffer.writeString("\(name): \(value)\r\n") }
        buffer.writeString("Content-Length: \(body.count)\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")
        buffer.writeBytes(body)
        return buffer
    }
}

/// A request that is refused: an RFC 9457 problem, as the contract has it.
package struct HTTPProblem: Error, Equatable, Sendable {
    package var status: Int
    /// One of the contract's codes.
    package var code: String
    package var detail: String
    package var headers: [String: String] = [:]

    package init(status: Int, code: String, detail: String, headers: [String: String] = [:]) {
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
    }

    package static let malformed = HTTPProblem(status: 400, code: "invalid", detail: "Not a valid HTTP/1.1 request.")
    package static let headTooLarge = HTTPProblem(
        status: 431, code: "too_large", detail: "The request's head is larger than 8 KiB.")
    package static let timeout = HTTPProblem(status: 408, code: "invalid", detail: "The request took too long.")
    package static let notFound = HTTPProblem(status: 404, code: "not_found", detail: "Nothing is here.")
    package static let method = HTTPProblem(
        status: 405, code: "invalid", detail: "Only GET is served here.", headers: ["Allow": "GET"])
    package static let foreignOrigin = HTTPProblem(
        status: 403, code: "forbidden", detail: "Pages of this origin may not connect.")
    package static let unauthorized = HTTPProblem(
        status: 401, code: "unauthorized", detail: "The ticket or token is missing, used, expired or not valid.",
        headers: ["WWW-Authenticate": "Bearer"])
    package static let unavailable = HTTPProblem(
        status: 503, code: "unavailable", detail: "Try again in a moment.", headers: ["Retry-After": "1"])

    /// As a response; `detail` and `code` must need no escaping in JSON: they are ours.
    var response: HTTPResponse {
        let title =
            switch status {
            case 401: "Unauthorized"
            case 403: "Forbidden"
            case 404: "Not found"
            case 503: "Unavailable"
            default: "Bad request"
            }
        let body =
            #"{"type":"about:blank","title":"\#(title)","status":\#(status),"detail":"\#(detail)","code":"\#(code)","#
            + #""errors":[]}"#
        return HTTPResponse(
            status: status,
            headers: [("Content-Type", "application/problem+json")]
                + headers.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
            body: Array(body.utf8))
    }
}

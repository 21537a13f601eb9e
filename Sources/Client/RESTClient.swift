import AsyncHTTPClient
package import Foundation
import NIOCore
import NIOFoundationCompat
import NIOHTTP1

/// An answer of a REST call.
package struct RESTResponse: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [String: String]
    package var body: Data
    /// The body as JSON; null where it is none.
    package var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
}

/// An answer that was not the one hoped for.
package struct RESTFailure: Error, CustomStringConvertible {
    package var call: String
    package var status: Int
    /// The contract's `code`; empty where the answer was no problem document.
    package var code: String
    package var detail: String

    package var description: String { "\(call): HTTP \(status) \(code) \(detail)" }
}

/// Calls to a gateway. Shares AsyncHTTPClient's connections.
package struct RESTClient: Sendable {
    /// For example `http://localhost:8080`.
    package var base: String
    package var timeout: Duration = .seconds(30)

    package init(base: String) { self.base = base }

    /// Makes a call and answers whatever came, problem documents included.
    package func call(
        _ method: String, _ path: String, token: String? = nil, body: Data? = nil,
        headers: [String: String] = ["content-type": "application/json"]
    ) async throws -> RESTResponse {
        var request = HTTPClientRequest(url: base + path)
        request.method = HTTPMethod(rawValue: method)
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        if let body {
            for (name, value) in headers { request.headers.add(name: name, value: value) }
            request.body = .bytes(ByteBuffer(data: body))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: TimeAmount(timeout))
        let bytes = try await response.body.collect(upTo: 32 * 1024 * 1024)
        let pairs = response.headers.map { ($0.name.lowercased(), $0.value) }
        return RESTResponse(
            status: Int(response.status.code), headers: Dictionary(pairs) { first, _ in first },
            body: Data(buffer: bytes))
    }

    /// Makes a call with a JSON body and answers the JSON of a 2xx answer; throws `RESTFailure` for any other.
    package func json(
        _ method: String, _ path: String, token: String? = nil, _ body: JSONValue? = nil
    ) async throws -> JSONValue {
        let response = try await call(method, path, token: token, body: try body?.data)
        guard (200..<300).contains(response.status) else {
            let problem = response.json
            throw RESTFailure(
                call: "\(method) \(path)", status: response.status, code: problem["code"].string ?? "",
                detail: problem["detail"].string ?? String(decoding: response.body.prefix(300), as: UTF8.self))
        }
        return response.json
    }
}

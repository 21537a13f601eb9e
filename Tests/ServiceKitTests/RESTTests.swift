import ChatModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import RPC
import Testing

@testable import ServiceKit

/// The REST base over hummingbird's test client: what every service's REST does alike.
@Suite struct RESTTests {
    struct Order: Codable, Equatable {
        struct Item: Codable, Equatable {
            var productName: String
            var count: Int
        }

        var customerName: String
        var items: [Item]
        var urgent: Bool?
        var placedAt: Timestamp?
    }

    private struct Secret: Error {
        var text = "password=hunter2"
    }

    private func withClient(
        admin: String? = "operator", _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        let logger = Logger(label: "rest") { _ in SwiftLogNoOpLogHandler() }
        let authenticator = Authenticator(adminToken: admin, logger: logger)
        let router = RoostRouter.make(authenticator: authenticator, metrics: MetricsRegistry())
        router.post("/orders") { request, context in
            try Response.json(try await request.decodeJSON(Order.self, context), status: .created)
        }
        router.get("/orders/:id") { _, context in try context.identifier("id", as: UserID.self).description }
        router.get("/mine") { _, context in try context.requireUser().user.description }
        router.get("/ops") { _, context in
            try context.requireAdmin()
            return context.clientAddress
        }
        router.get("/page") { request, _ in
            let page = try Page(request)
            return PageResponse(items: [page.limit], next: page.cursor)
        }
        router.get("/fault") { _, _ -> String in throw Secret() }
        router.get("/busy") { _, _ -> String in
            throw RPCError(.rateLimited, "slow down", details: ["retry_after_ms": "1500"])
        }
        router.put("/things/:id") { _, _ in Response.noContent }
        router.get("/echo") { request, _ in String(request.uri.queryParameters["q"] ?? "-") }
        router.get("/remote-fault") { _, _ -> String in throw RPCError(.internalError, "stack trace") }
        RoostRouter.closeMethods(of: router)
        try await Application(router: router, logger: logger).test(.router) { try await body($0) }
    }

    private func problem(_ response: TestResponse) throws -> ProblemBody {
        #expect(response.headers[.contentType] == "application/problem+json")
        let body = try JSONDecoder().decode(ProblemBody.self, from: Data(response.body.readableBytesView))
        #expect(body.status == response.status.code && body.type == "about:blank" && !body.title.isEmpty)
        return body
    }

    struct ProblemBody: Decodable {
        var type: String
        var title: String
        var status: Int
        var detail: String
        var code: String
        var errors: [FieldError]
    }

    private let json: HTTPFields = [.contentType: "application/json"]

    @Test func aGoodBodyComesBackInSnakeCase() async throws {
        try await withClient { client in
            let text =
                #"{"customer_name":"Ann","items":[{"product_name":"tea","count":2}],"placed_at":"2026-11-20T10:00:00Z"}"#
            let response = try await client.executeRequest(
                uri: "/orders", method: .post, headers: json, body: ByteBuffer(string: text))
            #expect(response.status == .created)
            let body = String(buffer: response.body)
            #expect(body.contains(#""placed_at":"2026-11-20T10:00:00.000Z""#))
            #expect(body.contains(#""product_name":"tea""#))
            #expect(response.headers[.requestID]?.count == 16)
        }
    }

    @Test(arguments: [
        (#"{"items":[]}"#, "customer_name", "is missing"),
        (#"{"customer_name":null,"items":[]}"#, "customer_name", "must not be null"),
        (#"{"customer_name":7,"items":[]}"#, "customer_name", "must be a string"),
        (#"{"customer_name":"A","items":{}}"#, "items", "must be a list"),
        (
            #"{"customer_name":"A","items":[{"product_name":"t","count":"2"}]}"#, "items.0.count",
            "must be a whole number"
        ),
        (#"{"customer_name":"A","items":[{"count":2}]}"#, "items.0.product_name", "is missing"),
        (#"{"customer_name":"A","items":[],"placed_at":"noon"}"#, "placed_at", "must be a time"),
    ])
    func aWrongMemberIsNamed(text: String, field: String, message: String) async throws {
        try await withClient { client in
            let response = try await client.executeRequest(
                uri: "/orders", method: .post, headers: json, body: ByteBuffer(string: text))
            #expect(response.status == .badRequest)
            let problem = try problem(response)
            #expect(problem.code == "invalid")
            #expect(problem.errors.first?.field == field)
            #expect(problem.errors.first?.message.hasPrefix(message) == true, "\(problem.errors)")
        }
    }

    @Test func whatIsNotJSONIsInvalid() async throws {
        let deep = Array(repeating: UInt8(ascii: "["), count: 60_000)
        let bodies: [[UInt8]] = [
            Array("{".utf8), Array("[1]".utf8), [],
            Array(#"{"customer_name":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8),
            deep,
        ]
        try await withClient { client in
            for body in bodies {
                let response = try await client.executeRequest(
                    uri: "/orders", method: .post, headers: json, body: ByteBuffer(bytes: body))
                #expect(response.status == .badRequest)
                #expect(try problem(response).code == "invalid")
            }
        }
    }

    @Test func contentTypeAndSize() async throws {
        try await withClient { client in
            for type in ["text/plain", "application/x-www-form-urlencoded", nil] {
                var headers: HTTPFields = [:]
                headers[.contentType] = type
                let response = try await client.executeRequest(
                    uri: "/orders", method: .post, headers: headers, body: ByteBuffer(string: "{}"))
                #expect(response.status == .unsupportedMediaType)
                #expect(try problem(response).code == "unsupported_media")
            }
            let large = try await client.executeRequest(
                uri: "/orders", method: .post, headers: [.contentType: "application/json; charset=utf-8"],
                body: ByteBuffer(repeating: 0x20, count: (64 << 10) + 1))
            #expect(large.status == .contentTooLarge)
            #expect(try problem(large).code == "too_large")
            for (size, status) in [((64 << 10) + 1, HTTPResponse.Status.badRequest), ((1 << 20) + 1, .contentTooLarge)]
            {
                let known = try await client.executeRequest(
                    uri: "/orders", method: .post,
                    headers: [.contentType: "application/json", .authorization: "Bearer operator"],
                    body: ByteBuffer(repeating: 0x20, count: size))
                #expect(known.status == status)
            }
        }
    }

    @Test func unknownPathsAndIdentifiers() async throws {
        try await withClient { client in
            for path in ["/nowhere", "/orders/abc", "/orders/0", "/orders/9223372036854775808"] {
                let response = try await client.executeRequest(uri: path, method: .get, headers: [:], body: nil)
                #expect(response.status == .notFound)
                #expect(try problem(response).code == "not_found")
            }
        }
    }

    @Test func otherMethodsOfAKnownPath() async throws {
        try await withClient { client in
            for (path, method, allow) in [
                ("/orders", HTTPRequest.Method.get, "OPTIONS, POST"), ("/orders", .trace, "OPTIONS, POST"),
                ("/mine", .post, "GET, HEAD, OPTIONS"), ("/things/x", .head, "OPTIONS, PUT"),
                ("/things/x", .delete, "OPTIONS, PUT"),
            ] {
                let response = try await client.executeRequest(uri: path, method: method, headers: [:], body: nil)
                #expect(response.status == .methodNotAllowed && response.headers[.allow] == allow, "\(method) \(path)")
                if method == .head {
                    #expect(response.body.readableBytes == 0)
                } else {
                    #expect(try problem(response).code == "invalid")
                }
            }
            let options = try await client.executeRequest(uri: "/orders", method: .options, headers: [:], body: nil)
            #expect(options.status == .noContent && options.headers[.allow] == "OPTIONS, POST")
            let head = try await client.executeRequest(uri: "/page", method: .head, headers: [:], body: nil)
            #expect(head.status == .ok && head.body.readableBytes == 0)
            let nowhere = try await client.executeRequest(uri: "/nowhere", method: .head, headers: [:], body: nil)
            #expect(nowhere.status == .notFound && nowhere.body.readableBytes == 0)
        }
    }

    @Test func pathsAndQueriesAreText() async throws {
        try await withClient { client in
            for target in [
                "/echo?q=%", "/echo?q=%4", "/echo?q=%zz", "/echo?q=%00", "/echo?q=%C3%28", "/orders/%00", "/%ff",
                "/echo?%ff=1",
            ] {
                let response = try await client.executeRequest(uri: target, method: .get, headers: [:], body: nil)
                #expect(response.status == .badRequest, "\(target)")
                #expect(try problem(response).code == "invalid")
            }
            for (query, text) in [("a+b%20c%2Bd", "a b c+d"), ("", ""), ("%E2%82%AC", "€"), ("1+1=2", "1 1=2")] {
                let response = try await client.executeRequest(
                    uri: "/echo?q=\(query)", method: .get, headers: [:], body: nil)
                #expect(String(buffer: response.body) == text)
            }
        }
    }

    @Test func noTextHasNUL() async throws {
        try await withClient { client in
            func post(_ text: String) async throws -> TestResponse {
                try await client.executeRequest(
                    uri: "/orders", method: .post, headers: json, body: ByteBuffer(string: text))
            }
            let bad = try await post(
                #"{"customer_name":"a\u0000","items":[{"product_name":"b\\\u0000","count":1}],"x\u0000":1}"#)
            #expect(bad.status == .badRequest)
            #expect(try problem(bad).errors.map(\.field) == ["customer_name", "items.0.product_name", ""])
            let good = try await post(#"{"customer_name":"a\\u0000","items":[],"other":[{}]}"#)
            #expect(good.status == .created)
        }
    }

    @Test func ourFaultsTellNothing() async throws {
        try await withClient { client in
            for path in ["/fault", "/remote-fault"] {
                let response = try await client.executeRequest(uri: path, method: .get, headers: [:], body: nil)
                #expect(response.status == .internalServerError)
                #expect(try problem(response).code == "internal")
                #expect(!String(buffer: response.body).contains("hunter2"))
                #expect(!String(buffer: response.body).contains("stack"))
            }
        }
    }

    @Test func retryAfterIsWholeSecondsRoundedUp() async throws {
        try await withClient { client in
            let response = try await client.executeRequest(uri: "/busy", method: .get, headers: [:], body: nil)
            #expect(response.status == .tooManyRequests)
            #expect(response.headers[.retryAfter] == "2")
            #expect(try problem(response).code == "rate_limited")
        }
    }

    @Test func whoMayDoWhat() async throws {
        try await withClient { client in
            let cases: [(String, String?, Int)] = [
                ("/mine", nil, 401), ("/mine", "Bearer operator", 401), ("/mine", "Bearer a.b.c", 401),
                ("/ops", nil, 401), ("/ops", "Bearer operator", 200), ("/ops", "bearer operator", 200),
                ("/ops", "Bearer operator2", 401), ("/ops", "Basic operator", 401), ("/ops", "Bearer", 401),
            ]
            for (path, authorization, status) in cases {
                var headers: HTTPFields = [:]
                headers[.authorization] = authorization
                let response = try await client.executeRequest(uri: path, method: .get, headers: headers, body: nil)
                #expect(response.status.code == status, "\(path) \(authorization ?? "-")")
                if status == 401 {
                    #expect(response.headers[.wwwAuthenticate] == "Bearer")
                    #expect(try problem(response).code == "unauthorized")
                }
            }
        }
        try await withClient(admin: "") { client in
            let response = try await client.executeRequest(
                uri: "/ops", method: .get, headers: [.authorization: "Bearer "], body: nil)
            #expect(response.status == .unauthorized)
        }
    }

    @Test func pages() async throws {
        try await withClient { client in
            let plain = try await client.executeRequest(uri: "/page", method: .get, headers: [:], body: nil)
            #expect(String(buffer: plain.body).contains(#""next":null"#))
            #expect(String(buffer: plain.body).contains(#""items":[50]"#))
            let second = try await client.executeRequest(
                uri: "/page?limit=7&cursor=abc", method: .get, headers: [:], body: nil)
            #expect(String(buffer: second.body).contains(#""next":"abc""#))
            for limit in ["0", "101", "x", "-1", ""] {
                let bad = try await client.executeRequest(
                    uri: "/page?limit=\(limit)", method: .get, headers: [:], body: nil)
                #expect(bad.status == .badRequest)
                #expect(try problem(bad).errors.first?.field == "limit")
            }
        }
    }

    @Test func fieldChecksTellAllAtOnce() {
        var checks = FieldChecks()
        checks.check("a", false, "is bad")
        checks.check("b", true, "is fine")
        checks.check("c", false, "is worse")
        let problem = #expect(throws: Problem.self) { try checks.finish() }
        #expect(problem?.errors.map(\.field) == ["a", "c"])
    }

    @Test func forwardedAddressesAreBelievedOnlyFromProxies() {
        let proxies = TrustedProxies.loopback
        #expect(proxies.trusts("127.0.0.1") && proxies.trusts("::1") && proxies.trusts("::ffff:127.0.0.1"))
        #expect(!proxies.trusts("10.0.0.1") && !proxies.trusts("") && !proxies.trusts("localhost"))
        #expect(proxies.client(forwarded: "6.6.6.6, 1.2.3.4", peer: "127.0.0.1") == "1.2.3.4")
        #expect(proxies.client(forwarded: "1.2.3.4, 127.0.0.1", peer: "127.0.0.1") == "1.2.3.4")
        #expect(proxies.client(forwarded: "1.2.3.4, junk", peer: "127.0.0.1") == "127.0.0.1")
        #expect(proxies.client(forwarded: "2001:db8::1", peer: "127.0.0.1") == "2001:db8::1")
        let block = TrustedProxies(list: "10.16.0.0/12, 2001:db8::/32")
        #expect(block?.trusts("10.31.255.255") == true && block?.trusts("10.32.0.0") == false)
        #expect(block?.trusts("2001:db8:1::1") == true && block?.trusts("2001:db9::1") == false)
        #expect(TrustedProxies(list: "nonsense") == nil && TrustedProxies(list: "1.2.3.4/x") == nil)
    }
}

import AsyncHTTPClient
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import Testing

@testable import LocalCluster

/// The real nginx with the real template; what stands behind it is staged.
@Suite(.serialized, .timeLimit(.minutes(2))) struct GatewayTests {
    static let template = LocalClusterTests.repository + "/infra/nginx/nginx.conf.template"

    @Test func everyPlaceholderHasAValue() throws {
        let configuration = GatewayConfiguration(
            listen: ["127.0.0.1:80", "[::1]:80"], pages: "/a b/pages", discovery: ["127.0.0.1:1", "127.0.0.1:2"])
        let text = try configuration.render(readFile(Self.template))
        #expect(text.contains("listen 127.0.0.1:80 reuseport backlog=4096; listen [::1]:80 reuseport"))
        #expect(text.contains("server 127.0.0.1:1 max_fails=0; server 127.0.0.1:2 max_fails=0;"))
        #expect(text.contains("root \"/a b/pages\";"))
        #expect(text.contains("connect-src 'self';"))
        #expect(throws: LocalClusterError.self) { try configuration.render("@@listen@@") }
        #expect(throws: LocalClusterError.self) { try configuration.render(readFile(Self.template) + "@@new@@") }
    }

    @Test(arguments: ["/a\"b", "/a$b", "/a\nb"])
    func refusesWhatWouldEndAString(pages: String) throws {
        let configuration = GatewayConfiguration(listen: ["127.0.0.1:80"], pages: pages, discovery: ["127.0.0.1:1"])
        #expect(throws: LocalClusterError.self) { try configuration.render(readFile(Self.template)) }
    }

    @Test func sendsEachRequestWhereDiscoverySays() async throws {
        try await withGateway { gateway in
            let answer = try await gateway.get(
                "/user-service/v1/users/7?x=%2F1", headers: [("X-Forwarded-For", "6.6.6.6"), ("X-Request-Id", "mine")])
            #expect(answer.status == 200)
            #expect(answer.body == "one")
            let asked = try #require(gateway.routes.last)
            #expect(asked.uri == "/_route?role=users&node=&exclude=")
            #expect(asked.header("Authorization") == nil)
            let got = try #require(gateway.one.requests.last)
            #expect(got.uri == "/user-service/v1/users/7?x=%2F1")
            #expect(got.header("X-Forwarded-For") == "127.0.0.1")
            #expect(got.header("X-Forwarded-Proto") == "http")
            #expect(got.header("Host") == gateway.address)
            #expect(got.header("X-Request-Id") != "mine")
            #expect(answer.headers["X-Request-Id"] == [got.header("X-Request-Id")])
            #expect(answer.headers["X-Content-Type-Options"] == ["nosniff"])
            #expect(answer.headers["Cache-Control"] == [])
        }
    }

    @Test(arguments: [
        ("/group-message-service/v1/x", "group-messages"), ("/last-seen-service/v1/users", "last-seen"),
        ("/message-service/v1/messages", "messages"), ("/media-service/v1/media", "media"),
        ("/sessions-service/v1/sessions", "sessions"), ("/relay-service/v1/pending", "relay"),
        ("/notification-service/v1/x", "notifications"), ("/group-service/v1/groups", "groups"),
    ])
    func eachServiceHasItsPrefix(path: String, role: String) async throws {
        try await withGateway { gateway in
            let answer = try await gateway.get(path)
            #expect(answer.status == 200)
            #expect(gateway.routes.last?.uri == "/_route?role=\(role)&node=&exclude=")
        }
    }

    @Test(arguments: [
        "/_route?role=users", "/metrics", "/readyz", "/livez", "/unknown-service/v1/x", "/user-service/%2e%2e/metrics",
        "/chat-service/metrics", "/nothing.js",
    ])
    func whatIsNotPublicIsNotFound(path: String) async throws {
        try await withGateway { gateway in
            let answer = try await gateway.get(path)
            #expect(answer.status == 404)
            #expect(answer.code == "not_found")
            #expect(answer.headers.first(name: "Content-Type") == "application/problem+json")
            #expect(gateway.one.requests.isEmpty && gateway.other.requests.isEmpty)
        }
    }

    @Test func asksOnceMoreWhenTheInstanceIsGone() async throws {
        try await withGateway(dead: true) { gateway in
            // Nothing was sent to the dead one, so any method may be sent again.
            for method in [HTTPMethod.GET, .POST] {
                let answer = try await gateway.request(method, "/user-service/v1/x", body: "hello")
                #expect(answer.body == "other")
                #expect(gateway.routes.last?.uri == "/_route?role=users&node=&exclude=\(gateway.firstChoice)")
                #expect(gateway.other.requests.last?.method == method.rawValue)
                #expect(gateway.other.requests.last?.body == "hello")
            }
        }
    }

    @Test func whatMayHaveBeenDoneIsNotDoneTwice() async throws {
        try await withGateway(hangsUp: true) { gateway in
            let posted = try await gateway.request(.POST, "/message-service/v1/messages", body: "hello")
            #expect(posted.status == 503)
            #expect(posted.code == "unavailable")
            #expect(gateway.other.requests.isEmpty)
            let read = try await gateway.get("/message-service/v1/conversations")
            #expect(read.body == "other")
        }
    }

    @Test func saysWhenNoInstanceServes() async throws {
        try await withGateway(routes: { _ in .init(status: 503, body: "{}") }) { gateway in
            for path in ["/user-service/v1/x", "/chat-service/v1/ws?ticket=t", "/media-service/v1/media/1"] {
                let answer = try await gateway.get(path)
                #expect(answer.status == 503)
                #expect(answer.code == "unavailable")
                #expect(answer.headers["Retry-After"] == ["1"])
            }
        }
    }

    @Test func aServiceSpeaksForItself() async throws {
        try await withGateway(answer: .init(status: 503, headers: [("Retry-After", "7")], body: "its own")) { gateway in
            let answer = try await gateway.get("/user-service/v1/x")
            #expect(answer.body == "its own")
            #expect(answer.headers["Retry-After"] == ["7"])
        }
        try await withGateway(answer: .init(status: 404, body: "its own")) { gateway in
            let answer = try await gateway.get("/user-service/v1/x")
            #expect(answer.body == "its own")
        }
    }

    @Test func webSocketsGoToTheirNode() async throws {
        try await withGateway { gateway in
            let headers = [
                ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
            ]
            _ = try await gateway.get("/chat-service/v1/ws?ticket=t&node=chat-2", headers: headers)
            #expect(gateway.routes.last?.uri == "/_route?role=chat&node=chat-2&exclude=")
            let got = try #require(gateway.one.requests.last)
            #expect(got.uri == "/chat-service/v1/ws?ticket=t&node=chat-2")
            #expect(got.header("Upgrade") == "websocket")
            #expect(got.header("Connection") == "upgrade")
        }
    }

    @Test func webSocketsFindAnotherNode() async throws {
        try await withGateway(dead: true) { gateway in
            let answer = try await gateway.get("/chat-service/v1/ws?node=chat-2", headers: [("Upgrade", "websocket")])
            #expect(answer.body == "other")
            #expect(gateway.routes.last?.uri == "/_route?role=chat&node=&exclude=\(gateway.firstChoice)")
            #expect(gateway.other.requests.last?.header("Upgrade") == "websocket")
        }
    }

    @Test func bodiesAreLimited() async throws {
        try await withGateway { gateway in
            let large = String(repeating: "x", count: 1 << 21)
            let answer = try await gateway.request(.POST, "/user-service/v1/users", body: large)
            #expect(answer.status == 413)
            #expect(answer.code == "too_large")
            let media = try await gateway.request(.POST, "/media-service/v1/media", body: large)
            #expect(media.status == 200)
        }
    }

    @Test func pagesComeWithTheirTypeAndPolicy() async throws {
        try await withGateway { gateway in
            let page = try await gateway.get("/")
            #expect(page.status == 200)
            #expect(page.headers.first(name: "Content-Type") == "text/html; charset=utf-8")
            #expect(page.headers["Cache-Control"] == ["no-cache"])
            let policy = page.headers.first(name: "Content-Security-Policy") ?? ""
            #expect(policy.hasPrefix("default-src 'self'; connect-src 'self';"))
            #expect(policy.contains("frame-ancestors 'none'"))
            #expect(!policy.contains("unsafe"))
            let script = try await gateway.get("/app.js")
            #expect(script.headers.first(name: "Content-Type") == "text/javascript; charset=utf-8")
            let tag = try #require(script.headers.first(name: "ETag"))
            let unchanged = try await gateway.get("/app.js", headers: [("If-None-Match", tag)])
            #expect(unchanged.status == 304)
            let posted = try await gateway.request(.POST, "/app.js", body: "x")
            #expect(posted.status == 405)
            #expect(posted.headers.first(name: "Content-Type") == "application/problem+json")
            #expect(posted.headers["Allow"] == ["GET, HEAD"])
            #expect(page.headers["Allow"] == [])
        }
    }

    @Test func theInterfaceIsDescribed() async throws {
        try await withGateway { gateway in
            let page = try await gateway.get("/docs")
            #expect(page.status == 200)
            #expect(page.headers.first(name: "Content-Type") == "text/html; charset=utf-8")
            let document = try await gateway.get("/openapi.json")
            #expect(document.headers.first(name: "Content-Type") == "application/json; charset=utf-8")
            #expect(document.body.contains("\"openapi\": \"3.1.0\""))
        }
    }

    @Test func aURLHoldsFiveHundredIDs() async throws {
        try await withGateway { gateway in
            let ids = Array(repeating: "9223372036854775807", count: 500).joined(separator: ",")
            let answer = try await gateway.get("/last-seen-service/v1/users?ids=\(ids)")
            #expect(answer.status == 200)
            let long = try await gateway.get("/last-seen-service/v1/users?ids=\(ids),\(ids)")
            #expect(long.status == 414)
            #expect(long.code == "too_large")
        }
    }

    @Test func healthIsDiscoverysWord() async throws {
        try await withGateway { gateway in
            let answer = try await gateway.get("/healthz")
            #expect(answer.body == "healthy")
        }
    }
}

/// nginx in front of a staged discovery and two staged instances, `one` and `other`.
struct StagedGateway: Sendable {
    struct Answer {
        var status: UInt
        var headers: HTTPHeaders
        var body: String

        /// Of a problem+json.
        var code: String? {
            let object = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
            return object?["code"] as? String
        }
    }

    var address: String
    /// nginx's own folder.
    var directory: String
    var firstChoice: String
    var discovery: StubServer
    var one: StubServer
    var other: StubServer

    var routes: [StubServer.Request] { discovery.requests.filter { $0.uri.hasPrefix("/_route") } }

    func get(_ path: String, headers: [(String, String)] = []) async throws -> Answer {
        try await request(.GET, path, headers: headers)
    }

    func request(
        _ method: HTTPMethod, _ path: String, headers: [(String, String)] = [], body: String = ""
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: "http://\(address)\(path)")
        request.method = method
        request.headers = HTTPHeaders(headers)
        if !body.isEmpty { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
        let buffer = try await response.body.collect(upTo: 1 << 20)
        return Answer(status: response.status.code, headers: response.headers, body: String(buffer: buffer))
    }
}

func withGateway(
    dead: Bool = false, hangsUp: Bool = false, answer: StubServer.Response = .init(body: "one"),
    routes: (@Sendable (StubServer.Request) -> StubServer.Response)? = nil,
    _ body: @escaping @Sendable (StagedGateway) async throws -> Void
) async throws {
    try await StubServer.with(answering: { _ in hangsUp ? .init(hangsUp: true) : answer }) { one in
        try await StubServer.with(answering: { _ in .init(body: "other") }) { other in
            // A port that is reserved and where no one accepts.
            let ports = Ports(range: 52_000..<56_096)
            let firstChoice = dead ? "127.0.0.1:\(try ports.take())" : one.address
            let route: @Sendable (StubServer.Request) -> StubServer.Response = { request in
                if !request.uri.hasPrefix("/_route") { return .init(body: "healthy") }
                if let routes { return routes(request) }
                let isSecond = !request.uri.hasSuffix("exclude=")
                return .init(status: 204, headers: [("X-Upstream", isSecond ? other.address : firstChoice)])
            }
            try await StubServer.with(answering: route) { discovery in
                let directory = NSTemporaryDirectory() + "roost-test-" + UUID().uuidString.prefix(8)
                defer { try? FileManager.default.removeItem(atPath: directory) }
                let data = try DataDirectory(path: directory)
                let port = try ports.take()
                let address = "127.0.0.1:\(port)"
                var configuration = GatewayConfiguration(
                    listen: [address], pages: LocalClusterTests.repository + "/Sources/WebClient/Public",
                    discovery: [discovery.address])
                configuration.files = 512
                let part = SupervisedPart(
                    GatewayPart.definition(
                        data: data, programs: try Programs.find(), share: LocalClusterTests.repository,
                        configuration: configuration, port: port),
                    policy: .init(), data: data, run: "test", report: { _, _ in })
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await part.run() }
                    part.start()
                    try await part.untilReady(patience: .seconds(20))
                    try await body(
                        StagedGateway(
                            address: address, directory: data.state(of: GatewayPart.name), firstChoice: firstChoice,
                            discovery: discovery, one: one, other: other))
                    await part.stop()
                    group.cancelAll()
                }
            }
        }
    }
}

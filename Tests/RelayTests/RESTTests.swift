import ChatModel
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import Relay
import ServiceKit
import Testing

@testable import Messages

extension DatabaseTests {
    @Suite(.serialized) struct RESTTests {
        @Test func aMessageGoesOutOnceAndIsRead() async throws {
            try await REST.run { rest in
                let sent = try await rest.call(
                    1, .post, "/message-service/v1/messages",
                    ["to": "2", "client_id": "c1", "body": ["text": "héllo", "format": "markdown"]])
                #expect(sent.status == .created)
                let conversation = try #require(sent["conversation"] as? String)
                #expect(sent["seq"] as? Int == 1)
                #expect(sent["id"] as? String == "\(conversation)-1")
                #expect(sent["kind"] as? String == "message")
                #expect(sent["sender"] as? String == "1")
                #expect(sent["client_id"] as? String == "c1")
                #expect((sent["sent_at"] as? String)?.hasSuffix("Z") == true)
                #expect((sent["body"] as? [String: Any])?["format"] as? String == "markdown")

                // Again, saying something else: the first one is the answer.
                let again = try await rest.call(
                    1, .post, "/message-service/v1/messages",
                    ["conversation": conversation, "client_id": "c1", "body": ["text": "other"]])
                #expect(again.status == .ok)
                #expect((again["body"] as? [String: Any])?["text"] as? String == "héllo")

                let list = try await rest.call(2, .get, "/message-service/v1/conversations")
                let item = try #require((list["items"] as? [[String: Any]])?.first)
                #expect(item["id"] as? String == conversation)
                #expect(item["kind"] as? String == "direct")
                #expect((item["peer"] as? [String: Any])?["username"] as? String == "user1")
                #expect((item["peer"] as? [String: Any])?.keys.contains("avatar") == true)
                #expect(item["unread"] as? Int == 1)
                #expect(item["mentions"] as? Int == 0)
                #expect(item["muted"] as? Bool == false)
                #expect((item["last_event"] as? [String: Any])?["client_id"] == nil)
                #expect(list.json?.keys.contains("next") == true)

                let path = "/message-service/v1/conversations/\(conversation)"
                #expect(try await rest.call(2, .put, path + "/read", ["seq": 1]).status == .noContent)
                let receipts = try await rest.call(1, .get, path + "/messages/\(conversation)-1/receipts")
                #expect(receipts["read"] as? [String] == ["2"])
                #expect(receipts["delivered"] as? [String] == ["2"])
                #expect(
                    try await rest.call(2, .put, path + "/mute", ["until": "2999-01-01T00:00:00.000Z"]).status
                        == .noContent)
                let muted = try await rest.call(2, .get, "/message-service/v1/conversations")
                #expect((muted["items"] as? [[String: Any]])?.first?["muted"] as? Bool == true)
                #expect((muted["items"] as? [[String: Any]])?.first?["unread"] as? Int == 0)
                #expect(try await rest.call(2, .put, path + "/mute", ["until": NSNull()]).status == .noContent)
            }
        }

        @Test func historyIsPaged() async throws {
            try await REST.run { rest in
                var conversation = ""
                for index in 1...5 {
                    conversation = try #require(
                        try await rest.call(
                            1, .post, "/message-service/v1/messages",
                            ["to": "2", "client_id": "\(index)", "body": ["text": "\(index)"]])["conversation"]
                            as? String)
                }
                let path = "/message-service/v1/conversations/\(conversation)/messages"
                func seqs(_ answer: REST.Answer) -> [Int] {
                    (answer["items"] as? [[String: Any]] ?? []).compactMap { $0["seq"] as? Int }
                }
                let first = try await rest.call(2, .get, path + "?limit=3")
                #expect(seqs(first) == [5, 4, 3])
                let next = try #require(first["next"] as? String)
                let second = try await rest.call(2, .get, path + "?limit=3&cursor=\(next)")
                #expect(seqs(second) == [2, 1])
                #expect(second["next"] is NSNull || second["next"] == nil)
                #expect(seqs(try await rest.call(2, .get, path + "?before=3")) == [2, 1])
                #expect(seqs(try await rest.call(2, .get, path + "?after=3")) == [4, 5])
                #expect(seqs(try await rest.call(2, .get, path + "?after=0&limit=1")) == [1])
            }
        }

        @Test func badRequestsSayWhatIsWrong() async throws {
            try await REST.run { rest in
                let path = "/message-service/v1/messages"
                func expect(
                    _ body: [String: Any], _ status: HTTPResponse.Status, _ code: String, _ field: String?
                ) async throws {
                    let answer = try await rest.call(1, .post, path, body)
                    #expect(answer.status == status, "\(body) \(answer.text)")
                    #expect(answer["code"] as? String == code, "\(body) \(answer.text)")
                    let fields = (answer["errors"] as? [[String: Any]] ?? []).compactMap { $0["field"] as? String }
                    if let field { #expect(fields == [field], "\(body) \(answer.text)") }
                }
                let long = String(repeating: "x", count: 16 * 1024 + 1)
                let ok: [String: Any] = ["text": "x"]
                try await expect(["client_id": "a", "body": ok], .badRequest, "invalid", "conversation")
                try await expect(
                    ["to": "2", "conversation": "3", "client_id": "a", "body": ok], .badRequest, "invalid",
                    "conversation")
                try await expect(["to": "2", "body": ok], .badRequest, "invalid", "client_id")
                try await expect(["to": "2", "client_id": "", "body": ok], .badRequest, "invalid", "client_id")
                try await expect(["to": "2", "client_id": 5, "body": ok], .badRequest, "invalid", "client_id")
                try await expect(["to": "2", "client_id": "a\0", "body": ok], .badRequest, "invalid", "client_id")
                try await expect(
                    ["to": "2", "client_id": String(repeating: "x", count: 65), "body": ok], .contentTooLarge,
                    "too_large", "client_id")
                try await expect(["to": "2", "client_id": "a"], .badRequest, "invalid", "body")
                try await expect(["to": "2", "client_id": "a", "body": [:]], .badRequest, "invalid", "body.text")
                try await expect(
                    ["to": "2", "client_id": "a", "body": ["text": ""]], .badRequest, "invalid", "body.text")
                try await expect(
                    ["to": "2", "client_id": "a", "body": ["text": long]], .contentTooLarge, "too_large", "body.text")
                try await expect(
                    ["to": "2", "client_id": "a", "body": ["text": "x", "format": "html"]], .badRequest, "invalid",
                    "body.format")
                try await expect(
                    ["to": "2", "client_id": "a", "body": ["text": "x", "mentions": ["nobody"]]], .badRequest,
                    "invalid", "body.mentions")
                try await expect(["to": "x", "client_id": "a", "body": ok], .badRequest, "invalid", "to")
                try await expect(
                    ["to": "99999999999999999999", "client_id": "a", "body": ok], .badRequest, "invalid", "to")
                try await expect(["to": "404", "client_id": "a", "body": ok], .notFound, "not_found", nil)
                try await expect(["conversation": "12345", "client_id": "a", "body": ok], .notFound, "not_found", nil)
                let foreign = try await rest.bench.direct(2, 3)
                try await expect(
                    ["conversation": "\(foreign)", "client_id": "a", "body": ok], .forbidden, "forbidden", nil)
                let base = "/message-service/v1/conversations"
                #expect(try await rest.call(1, .get, base + "/\(foreign)/messages").status == .forbidden)
                #expect(try await rest.call(1, .get, base + "/x/messages").status == .notFound)
                #expect(try await rest.call(1, .get, base + "/\(foreign)/messages?before=x").status == .badRequest)
                #expect(try await rest.call(1, .get, base + "?cursor=x").status == .badRequest)
                #expect(try await rest.call(1, .get, base + "?limit=0").status == .badRequest)
                #expect(try await rest.call(1, .put, base + "/\(foreign)/read", ["seq": 1]).status == .notFound)
                #expect(try await rest.call(1, .put, base + "/\(foreign)/read", ["seq": -1]).status == .badRequest)
                #expect(
                    try await rest.call(1, .put, base + "/\(foreign)/mute", ["until": "soon"]).status == .badRequest)
                #expect(try await rest.call(nil, .get, base).status == .unauthorized)
            }
        }

        @Test func aDeviceWithoutASocketPolls() async throws {
            try await REST.run { rest in
                let conversation = try await rest.bench.direct(1, 2)
                func items(_ answer: REST.Answer) -> [Int] {
                    (answer["items"] as? [[String: Any]] ?? []).compactMap { $0["seq"] as? Int }
                }
                let nothing = try await rest.call(2, .get, "/relay-service/v1/events")
                #expect(items(nothing).isEmpty && nothing["more"] as? Bool == false)
                async let polled = rest.call(2, .get, "/relay-service/v1/events?wait_s=20")
                try await Task.sleep(for: .milliseconds(100))
                for index in 1...3 { try await rest.bench.send(conversation, from: 1, "\(index)") }
                #expect(items(try await polled).first == 1)
                let page = try await rest.call(2, .get, "/relay-service/v1/events?limit=2")
                #expect(items(page) == [1, 2] && page["more"] as? Bool == true)
                let pending = try await rest.call(2, .get, "/relay-service/v1/pending")
                #expect(pending["total"] as? Int == 3)
                #expect(pending["device"] as? String == "20")
                #expect((pending["conversations"] as? [[String: Any]])?.first?["pending"] as? Int == 3)
                let received = "/relay-service/v1/received"
                #expect(
                    try await rest.call(2, .post, received, ["cursors": ["\(conversation)": 2]]).status == .noContent)
                #expect(items(try await rest.call(2, .get, "/relay-service/v1/events")) == [3])
                #expect(
                    try await rest.call(2, .post, received, ["cursors": ["\(conversation)": 99]]).status == .noContent)
                #expect(try await rest.call(2, .get, "/relay-service/v1/pending")["total"] as? Int == 0)
                #expect(try await rest.call(2, .post, received, ["cursors": ["x": 1]]).status == .badRequest)
                #expect(try await rest.call(2, .post, received, ["cursors": 1]).status == .badRequest)
                #expect(try await rest.call(2, .get, "/relay-service/v1/events?wait_s=31").status == .badRequest)
                #expect(try await rest.call(nil, .get, "/relay-service/v1/pending").status == .unauthorized)
            }
        }

        /// Groups, their changes included, also for who was removed.
        @Test func whoWasRemovedPollsUntilTheEnd() async throws {
            try await REST.run { rest in
                let scribe = Scribe(rest.bench)
                try await rest.bench.group(11, [1])
                try await scribe.rename(11, "The group", members: 1)
                try await scribe.change(11, 2, .joined)
                try await rest.bench.send(11, from: 1, "1", text: "to be deleted")
                try await scribe.delete(11, 3, by: 1)
                try await scribe.rename(11, "Another name", members: 2)
                try await scribe.change(11, 2, .removed)
                try await rest.bench.send(11, from: 1, "2")
                func pending() async throws -> [[Int]] {
                    let answer = try await rest.call(2, .get, "/relay-service/v1/pending")
                    return (answer["conversations"] as? [[String: Any]] ?? []).map { item in
                        ["delivered", "head", "pending"].compactMap { item[$0] as? Int }
                    }
                }
                #expect(try await pending() == [[1, 6, 5]])
                let page = try await rest.call(2, .get, "/relay-service/v1/events")
                let items = try #require(page["items"] as? [[String: Any]])
                #expect(items.compactMap { $0["seq"] as? Int } == [2, 3, 4, 5, 6])
                #expect(
                    items.compactMap { $0["kind"] as? String } == ["member", "message", "delete", "group", "member"])
                #expect(items[0]["change"] as? String == "joined" && items[0]["user"] as? String == "2")
                #expect(items[1]["deleted"] as? Bool == true && items[1]["body"] == nil)
                #expect((items[3]["group"] as? [String: Any])?["name"] as? String == "Another name")
                #expect(items[4]["change"] as? String == "removed")
                let received = try await rest.call(
                    2, .post, "/relay-service/v1/received", ["cursors": ["11": 6]])
                #expect(received.status == .noContent)
                #expect(try await pending().isEmpty)
                let rest = try await rest.call(2, .get, "/relay-service/v1/events")
                #expect((rest["items"] as? [Any])?.isEmpty == true)
            }
        }
    }
}

/// The routes of relay and messages on a relay, the calls between them over TCP.
struct REST: Sendable {
    struct Answer {
        var status: HTTPResponse.Status
        var text: String
        var json: [String: Any]?
        subscript(name: String) -> Any? { json?[name] }
    }

    /// Users 1...9 exist.
    private struct FakeUsers: UsersService {
        func blocking(_ request: UsersBlockingRequest, context: RPCContext) async throws -> UsersBlockingResponse {
            throw RPCError(.unimplemented, "Not yet.")
        }

        func authenticate(
            _ request: UsersAuthenticateRequest, context: RPCContext
        ) async throws -> UsersAuthenticateResponse { UsersAuthenticateResponse() }
        func keys(_ request: UsersKeysRequest, context: RPCContext) async throws -> UsersKeysResponse {
            UsersKeysResponse()
        }
        func profiles(
            _ request: UsersProfilesRequest, context: RPCContext
        ) async throws -> UsersProfilesResponse {
            var response = UsersProfilesResponse()
            response.profiles = request.ids.filter { $0 < 10 }.map { id in
                var profile = UsersProfile()
                profile.id = id
                profile.username = "user\(id)"
                profile.displayName = "User \(id)"
                profile.readReceipts = true
                return profile
            }
            return response
        }
        func revocations(
            _ request: UsersRevocationsRequest, writer: RPCStreamWriter<UsersRevocationsPage>, context: RPCContext
        ) async throws {}
    }

    /// `Authorization: <n>` is user n with device 10 n.
    private struct Identify: RouterMiddleware {
        typealias Context = RoostRequestContext
        @concurrent func handle(
            _ request: Request, context: RoostRequestContext,
            next: @concurrent (Request, RoostRequestContext) async throws -> Response
        ) async throws -> Response {
            var context = context
            if let user = request.headers[.authorization].flatMap({ UInt64($0) }) {
                context.authentication = .user(
                    Identity(user: UserID(rawValue: user), device: DeviceID(rawValue: user * 10)))
            }
            return try await next(request, context)
        }
    }

    let bench: Bench
    let client: any TestClientProtocol

    static func run(_ body: @escaping @Sendable (REST) async throws -> Void) async throws {
        try await Bench.run { bench in
            let group = MultiThreadedEventLoopGroup.singleton
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let identity = RPCIdentity(role: "test", id: "test")
            let server = RPCServer(
                configuration: .init(identity: identity, security: .sharedKey("secret")),
                services: [RelayRegistration(bench.relay), UsersRegistration(FakeUsers())], eventLoopGroup: group,
                logger: logger)
            let pool = RPCPool(
                role: "relay", configuration: .init(identity: identity, security: .sharedKey("secret")),
                eventLoopGroup: group, logger: logger)
            try await withThrowingTaskGroup { tasks in
                tasks.addTask { try await server.run() }
                tasks.addTask { await pool.run() }
                defer { tasks.cancelAll() }
                pool.update([RPCPeer(id: "test", address: try await server.boundAddress(), epoch: 1)])
                let router = Router(context: RoostRequestContext.self)
                router.addMiddleware {
                    ProblemMiddleware()
                    Identify()
                }
                MessagesRoutes(core: MessagesCore(kind: .direct, users: UsersStub(pool), relay: RelayStub(pool)))
                    .add(to: router)
                RelayRoutes(core: bench.relay).add(to: router)
                try await Application(router: router).test(.router) { client in
                    try await body(REST(bench: bench, client: client))
                }
            }
        }
    }

    func call(
        _ user: UInt64?, _ method: HTTPRequest.Method, _ path: String, _ body: [String: Any]? = nil
    ) async throws -> Answer {
        var headers: HTTPFields = [:]
        if let user { headers[.authorization] = "\(user)" }
        var buffer: ByteBuffer?
        if let body {
            headers[.contentType] = "application/json"
            buffer = ByteBuffer(string: Self.json(body))
        }
        let (status, text) = try await client.execute(uri: path, method: method, headers: headers, body: buffer) {
            ($0.status, String(buffer: $0.body))
        }
        return Answer(status: status, text: text, json: JSONText.object(text))
    }

    private static func json(_ value: Any) -> String {
        switch value {
        case let value as [String: Any]:
            "{" + value.map { json($0.key) + ":" + json($0.value) }.joined(separator: ",") + "}"
        case let value as [Any]: "[" + value.map { json($0) }.joined(separator: ",") + "]"
        case let value as String:
            "\""
                + value.unicodeScalars.map {
                    $0.value < 32 ? "\\u00\($0.value < 16 ? "0" : "")" + String($0.value, radix: 16) : String($0)
                }.joined() + "\""
        case let value as Int: String(value)
        case let value as Bool: value ? "true" : "false"
        case _: "null"
        }
    }
}

/// A member that is null.
struct NSNull {}

/// JSON as plain values, for tests to look into.
enum JSONText {
    private enum Value: Decodable {
        case object([String: Value])
        case list([Value])
        case text(String)
        case number(Int)
        case truth(Bool)
        case null

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .truth(value)
            } else if let value = try? container.decode(Int.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .text(value)
            } else if let value = try? container.decode([Value].self) {
                self = .list(value)
            } else {
                self = .object(try container.decode([String: Value].self))
            }
        }

        var plain: Any {
            switch self {
            case .object(let members): members.mapValues(\.plain)
            case .list(let values): values.map(\.plain)
            case .text(let value): value
            case .number(let value): value
            case .truth(let value): value
            case .null: NSNull()
            }
        }
    }

    static func object(_ text: String) -> [String: Any]? {
        (try? JSONDecoder().decode(Value.self, from: Data(text.utf8)))?.plain as? [String: Any]
    }
}

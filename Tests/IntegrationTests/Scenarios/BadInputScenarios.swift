import Client
import Foundation
import LocalCluster
import NIOCore
import NIOPosix
import NIOWebSocket
import Testing

extension ClusterSuite {
    /// Clients that lie, err or mean harm.
    @Suite struct BadInputScenarios {
        /// A call, and the code that the contract has for it.
        struct Bad: CustomTestStringConvertible, Sendable {
            var method: String
            var path: String
            var body: String?
            var status: Int
            var code: String
            /// The field that the errors must name.
            var field: String?
            var testDescription: String { "\(method) \(path) \(body?.prefix(60) ?? "")" }
        }

        static let calls: [Bad] = {
            let users = "/user-service/v1/users"
            let messages = "/message-service/v1/messages"
            func invalid(_ path: String, _ body: String, _ field: String?, method: String = "POST") -> Bad {
                Bad(method: method, path: path, body: body, status: 400, code: "invalid", field: field)
            }
            let long = String(repeating: "x", count: 300)
            return [
                invalid(users, "", nil),
                invalid(users, "{", nil),
                invalid(users, "[]", nil),
                invalid(users, "null", nil),
                invalid(users, #"{"email":"a@example.org","password":"a long day at the lake"}"#, "username"),
                invalid(
                    users, #"{"username":7,"email":"a@example.org","password":"a long day at the lake"}"#, "username"),
                invalid(
                    users, #"{"username":"a","email":"a@example.org","password":"a long day at the lake"}"#, "username"),
                invalid(
                    users, #"{"username":"A B","email":"a@example.org","password":"a long day at the lake"}"#,
                    "username"),
                invalid(
                    users, #"{"username":"\#(long)","email":"a@example.org","password":"a long day at the lake"}"#,
                    "username"),
                invalid(
                    users, #"{"username":"abc\u0000","email":"a@example.org","password":"a long day at the lake"}"#,
                    "username"),
                invalid(
                    users, #"{"username":"fine-name","email":"nowhere","password":"a long day at the lake"}"#, "email"),
                invalid(users, #"{"username":"fine-name","email":"a@example.org"}"#, "password"),
                invalid(users, #"{"username":"fine-name","email":"a@example.org","password":"short"}"#, "password"),
                invalid(users, #"{"username":"fine-name","email":"a@example.org","password":"password1"}"#, "password"),
                invalid(users, #"{"username":"fine-name","email":"a@example.org","password":"\#(long)"}"#, "password"),
                invalid("/user-service/v1/sessions", #"{"login":"x"}"#, "password"),
                invalid("/user-service/v1/sessions", #"{"login":["x"],"password":"y"}"#, "login"),
                invalid("/user-service/v1/sessions/refresh", "{}", "refresh_token"),
                invalid(messages, "{}", nil),
                invalid(messages, #"{"to":"1","client_id":"c"}"#, "body"),
                invalid(messages, #"{"to":"1","client_id":"c","body":{}}"#, nil),
                invalid(messages, #"{"to":"1","client_id":"c","body":{"text":""}}"#, nil),
                invalid(messages, #"{"to":"1","client_id":"c","body":{"text":7}}"#, nil),
                invalid(messages, #"{"to":"1","client_id":"c","body":"text"}"#, nil),
                invalid(messages, #"{"to":"1","client_id":"","body":{"text":"x"}}"#, "client_id"),
                Bad(
                    method: "POST", path: messages, body: #"{"to":"1","client_id":"\#(long)","body":{"text":"x"}}"#,
                    status: 413, code: "too_large", field: "client_id"),
                invalid(messages, #"{"to":"1","client_id":"c","body":{"text":"x","format":"html"}}"#, nil),
                invalid(messages, #"{"to":"not an id","client_id":"c","body":{"text":"x"}}"#, "to"),
                invalid("/relay-service/v1/received", #"{"cursors":7}"#, "cursors"),
                Bad(
                    method: "GET", path: "/message-service/v1/conversations?limit=0", status: 400, code: "invalid",
                    field: "limit"),
                Bad(
                    method: "GET", path: "/message-service/v1/conversations?limit=101", status: 400, code: "invalid",
                    field: "limit"),
                Bad(
                    method: "GET", path: "/message-service/v1/conversations?cursor=%01", status: 400, code: "invalid",
                    field: "cursor"),
                // No text at all: nobody gets as far as its names.
                Bad(method: "GET", path: "/message-service/v1/conversations?cursor=%00", status: 400, code: "invalid"),
                Bad(
                    method: "GET", path: "/message-service/v1/conversations/7/messages", status: 404, code: "not_found"),
                Bad(
                    method: "GET", path: "/message-service/v1/conversations/x/messages", status: 404, code: "not_found"),
                Bad(method: "GET", path: "/user-service/v1/users/7", status: 404, code: "not_found"),
                Bad(method: "GET", path: "/user-service/v1/nothing", status: 404, code: "not_found"),
                Bad(method: "GET", path: "/nothing-service/v1/x", status: 404, code: "not_found"),
                Bad(method: "GET", path: "/discovery-service/v1/nodes", status: 403, code: "forbidden"),
                Bad(method: "GET", path: "/last-seen-service/v1/users", status: 400, code: "invalid", field: "ids"),
                Bad(
                    method: "GET", path: "/relay-service/v1/events?wait_s=31", status: 400, code: "invalid",
                    field: "wait_s"),
            ]
        }()

        @Test(arguments: calls) func badCallsGetTheContractsError(_ bad: Bad) async throws {
            let cluster = try await TestCluster.shared()
            let account = try await cluster.someone()
            let answer = try await cluster.rest.call(
                bad.method, bad.path, token: account.accessToken, body: bad.body.map { Data($0.utf8) })
            #expect(answer.status == bad.status, "\(String(decoding: answer.body, as: UTF8.self))")
            #expect(answer.headers["content-type"]?.hasPrefix("application/problem+json") == true)
            #expect(answer.json["code"].string == bad.code)
            #expect(answer.json["status"].int == bad.status)
            if let field = bad.field {
                let fields = answer.json["errors"].array?.compactMap { $0["field"].string } ?? []
                #expect(fields.contains(field), "errors name \(fields)")
            }
        }

        @Test func bodiesThatAreNotUTF8OrNotJSONOrTooLargeAreRefused() async throws {
            let cluster = try await TestCluster.shared()
            let account = try await cluster.someone()
            let path = "/message-service/v1/messages"
            let notUTF8 = Data(#"{"to":"1","client_id":"c","body":{"text":""#.utf8) + [0xFF, 0xFE] + Data(#""}}"#.utf8)
            #expect(try await cluster.rest.call("POST", path, token: account.accessToken, body: notUTF8).status == 400)
            let deep = Data((String(repeating: "[", count: 100_000)).utf8)
            #expect(try await cluster.rest.call("POST", path, token: account.accessToken, body: deep).status == 400)
            let large = Data(repeating: 0x20, count: 2 * 1024 * 1024)
            let refused = try await cluster.rest.call("POST", path, token: account.accessToken, body: large)
            #expect(refused.status == 413)
            #expect(refused.json["code"] == "too_large")
            let xml = try await cluster.rest.call(
                "POST", path, token: account.accessToken, body: Data("<a/>".utf8), headers: ["content-type": "text/xml"]
            )
            #expect(xml.status == 415)
            #expect(xml.json["code"] == "unsupported_media")
            let text = String(repeating: "é", count: 8 * 1024 + 1)
            let long = try await account.call(
                "POST", path, ["to": "1", "client_id": "long", "body": ["text": .string(text)]])
            #expect(long.status == 400 || long.status == 413)
        }

        @Test(arguments: ["", "x", "Bearer x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."])
        func badTokensAreUnauthorized(_ token: String) async throws {
            let cluster = try await TestCluster.shared()
            for path in ["/user-service/v1/users/me", "/message-service/v1/conversations", "/relay-service/v1/pending"]
            {
                let answer = try await cluster.rest.call("GET", path, token: token)
                #expect(answer.status == 401)
                #expect(answer.json["code"] == "unauthorized")
            }
        }

        @Test(arguments: [
            #"{"type":"send","ref":"r"}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"1"}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"1","body":{"text":""}}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"x","body":{"text":"x"}}"#,
            #"{"type":"send","ref":"r","client_id":"","to":"1","body":{"text":"x"}}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"1","body":{"text":7}}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"1","conversation":"2","body":{"text":"x"}}"#,
            #"{"type":"send","ref":"r","client_id":"c","to":"1","body":{"text":"x","format":"html"}}"#,
            #"{"type":"watch","users":"x"}"#, #"{"type":"received","cursors":[]}"#,
            #"{"type":"received","cursors":{"1":-1}}"#, #"{"type":"read","conversation":"1"}"#, #"{"type":"nothing"}"#,
            #"{"type":7}"#, "{}", "[]", "null", "", "{", "hello", #"{"type":"hello"}"#,
        ])
        func malformedFramesGetAnErrorAndTheThirdCloses(_ frame: String) async throws {
            let cluster = try await TestCluster.shared()
            let connection = try await ChatConnection.connect(try await cluster.someone())
            connection.socket.send(text: frame)
            try await connection.wait("error") { frames, _ in frames.contains { $0["type"] == "error" } }
            #expect(connection.frames("error")[0]["code"] == "invalid")
            connection.socket.send(text: "{")
            connection.socket.send(text: "{")
            connection.socket.send(text: "{")
            #expect(try await connection.waitForClose() == 4400)
        }

        @Test func framesThatBreakTheProtocolCloseAsTheContractSays() async throws {
            let cluster = try await TestCluster.shared()
            let account = try await cluster.someone()
            func closed(_ action: (ChatConnection) -> Void) async throws -> Int {
                let connection = try await ChatConnection.connect(account)
                action(connection)
                return try await connection.waitForClose()
            }
            #expect(try await closed { $0.socket.send(binary: ByteBuffer(bytes: [1, 2, 3])) } == 1003)
            #expect(try await closed { $0.socket.send(.text, ByteBuffer(bytes: [0xC3, 0x28])) } == 1007)
            #expect(try await closed { $0.socket.send(text: String(repeating: " ", count: 65 * 1024)) } == 1009)
            let silent = try await ChatConnection.open(url: try await account.webSocketURL())
            #expect(try await silent.waitForClose(within: .seconds(15)) == 4408)
        }

        @Test func aFrameBeforeHelloIsRefused() async throws {
            let cluster = try await TestCluster.shared()
            let connection = try await ChatConnection.open(url: try await cluster.someone().webSocketURL())
            connection.send(["type": "send", "ref": "r", "client_id": "c", "to": "1", "body": ["text": "x"]])
            try await connection.wait("error or close") { frames, code in
                code != nil || frames.contains { $0["type"] == "error" }
            }
            connection.socket.cut()
        }

        @Test func randomBytesToEveryPortHarmNothing() async throws {
            let cluster = try await TestCluster.shared()
            let before = try cluster.file().processes.map { [$0.name: $0.pid] }
            var ports = [try #require(cluster.rest.base.split(separator: ":").last.flatMap { Int($0) })]
            for process in try cluster.file().processes
            where !["zookeeper", "postgres", "redis"].contains(process.role) {
                for address in [process.rpc, process.http].compactMap({ $0 }) {
                    ports += address.split(separator: ":").last.flatMap { Int($0) }.map { [$0] } ?? []
                }
            }
            let memory = try cluster.residentKiB()
            let group = MultiThreadedEventLoopGroup.singleton
            for port in ports {
                for round in 0..<30 {
                    var bytes = ByteBuffer()
                    if round % 3 == 1 { bytes.writeString("GET / HTTP/1.1\r\nHost: x\r\n") }
                    if round % 3 == 2 { bytes.writeInteger(UInt32.random(in: 0...UInt32.max)) }
                    bytes.writeBytes((0..<Int.random(in: 1...20_000)).map { _ in UInt8.random(in: 0...255) })
                    let channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
                    // The other side may close while this is written: that is its right.
                    try? await channel.writeAndFlush(bytes).get()
                    channel.close(promise: nil)
                }
            }
            try await cluster.waitUntilWhole()
            #expect(try cluster.file().processes.map { [$0.name: $0.pid] } == before, "a process died of it")
            for (name, kib) in try cluster.residentKiB() {
                #expect(kib - (memory[name] ?? 0) < 64 * 1024, "\(name) grew by \(kib - (memory[name] ?? 0)) KiB")
            }
        }
    }
}

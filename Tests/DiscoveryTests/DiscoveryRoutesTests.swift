import Cluster
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import ServiceKit
import Testing

@testable import Discovery

private let logger = Logger(label: "routes") { _ in SwiftLogNoOpLogHandler() }

@Suite struct DiscoveryRoutesTests {
    private let operators: HTTPFields = [.authorization: "Bearer operator"]

    private func withClient(
        _ members: [String: [Member]], configure: (inout RoostConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        var configuration = RoostConfiguration()
        configuration.publicURL = "https://chat.example.org"
        configuration.adminToken = "operator"
        configure(&configuration)
        let context = try ServiceContext(configuration: configuration, logger: logger)
        context.membership.set(members)
        let router = RoostRouter.make(context)
        DiscoveryRole(context: context).routes(router)
        try await Application(router: router, logger: logger).test(.router) { try await body($0) }
    }

    private func object(_ response: TestResponse) throws -> String { String(buffer: response.body) }

    @Test func aClientIsHandedANode() async throws {
        struct Body: Decodable {
            struct Node: Decodable {
                var id: String
                var url: String
                var zone: String
                var state: String
            }
            struct Membership: Decodable {
                var version: Int
                var stale: Bool
            }
            var node: Node
            var membership: Membership
        }
        try await withClient(["chat": [chatNode("a"), chatNode("b", connections: 500)]]) { client in
            let response = try await client.executeRequest(
                uri: "/discovery-service/v1/node", method: .get, headers: [:], body: nil)
            #expect(response.status == .ok)
            let body = try JSONDecoder().decode(Body.self, from: Data(response.body.readableBytesView))
            #expect(body.node.id == "a" && body.node.state == "serving")
            #expect(body.node.url == "wss://chat.example.org/chat-service/v1/ws?node=a")
            #expect(body.membership.version == 1 && !body.membership.stale)
        }
        try await withClient(["chat": [chatNode("a")]]) {
            $0.direct = true
        } _: { client in
            let response = try await client.executeRequest(
                uri: "/discovery-service/v1/node", method: .get, headers: [:], body: nil)
            let body = try JSONDecoder().decode(Body.self, from: Data(response.body.readableBytesView))
            #expect(body.node.url == "ws://a:80/chat-service/v1/ws?node=a")
        }
        try await withClient([:]) { client in
            let response = try await client.executeRequest(
                uri: "/discovery-service/v1/node", method: .get, headers: [:], body: nil)
            #expect(response.status == .serviceUnavailable && response.headers[.retryAfter] != nil)
            #expect(String(buffer: response.body).contains(#""code":"unavailable""#))
        }
    }

    @Test func askingIsLimitedUnlessTurnedOff() async throws {
        let asks = 30
        @Sendable func refused(_ client: any TestClientProtocol) async throws -> Int {
            var refused = 0
            for _ in 0..<asks {
                let response = try await client.executeRequest(
                    uri: "/discovery-service/v1/node", method: .get, headers: [:], body: nil)
                if response.status == .tooManyRequests {
                    #expect(response.headers[.retryAfter] == "1")
                    refused += 1
                }
            }
            return refused
        }
        try await withClient(["chat": [chatNode("a", capacity: 100_000)]]) {
            $0.requestLimits[.address] = .init(rate: 1, burst: 10)
        } _: { client in
            let count = try await refused(client)
            #expect(count > 0)
        }
        try await withClient(["chat": [chatNode("a", capacity: 100_000)]]) {
            $0.requestLimits[.address] = .init(rate: 1, burst: 10)
            $0.limits = false
        } _: { client in
            let count = try await refused(client)
            #expect(count == 0)
        }
    }

    @Test func operatorsSeeEverything() async throws {
        let relay = Member(record: NodeRecord(id: "r", role: "relay", rpc: "h:1", http: "h:2", startedAt: 0), epoch: 9)
        try await withClient(["chat": [chatNode("a", epoch: 5)], "relay": [relay]]) { client in
            for path in ["nodes", "services", "nodes/events"] {
                let closed = try await client.executeRequest(
                    uri: "/discovery-service/v1/\(path)", method: .get, headers: [:], body: nil)
                #expect(closed.status == .unauthorized)
            }
            let nodes = try object(
                try await client.executeRequest(
                    uri: "/discovery-service/v1/nodes", method: .get, headers: operators, body: nil))
            for member in [#""id":"a""#, #""epoch":5"#, #""capacity":1000"#, #""stale":false"#, #""address":"a:80""#] {
                #expect(nodes.contains(member), "\(member)")
            }
            #expect(nodes.contains(#""started_at":"1970-01-01T00:00:00.000Z""#) && !nodes.contains(#""id":"r""#))
            let services = try object(
                try await client.executeRequest(
                    uri: "/discovery-service/v1/services", method: .get, headers: operators, body: nil))
            #expect(services.contains(#""id":"r""#) && services.contains(#""role":"relay""#))
        }
    }

    @Test func theGatewayIsToldWhereToConnect() async throws {
        try await withClient(["chat": [chatNode("a"), chatNode("b", state: .draining)]]) { client in
            func route(_ query: String) async throws -> TestResponse {
                try await client.executeRequest(uri: "/_route?\(query)", method: .get, headers: [:], body: nil)
            }
            for query in ["role=chat", "role=chat&node=a", "role=chat&node=b", "role=chat&node=", "role=chat&exclude="]
            {
                let response = try await route(query)
                #expect(response.status == .noContent && response.headers[.upstream] == "a:80", "\(query)")
                #expect(response.headers[.node] == "a")
            }
            #expect(try await route("role=chat&exclude=a,x").status == .serviceUnavailable)
            #expect(try await route("role=users").status == .serviceUnavailable)
            #expect(try await route("").status == .badRequest)
        }
    }
}

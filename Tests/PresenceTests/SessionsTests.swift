import ChatModel
import Cluster
import NIOConcurrencyHelpers
import NIOPosix
import Protocol
import RPC
import RPCTransport
import Redis
import Roster
import Sessions
import TestServers
import Testing

@Suite struct SessionsTests {
    @Test func sessionIdentifiers() {
        let id = SessionID(node: "chat-1.example", incarnation: 0xABCDEF, handle: 7)
        #expect(id.description == "chat-1.example.abcdef.7")
        #expect(SessionID("chat-1.example.abcdef.7") == id)
        for bad in ["", "a", "a.b", ".1.2", "chat.xyz.1", "chat.1.-1", "chat.1.4294967296", "chat.01.2", "chat.1.+2"] {
            #expect(SessionID(bad) == nil, "\(bad)")
        }
    }

    private func member(_ id: String, epoch: Int64) throws -> Member {
        let json = """
            {"id": "\(id)", "role": "chat", "rpc": "127.0.0.1:1", "http": "127.0.0.1:2", "url": "", "zone": "", "version": "0", \
            "capacity": 1, "connections": 0, "load": 0, "state": "serving", "started_at": 0}
            """
        return Member(record: try NodeRecord(json: Array(json.utf8)), epoch: epoch)
    }

    @Test func whatCounts() throws {
        let membership = MembershipSnapshot(membersByRole: ["chat": [try member("chat-1", epoch: 10)]])
        #expect(DirectoryRules.isCurrent(node: "chat-1", epoch: 10, membership: membership))
        #expect(DirectoryRules.isCurrent(node: "chat-1", epoch: 11, membership: membership))
        #expect(!DirectoryRules.isCurrent(node: "chat-1", epoch: 9, membership: membership))
        #expect(DirectoryRules.isCurrent(node: "chat-1", epoch: 0, membership: membership))
        #expect(DirectoryRules.isCurrent(node: "chat-2", epoch: 1, membership: membership))
        let position = DirectoryRules.Position(node: "chat-1.x", handle: 7)
        #expect(DirectoryRules.Position(cursor: position.cursor) == position)
        for bad in ["", ".7", "chat-1", "chat-1.x", "chat-1.-1"] {
            #expect(DirectoryRules.Position(cursor: bad) == nil)
        }
    }

    @Test func theDirectoryListsPagesAndForgets() async throws {
        try await withRedis { _, redis in
            let membership = MembershipSnapshot(membersByRole: ["chat": [try member("chat-2", epoch: 30)]])
            let directory = SessionsDirectory(
                roster: LeasedRoster(configuration: SessionsDirectory.configuration(prefix: "test"), redis: redis),
                membership: { membership }, node: { _ in nil }, logger: quiet)
            var first = ReportingNode("chat-1", epoch: 10)
            var second = ReportingNode("chat-2", epoch: 30)
            #expect(try await directory.report(first.join([(1, 11)])).snapshotNeeded)
            #expect(try await !directory.report(first.snapshot()).snapshotNeeded)
            _ = second.join([(1, 12), (2, 21), (3, 31)])
            #expect(try await !directory.report(second.snapshot()).snapshotNeeded)

            let user = UserID(rawValue: 1)
            #expect(try await directory.connections(of: user).map(\.node) == ["chat-1", "chat-2"])
            var seen: [String] = []
            var position: DirectoryRules.Position?
            while true {
                let page = try await directory.connections(on: nil, after: position, limit: 2)
                guard let last = page.last else { break }
                seen += page.map { "\($0.node)/\($0.handle)" }
                position = .init(node: last.node, handle: last.handle)
            }
            #expect(seen == ["chat-1/1", "chat-2/1", "chat-2/2", "chat-2/3"])
            #expect(try await directory.connections(on: "chat-2", after: nil, limit: 9).count == 3)
            #expect(try await directory.connections(on: "nobody", after: nil, limit: 9).isEmpty)

            // An earlier process of chat-2, which ZooKeeper no longer knows.
            let ghost = ReportingNode("chat-2", incarnation: 9, epoch: 29)
            await #expect(throws: RPCError.self) { try await directory.report(ghost.snapshot()) }

            // Who can't be told may have it.
            var request = SessionsCloseDeviceRequest()
            request.user = 1
            request.device = 11
            await #expect(throws: RPCError.self) { try await directory.closeDevice(request) }
            let unknown = SessionID(node: "chat-1", incarnation: 77, handle: 1)
            #expect(try await !directory.close(unknown, code: 4403, reason: ""))
        }
    }

    /// A chat node that notes what it is told to close.
    private struct FakeChat: ChatService {
        let closed: NIOLockedValueBox<[ChatCloseRequest]>

        func deliver(_ request: ChatDeliverRequest, context: RPCContext) async throws -> ChatDeliverResponse { .init() }

        func close(_ request: ChatCloseRequest, context: RPCContext) async throws -> ChatCloseResponse {
            closed.withLockedValue { $0.append(request) }
            var response = ChatCloseResponse()
            response.closed = 1
            return response
        }
    }

    @Test func closingReachesEveryNodeWithAndWithoutTheDirectory() async throws {
        let loops = MultiThreadedEventLoopGroup.singleton
        let closed = NIOLockedValueBox<[ChatCloseRequest]>([])
        let server = RPCServer(
            configuration: .init(identity: .init(role: "chat", id: "chat-1"), security: .sharedKey("secret")),
            services: [ChatRegistration(FakeChat(closed: closed))], eventLoopGroup: loops, logger: quiet)
        let pool = RPCPool(
            role: "chat",
            configuration: .init(identity: .init(role: "sessions", id: "s"), security: .sharedKey("secret")),
            eventLoopGroup: loops, logger: quiet)
        try await withRedis { redisServer, redis in
            try await withThrowingTaskGroup { group in
                group.addTask { try await server.run() }
                group.addTask { await pool.run() }
                pool.update([RPCPeer(id: "chat-1", address: try await server.boundAddress(), epoch: 10)])
                let membership = MembershipSnapshot(membersByRole: ["chat": [try member("chat-1", epoch: 10)]])
                let directory = SessionsDirectory(
                    roster: LeasedRoster(configuration: SessionsDirectory.configuration(prefix: "test"), redis: redis),
                    membership: { membership }, node: { pool.caller(to: $0) }, logger: quiet)
                var node = ReportingNode("chat-1", incarnation: 77, epoch: 10)
                _ = node.join([(1, 11), (1, 12)])
                _ = try await directory.report(node.snapshot())

                var request = SessionsCloseDeviceRequest()
                request.user = 1
                request.device = 12
                request.code = 4401
                #expect(try await directory.closeDevice(request) == 1)
                #expect(closed.withLockedValue { $0.map(\.device) } == [12])
                #expect(closed.withLockedValue { $0.map(\.code) } == [4401])

                let session = SessionID(node: "chat-1", incarnation: 77, handle: 1)
                #expect(try await directory.close(session, code: 4403, reason: "x"))
                #expect(closed.withLockedValue { $0.last?.handle } == 1)
                #expect(closed.withLockedValue { $0.last?.incarnation } == 77)

                await redisServer.kill()
                #expect(try await directory.closeDevice(request) == 1)
                #expect(closed.withLockedValue { $0.count } == 3)
                group.cancelAll()
            }
        }
    }
}

import ChatModel
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import WebSocketEdge

@testable import ChatNode

/// Stand-ins of the services that a node calls, with a log in memory, behind the real RPC. Every user is a member of
/// conversation 1; tickets are `<user>:<device>`.
final class FakeServices: Sendable {
    struct State: Sendable {
        var log: [StoredEvent] = []
        var byClientID: [String: UInt64] = [:]
        var acknowledged: [UInt64: RelayAcknowledgement] = [:]
        var roster: [UInt32: RosterEntry] = [:]
        var revision: UInt64?
        var isAway = false
        var losesPushes = false
        var typings: [RelayTypingRequest] = []
        var presences: [AsyncStream<LastSeenFollowPage>.Continuation] = []
        /// Users who hide from everyone.
        var hidden: Set<UInt64> = [99]
        var deliver: (@Sendable (ChatDeliverRequest) -> Void)?
        var incarnation: UInt64 = 0
        /// Calls to `messages`, and to `group-messages`.
        var directCalls = 0
        var groupCalls = 0
    }

    let state = NIOLockedValueBox(State())

    /// Appends a message as the relay would, and pushes it.
    func append(sender: UInt64, text: String, clientID: String) -> (StoredEvent, Bool) {
        append(
            .with {
                $0.kind = .message
                $0.sender = sender
                $0.clientID = clientID
                $0.body.text = text
            })
    }

    /// Appends an event as the relay would, and pushes it; whether its `client_id` was known.
    func append(_ new: StoredEvent) -> (StoredEvent, Bool) {
        let (event, isNew, deliver, request) = state.withLockedValue { state in
            let key = "\(new.sender) \(new.clientID)"
            if !new.clientID.isEmpty, let seq = state.byClientID[key] {
                return (state.log[Int(seq) - 1], false, state.deliver, ChatDeliverRequest())
            }
            var event = new
            event.conversation = 1
            event.seq = UInt64(state.log.count + 1)
            event.sentAtMs = 1000
            state.log.append(event)
            if !event.clientID.isEmpty { state.byClientID[key] = event.seq }
            var delivery = ChatDelivery()
            delivery.event = event
            delivery.handles = state.losesPushes ? [] : state.roster.keys.sorted()
            var request = ChatDeliverRequest()
            request.incarnation = state.incarnation
            request.deliveries = [delivery]
            return (event, true, state.deliver, request)
        }
        if isNew { deliver?(request) }
        return (event, !isNew)
    }

    func check() throws {
        if state.withLockedValue(\.isAway) { throw RPCError(.unavailable, "away") }
    }
}

extension FakeServices: RelayService, MessagesService, UsersService, SessionsService, LastSeenService {
    func changeGroup(_ request: RelayChangeGroupRequest, context: RPCContext) async throws -> RelayChangeGroupResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func block(_ request: RelayBlockRequest, context: RPCContext) async throws -> RelayBlockResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func addDevice(_ request: RelayAddDeviceRequest, context: RPCContext) async throws -> RelayAddDeviceResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func windows(_ request: RelayWindowsRequest, context: RPCContext) async throws -> RelayWindowsResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func lookup(_ request: RelayLookupRequest, context: RPCContext) async throws -> RelayLookupResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func contacts(_ request: RelayContactsRequest, context: RPCContext) async throws -> RelayContactsResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func follow(_ request: RelayFollowRequest, context: RPCContext) async throws -> RelayFollowResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func blocking(_ request: UsersBlockingRequest, context: RPCContext) async throws -> UsersBlockingResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }
    func amend(_ request: MessagesAmendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        try check()
        guard request.conversation == 1, state.withLockedValue({ request.message <= $0.log.count }) else {
            throw RPCError(.notFound, "no such message")
        }
        var event = StoredEvent()
        event.sender = request.user
        event.target = request.message
        switch request.change {
        case .edit(let body):
            event.kind = .edit
            event.body = body
            event.clientID = request.ref
        case .deletion: event.kind = .delete
        case .reaction(let reaction):
            event.kind = .reaction
            event.emoji = reaction.emoji
            event.removed = reaction.removed
        case nil: throw RPCError(.invalid, "nothing to do")
        }
        return response(append(event))
    }

    private func response(_ appended: (event: StoredEvent, isDuplicate: Bool)) -> MessagesSendResponse {
        var response = MessagesSendResponse()
        response.conversation = appended.event.conversation
        response.seq = appended.event.seq
        response.sentAtMs = appended.event.sentAtMs
        response.duplicate = appended.isDuplicate
        return response
    }

    func authenticate(
        _ request: UsersAuthenticateRequest, context: RPCContext
    ) async throws -> UsersAuthenticateResponse {
        let parts = request.ticket.split(separator: ":").compactMap { UInt64($0) }
        guard parts.count == 2 else { throw RPCError(.unauthorized, "bad ticket") }
        var response = UsersAuthenticateResponse()
        (response.user, response.device) = (parts[0], parts[1])
        return response
    }

    func send(_ request: MessagesSendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        MessagesSendResponse(try await append(RelayAppendRequest(request, conversation: 1), context: context))
    }

    func append(_ request: RelayAppendRequest, context: RPCContext) async throws -> RelayAppendResponse {
        try check()
        if request.conversation > 1 { throw RPCError(.forbidden, "no member") }
        // The first of several takes longest: only order in the caller keeps them in order.
        if request.body.text.hasPrefix("slow") { try await Task.sleep(for: .milliseconds(30)) }
        let stored = response(append(sender: request.sender, text: request.body.text, clientID: request.clientID))
        var answer = RelayAppendResponse()
        answer.conversation = stored.conversation
        answer.seq = stored.seq
        answer.sentAtMs = stored.sentAtMs
        answer.duplicate = stored.duplicate
        return answer
    }

    func sync(
        _ request: RelaySyncRequest, writer: RPCStreamWriter<RelaySyncPage>, context: RPCContext
    ) async throws {
        try check()
        let (log, acknowledged) = state.withLockedValue {
            ($0.log, $0.acknowledged[request.device]?.delivered ?? 0)
        }
        var page = RelaySyncPage()
        page.complete = true
        var position = RelayPosition()
        position.conversation = 1
        position.after = request.cursors.first { $0.conversation == 1 }?.seq ?? acknowledged
        position.head = UInt64(log.count)
        page.positions = [position]
        try await writer.write(page)
        for event in log.dropFirst(Int(min(position.after, position.head))) {
            var page = RelaySyncPage()
            page.events = [event]
            try await writer.write(page)
        }
    }

    func acknowledge(
        _ request: RelayAcknowledgeRequest, context: RPCContext
    ) async throws -> RelayAcknowledgeResponse {
        try check()
        state.withLockedValue { state in
            for value in request.acknowledgements { state.acknowledged[value.device] = value }
        }
        return RelayAcknowledgeResponse()
    }

    func typing(_ request: RelayTypingRequest, context: RPCContext) async throws -> RelayTypingResponse {
        state.withLockedValue { $0.typings.append(request) }
        return RelayTypingResponse()
    }

    func attach(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply {
        try check()
        var reply = RosterReply()
        reply.snapshotNeeded = state.withLockedValue { state in
            if request.snapshot { state.roster = [:] } else if state.revision != request.base { return true }
            for entry in request.joined { state.roster[entry.handle] = entry }
            for handle in request.left { state.roster[handle] = nil }
            state.revision = request.revision
            state.incarnation = request.incarnation
            return false
        }
        return reply
    }

    func report(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply { RosterReply() }

    func get(_ request: LastSeenGetRequest, context: RPCContext) async throws -> LastSeenGetResponse {
        var response = LastSeenGetResponse()
        let hidden = state.withLockedValue(\.hidden)
        response.presences = request.users.map { user in
            var presence = LastSeenPresence()
            presence.user = user
            presence.hidden = hidden.contains(user)
            presence.online = !presence.hidden && user != 2
            return presence
        }
        return response
    }

    func follow(
        _ request: LastSeenFollowRequest, writer: RPCStreamWriter<LastSeenFollowPage>, context: RPCContext
    ) async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: LastSeenFollowPage.self)
        state.withLockedValue { $0.presences.append(continuation) }
        for await page in stream { try await writer.write(page) }
    }

    // What a chat node does not call.
    func openDirect(
        _ request: RelayOpenDirectRequest, context: RPCContext
    ) async throws -> RelayOpenDirectResponse { .init() }
    func conversations(
        _ request: RelayConversationsRequest, context: RPCContext
    ) async throws -> RelayConversationsResponse { .init() }
    func history(_ request: RelayHistoryRequest, context: RPCContext) async throws -> RelayHistoryResponse { .init() }
    func receipts(_ request: RelayReceiptsRequest, context: RPCContext) async throws -> RelayReceiptsResponse {
        .init()
    }
    func mute(_ request: RelayMuteRequest, context: RPCContext) async throws -> RelayMuteResponse { .init() }
    func keys(_ request: UsersKeysRequest, context: RPCContext) async throws -> UsersKeysResponse { .init() }
    func profiles(_ request: UsersProfilesRequest, context: RPCContext) async throws -> UsersProfilesResponse {
        .init()
    }
    func revocations(
        _ request: UsersRevocationsRequest, writer: RPCStreamWriter<UsersRevocationsPage>, context: RPCContext
    ) async throws {}
    func closeDevice(
        _ request: SessionsCloseDeviceRequest, context: RPCContext
    ) async throws -> SessionsCloseDeviceResponse { .init() }
}

/// A role's pool, its calls counted.
struct CountingCaller: RPCCaller {
    let caller: any RPCCaller
    let services: FakeServices
    let count: @Sendable (inout FakeServices.State) -> Void

    func start(_ call: RPCCall) {
        services.state.withLockedValue { count(&$0) }
        caller.start(call)
    }
}

/// A node on free ports with its stand-ins.
struct TestNode: Sendable {
    let services: FakeServices
    let node: ChatNode
    let address: String

    static func with(
        loops: Int = 1, _ change: (inout ChatConfiguration) -> Void = { _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        var configuration = ChatConfiguration(nodeID: "chat-1")
        configuration.reconnectSpread = .milliseconds(100)
        change(&configuration)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let services = FakeServices()
        let identity = RPCIdentity(role: "chat", id: "chat-1")
        let server = RPCServer(
            configuration: RPCServerConfiguration(
                identity: RPCIdentity(role: "all", id: "relay-1"), security: .sharedKey("key")),
            services: [
                RelayRegistration(services), MessagesRegistration(services), UsersRegistration(services),
                SessionsRegistration(services), LastSeenRegistration(services),
            ], eventLoopGroup: group, logger: logger)
        let pool = RPCPool(
            role: "all", configuration: RPCPoolConfiguration(identity: identity, security: .sharedKey("key")),
            eventLoopGroup: group, logger: logger)
        let backend = ChatBackend(
            users: pool, messages: CountingCaller(caller: pool, services: services) { $0.directCalls += 1 },
            groupMessages: CountingCaller(caller: pool, services: services) { $0.groupCalls += 1 },
            sessions: pool, lastSeen: pool, relay: pool,
            relays: { Set(pool.peers.map(\.id)) }, relayNamed: { pool.caller(to: $0) },
            relayForKey: { pool.peer(forKey: $0)?.id })
        let node = try await ChatNode(
            configuration: configuration, backend: backend, eventLoopGroup: group, logger: logger,
            now: { 1_795_168_800_000 }, respond: { _ in nil })
        services.state.withLockedValue { $0.deliver = { node.deliver($0) } }
        try await withThrowingTaskGroup { tasks in
            tasks.addTask { try await server.run() }
            tasks.addTask { await pool.run() }
            pool.update([RPCPeer(id: "relay-1", address: try await server.boundAddress(), epoch: 1)])
            try await withThrowingTaskGroup { nodeTasks in
                nodeTasks.addTask { try await node.run() }
                try await body(TestNode(services: services, node: node, address: try await node.edge.boundAddress()))
                nodeTasks.cancelAll()
                try await nodeTasks.waitForAll()
            }
            services.state.withLockedValue { state in
                state.deliver = nil
                for continuation in state.presences { continuation.finish() }
            }
            tasks.cancelAll()
            while let _ = await tasks.nextResult() {}
        }
        try await group.shutdownGracefully()
    }
}

/// A client of either subprotocol that keeps the frames it got.
final class TestClient: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private struct State {
        var buffer: [UInt8] = []
        var isOpen = false
        var frames: [ClientServerFrame] = []
        var closeCode: Int?
        var isGone = false
    }

    private let state = NIOLockedValueBox(State())
    private let isProtobuf: Bool
    private let channel = NIOLockedValueBox<(any Channel)?>(nil)

    init(isProtobuf: Bool) { self.isProtobuf = isProtobuf }

    static func connect(
        _ node: TestNode, user: Int, device: Int, protobuf: Bool = false
    ) async throws -> TestClient {
        let client = TestClient(isProtobuf: protobuf)
        let parts = node.address.split(separator: ":")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(client) }
            }
            .connect(host: String(parts[0]), port: Int(parts[1])!).get()
        client.channel.withLockedValue { $0 = channel }
        try await channel.writeAndFlush(
            ByteBuffer(
                string: "GET /chat-service/v1/ws?ticket=\(user):\(device) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                    + "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    + "Sec-WebSocket-Version: 13\r\n"
                    + "Sec-WebSocket-Protocol: \(protobuf ? "roost.v1.proto" : "roost.v1.json")\r\n\r\n"))
        return client
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        state.withLockedValue { state in
            state.buffer += bytes
            if !state.isOpen, let end = state.buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
                state.isOpen = true
                state.buffer.removeFirst(end.upperBound)
            }
            while state.isOpen, let (opcode, payload, size) = Self.frame(state.buffer) {
                state.buffer.removeFirst(size)
                switch opcode {
                case 1:
                    if let frame = payload.withUnsafeBytes({ try? ClientJSON.decodeServerFrame($0) }) {
                        state.frames.append(frame)
                    }
                case 2: if let frame = try? ClientServerFrame(serializedBytes: payload) { state.frames.append(frame) }
                case 8: state.closeCode = Int(payload[0]) << 8 | Int(payload[1])
                default: break
                }
            }
        }
    }

    func channelInactive(context: ChannelHandlerContext) { state.withLockedValue { $0.isGone = true } }

    private static func frame(_ bytes: [UInt8]) -> (UInt8, [UInt8], Int)? {
        guard bytes.count >= 2 else { return nil }
        var (length, head) = (Int(bytes[1]), 2)
        if length == 126 {
            guard bytes.count >= 4 else { return nil }
            (length, head) = (Int(bytes[2]) << 8 | Int(bytes[3]), 4)
        }
        guard bytes.count >= head + length else { return nil }
        return (bytes[0] & 15, Array(bytes[head..<(head + length)]), head + length)
    }

    var frames: [ClientServerFrame] { state.withLockedValue(\.frames) }
    var closeCode: Int? { state.withLockedValue(\.closeCode) }
    var isGone: Bool { state.withLockedValue(\.isGone) }
    var events: [ClientEvent] {
        frames.compactMap { if case .event(let event) = $0.frame { event } else { nil } }
    }
    var acks: [ClientAck] { frames.compactMap { if case .ack(let ack) = $0.frame { ack } else { nil } } }
    var errors: [ClientError] { frames.compactMap { if case .error(let error) = $0.frame { error } else { nil } } }
    var welcome: ClientWelcome? {
        frames.lazy.compactMap { if case .welcome(let value) = $0.frame { value } else { nil } }.first
    }
    var isSynced: Bool { frames.contains { if case .synced = $0.frame { true } else { false } } }

    func send(_ frame: ClientClientFrame.OneOf_Frame) {
        var message = ClientClientFrame()
        message.frame = frame
        if isProtobuf {
            let bytes: [UInt8] = (try? message.serializedBytes()) ?? []
            send(2, bytes)
        } else {
            send(1, ClientJSON.encode(message))
        }
    }

    func send(text: String) { send(1, Array(text.utf8)) }

    /// Ends the connection without a word.
    func cut() { channel.withLockedValue { $0 }?.close(promise: nil) }

    private func send(_ opcode: UInt8, _ payload: [UInt8]) {
        var bytes: [UInt8] = [0x80 | opcode]
        if payload.count < 126 {
            bytes.append(0x80 | UInt8(payload.count))
        } else {
            bytes += [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        }
        bytes += [0, 0, 0, 0] + payload
        channel.withLockedValue { $0 }?.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    func hello(cursors: [String: UInt64]? = nil) {
        var hello = ClientHello()
        hello.client = "test/1"
        if let cursors { hello.cursors.cursors = cursors }
        send(.hello(hello))
    }

    func say(_ text: String, ref: String, conversation: String = "1", clientID: String? = nil) {
        var send = ClientSend()
        send.ref = ref
        send.conversation = conversation
        send.clientID = clientID ?? ref
        send.body.text = text
        self.send(.send(send))
    }
}

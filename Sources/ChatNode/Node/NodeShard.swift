import ChatModel
import DequeModule
import Logging
import NIOCore
import Protocol
import RPC
import RPCTransport
import ServiceKit
import WebSocketEdge

/// The connections of one event loop, and what they share. Confined to the loop.
final class NodeShard {
    let node: ChatNode
    let loop: any EventLoop
    /// Handles of this shard are those that leave this remainder.
    private let index: UInt32
    private let stride: UInt32
    let logger: Logger

    var encoder = FrameEncoder()
    var metrics = ChatMetrics()
    /// Readings of the log begun: their numbers.
    var readings: UInt64 = 0
    private(set) var connections: [UInt32: ChatConnection] = [:]
    private var lastHandle: UInt32 = 0
    /// All hellos have equally long, and all first answers of the log: each queue is in order, and needs no timers.
    private var helloDeadlines: Deque<(due: NIODeadline, connection: ChatConnection)> = []
    private var welcomeDeadlines: Deque<(due: NIODeadline, connection: ChatConnection)> = []
    private var acknowledgements = AcknowledgementBuffer()
    /// The conversations of pairs that have written to each other here.
    private var directs = GenerationCache<Pair, UInt64>(limit: 10_000)
    private var flushScheduled = false
    /// How many acknowledgements were passed on the last time.
    private var lastFlushed = 0
    private var flushesOpen = 0
    private var flushed: [EventLoopPromise<Void>] = []
    private var ticking: RepeatedTask?
    private var rereading: [ChatConnection] = []
    private(set) lazy var presence = PresenceWatcher(
        loop: loop, backend: node.backend,
        push: { [unowned self] handle, signal in connections[handle]?.send(&signal) },
        readAgain: { [unowned self] in for connection in connections.values { connection.askPresence() } })

    init(node: ChatNode, loop: any EventLoop, index: Int, of count: Int, logger: Logger) {
        self.node = node
        self.loop = loop
        self.index = UInt32(index)
        stride = UInt32(count)
        self.logger = logger
    }

    /// Microseconds of a clock that only goes forward.
    var microseconds: Int64 { Int64(loop.now.uptimeNanoseconds / 1000) }

    func start() {
        let shard = NIOLoopBound(self, eventLoop: loop)
        ticking = loop.scheduleRepeatedTask(initialDelay: .milliseconds(500), delay: .milliseconds(500)) { _ in
            shard.value.tick()
        }
    }

    func stop() {
        ticking?.cancel()
        ticking = nil
    }

    // MARK: Connections

    func open(_ edge: EdgeConnection, user: UserID, device: DeviceID) -> ChatConnection {
        repeat {
            lastHandle = lastHandle &+ stride
        } while lastHandle &+ index == 0 || connections[lastHandle &+ index] != nil
        let handle = lastHandle &+ index
        let connection = ChatConnection(
            shard: self, edge: edge, handle: handle, user: user, device: device, since: node.now())
        connections[handle] = connection
        helloDeadlines.append((loop.now + node.configuration.helloTimeout, connection))
        node.countConnections(1)
        if let users = node.users {
            connection.isCounted = users.open(user)
            if !connection.isCounted {
                metrics.expelled += 1
                connection.refuse("rate_limited", "too many connections of one user")
                edge.close(.flooding, "too many connections")
            }
        }
        return connection
    }

    func saidHello(_ connection: ChatConnection) {
        if helloDeadlines.first?.connection === connection { helloDeadlines.removeFirst() }
    }

    /// The log's first answer is awaited.
    func awaitsWelcome(_ connection: ChatConnection) {
        welcomeDeadlines.append((loop.now + node.configuration.welcomeTimeout, connection))
    }

    func remove(_ connection: ChatConnection, wasKnown: Bool) {
        connections[connection.handle] = nil
        node.countConnections(-1)
        if connection.isCounted { node.users?.close(connection.user) }
        if wasKnown { node.roster.leave(connection.handle) }
        if connection.isWelcomed { metrics.sessions -= 1 }
    }

    private func tick() {
        let now = loop.now
        while let first = helloDeadlines.first, first.due <= now || first.connection.phase != .fresh {
            helloDeadlines.removeFirst()
            if first.connection.phase == .fresh { first.connection.edge.close(.timeout, "no hello") }
        }
        while let first = welcomeDeadlines.first, first.due <= now || first.connection.isSettled {
            welcomeDeadlines.removeFirst()
            first.connection.welcomeTimedOut()
        }
        if index == 0 { node.users?.forget(now: microseconds) }
    }

    // MARK: Deliveries

    func deliver(_ request: ChatDeliverRequest) {
        for delivery in request.deliveries {
            let event = EncodedEvent(delivery.event)
            forEach(delivery.handles) { $0.offer(event) }
        }
        for receipt in request.receipts {
            var signal = EncodedSignal(.receipt(ClientReceipt(receipt)))
            forEach(receipt.handles) { $0.send(&signal, isOwnState: $0.user.rawValue == receipt.user) }
        }
        for typing in request.typings {
            var signal = EncodedSignal(.typing(ClientTyping(typing)))
            forEach(typing.handles) { $0.send(&signal) }
        }
        for mute in request.mutes {
            var signal = EncodedSignal(.muted(ClientMuted(mute)))
            forEach(mute.handles) { $0.send(&signal, isOwnState: true) }
        }
    }

    private func forEach(_ handles: [UInt32], _ body: (ChatConnection) -> Void) {
        for handle in handles where stride == 1 || handle % stride == index {
            guard let connection = connections[handle] else {
                metrics.handleMisses += 1
                continue
            }
            body(connection)
        }
    }

    func close(_ request: ChatCloseRequest) -> UInt32 {
        let code = CloseCode(rawValue: UInt16(clamping: request.code))
        let matching: [ChatConnection] =
            switch request.target {
            case .device(let device): connections.values.filter { $0.device.rawValue == device }
            case .user(let user): connections.values.filter { $0.user.rawValue == user }
            case .handle(let handle): connections[handle].map { [$0] } ?? []
            case nil: []
            }
        for connection in matching {
            connection.edge.close(code.isSendable ? code : .closedByOperator, request.reason)
        }
        return UInt32(matching.count)
    }

    /// Every connection reads the log again, a few at a time.
    func readAgain() {
        let isIdle = rereading.isEmpty
        rereading = connections.values.filter { $0.phase == .joined }
        if isIdle { rereadSome() }
    }

    private func rereadSome() {
        for connection in rereading.suffix(node.configuration.rereadsPerStep) { connection.readAgain() }
        rereading.removeLast(min(rereading.count, node.configuration.rereadsPerStep))
        guard !rereading.isEmpty else { return }
        let shard = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(20)) { shard.value.rereadSome() }
    }

    /// Tells every client to come back later, or elsewhere.
    func goaway(_ reason: String) {
        for connection in connections.values where connection.phase == .joined {
            var goaway = ClientGoaway()
            goaway.reason = reason
            let spread = node.configuration.reconnectSpread.nanoseconds / 1_000_000
            goaway.reconnectAfterMs = UInt32.random(in: 0...UInt32(clamping: max(1, spread)))
            connection.send(.goaway(goaway))
        }
    }

    // MARK: Direct conversations

    private struct Pair: Hashable {
        var user: UInt64
        var peer: UInt64
    }

    /// Where a message goes; nil: only the service of messages knows.
    func conversation(of request: MessagesSendRequest) -> UInt64? {
        request.to == 0 ? request.conversation : directs[Pair(user: request.user, peer: request.to)]
    }

    /// A pair's conversation never changes.
    func learn(_ request: MessagesSendRequest, _ response: MessagesSendResponse) {
        // A repeat tells where the first message of that client_id went, which may be elsewhere.
        guard request.to != 0, !response.duplicate else { return }
        let pair = Pair(user: request.user, peer: request.to)
        if directs[pair] == nil { directs[pair] = response.conversation }
    }

    // MARK: Acknowledgements

    func acknowledge(_ acknowledgement: RelayAcknowledgement) {
        acknowledgements.add(acknowledgement)
        if !flushScheduled { scheduleFlush(in: node.configuration.acknowledgementDelay(after: lastFlushed)) }
    }

    private func scheduleFlush(in delay: TimeAmount) {
        guard !flushScheduled else { return }
        flushScheduled = true
        let shard = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: delay) {
            shard.value.flushScheduled = false
            shard.value.flush()
        }
    }

    /// Passes on what was gathered; the promise is kept when all of it has been answered, well or not.
    func flush(_ promise: EventLoopPromise<Void>? = nil) {
        if let promise { flushed.append(promise) }
        let relayForKey = node.backend.relayForKey
        lastFlushed = acknowledgements.count
        let batches = acknowledgements.drain { relayForKey($0.rawValue) }
        for batch in batches {
            var request = RelayAcknowledgeRequest()
            request.acknowledgements = batch
            let shard = NIOLoopBound(self, eventLoop: loop)
            flushesOpen += 1
            let options = CallOptions(timeout: .seconds(5), key: batch[0].conversation)
            RelayStub(node.backend.relay).acknowledge(request, options: options, on: loop) { result in
                shard.value.acknowledged(batch, result)
            }
        }
        keepPromises()
    }

    private func acknowledged(_ batch: [RelayAcknowledgement], _ result: Result<RelayAcknowledgeResponse, RPCError>) {
        flushesOpen -= 1
        switch result {
        case .success: metrics.acknowledged += UInt64(batch.count)
        case .failure(let error):
            metrics.acknowledgeFailures += UInt64(batch.count)
            switch error.code {
            // It will not be taken the next time either.
            case .invalid, .unauthorized, .forbidden, .notFound, .conflict, .tooLarge, .unimplemented: break
            case .rateLimited, .unavailable, .deadlineExceeded, .cancelled, .internalError:
                for acknowledgement in batch { acknowledgements.add(acknowledgement) }
                if flushed.isEmpty { scheduleFlush(in: .milliseconds(500)) }
            }
        }
        keepPromises()
    }

    private func keepPromises() {
        guard flushesOpen == 0 else { return }
        let promises = flushed
        flushed = []
        for promise in promises { promise.succeed(()) }
    }
}

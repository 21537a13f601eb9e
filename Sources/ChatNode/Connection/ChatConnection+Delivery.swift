import ChatModel
import Logging
import NIOCore
import Protocol
import RPC
import RPCTransport
import WebSocketEdge

// What clients are given of the log: carries out what `DeliveryStateMachine` decides.

extension ChatConnection {
    var isWelcomed: Bool { delivery.hasStarted }

    /// An event that a relay pushed.
    func offer(_ event: EncodedEvent) {
        let conversation = ConversationID(rawValue: event.event.conversation)
        let wasLagging = delivery.isLagging
        switch delivery.offer(conversation, event.event.seq, isLast: event.event.isLast(for: user), event) {
        case .push:
            shard.metrics.pushed += 1
            write(event)
        case .drop: shard.metrics.repeats += 1
        case .hold: break
        case .behind:
            if !wasLagging, delivery.isLagging { shard.metrics.lagging += 1 }
            let next = delivery.next()
            // Where the user is new, the log has to say where it begins for them; no push was missing.
            if case .read = next, delivery.cursors[conversation] != nil { shard.metrics.gaps += 1 }
            carryOut(next)
        }
    }

    /// Pushes may have been missed.
    func readAgain() {
        guard phase == .joined else { return }
        carryOut(delivery.readAgain())
    }

    func carryOut(_ next: DeliveryStateMachine<EncodedEvent>.Next) {
        switch next {
        case .nothing: break
        case .read(let round): read(round)
        case .pause(let attempt):
            let base = min(5000, 100 << min(attempt, 6))
            let connection = NIOLoopBound(self, eventLoop: shard.loop)
            shard.loop.scheduleTask(in: .milliseconds(Int64(Int.random(in: base / 2...base)))) {
                let connection = connection.value
                guard connection.phase == .joined else { return }
                connection.carryOut(connection.delivery.resume())
            }
        case .synced(let positions):
            var synced = ClientSynced()
            for position in positions { synced.cursors[position.conversation.description] = position.seq }
            send(.synced(synced))
        }
    }

    private func write(_ event: EncodedEvent) {
        let isOwn = event.event.sender == user.rawValue
        let frame = event.frame(edge.subprotocol, isOwn: isOwn, &shard.encoder)
        // Most likely the answer to what the user has just sent here follows: both leave together.
        if isOwn, lanes != nil { edge.writeUnhurried(frame) } else { edge.write(frame) }
    }

    private func read(_ round: DeliveryStateMachine<EncodedEvent>.Round) {
        shard.metrics.syncs += 1
        var request = RelaySyncRequest()
        request.user = user.rawValue
        request.device = device.rawValue
        request.all = round.all
        request.cursors = round.cursors.map { position in
            var cursor = RelayCursor()
            cursor.conversation = position.conversation.rawValue
            cursor.seq = position.seq
            return cursor
        }
        shard.readings += 1
        let number = shard.readings
        reading = Reading(number: number)
        let connection = NIOLoopBound(self, eventLoop: shard.loop)
        let control = RelayStub(shard.node.backend.relay).sync(
            request, options: CallOptions(timeout: nil, credit: 2), on: shard.loop
        ) { page in
            connection.value.page(page, number)
        } onEnd: { error in
            connection.value.ended(error, number)
        }
        if reading?.number == number { reading?.control = control }
    }

    private func page(_ page: RelaySyncPage, _ number: UInt64) {
        guard reading?.number == number, phase == .joined else { return }
        if reading!.isFirstPage {
            reading!.isFirstPage = false
            let wasWelcomed = isWelcomed
            delivery.positions(
                page.positions.map { (ConversationID(rawValue: $0.conversation), $0.after, $0.head) })
            if !wasWelcomed { welcome(resumed: page.complete) }
        }
        for event in page.events
        where delivery.read(
            ConversationID(rawValue: event.conversation), event.seq, isLast: event.isLast(for: user))
        {
            shard.metrics.read += 1
            write(EncodedEvent(event))
        }
        if edge.isWritable { reading?.control?.grant(1) } else { reading?.creditOwed += 1 }
    }

    private func ended(_ error: RPCError?, _ number: UInt64) {
        guard reading?.number == number, phase == .joined else { return }
        reading = nil
        if let error {
            shard.metrics.syncFailures += 1
            shard.logger.debug("Reading the log failed.", metadata: ["error": "\(error)"])
            carryOut(delivery.failed())
            return
        }
        let (events, next) = delivery.ended()
        for event in events {
            shard.metrics.pushed += 1
            write(event)
        }
        carryOut(next)
    }

    private func welcome(resumed: Bool) {
        shard.metrics.sessions += 1
        var welcome = ClientWelcome()
        welcome.session = sessionID
        welcome.node = shard.node.nodeID
        welcome.user = user.description
        welcome.device = device.description
        welcome.resumed = resumed
        welcome.heartbeatS = UInt32(clamping: shard.node.configuration.edge.heartbeat.nanoseconds / 1_000_000_000)
        welcome.limits.textBytes = UInt32(Limits.textBytes)
        welcome.limits.frameBytes = UInt32(Limits.frameBytes)
        welcome.limits.watchUsers = UInt32(Limits.watchedUsers)
        welcome.serverTimeMs = shard.node.now()
        send(.welcome(welcome))
    }
}

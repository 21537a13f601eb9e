import ChatModel
import Logging
import NIOCore
import Protocol
import RPC
import RPCTransport
import WebSocketEdge

// What clients ask for.

extension ChatConnection {
    func handle(_ frame: ClientClientFrame) {
        guard phase != .gone, let content = frame.frame else { return }
        if case .hello(let hello) = content {
            self.hello(hello)
            return
        }
        guard phase != .fresh else {
            malformed(ClientFrameError(.invalidValue, field: "type", "the first frame must be hello"))
            return
        }
        do throws(ClientFrameError) {
            switch content {
            case .hello: break
            case .send(let value):
                say(SendLanes.Item(ref: value.ref, call: .send(try value.request(user: user, device: device))))
            case .edit(let value):
                say(SendLanes.Item(ref: value.ref, call: .amend(try value.request(user: user, device: device))))
            case .delete(let value):
                say(SendLanes.Item(ref: value.ref, call: .amend(try value.request(user: user, device: device))))
            case .react(let value):
                say(SendLanes.Item(ref: value.ref, call: .amend(try value.request(user: user, device: device))))
            case .read(let value): read(try value.position())
            case .received(let value): for position in try value.positions() { received(position) }
            case .typing(let value): typing(try value.target(), value.active)
            case .watch(let value): try watch(value.ids())
            case .unwatch(let value): unwatch(try value.ids())
            case .ping(let value): pong(value)
            }
        } catch {
            // Well-formed, but against a rule: the sender is told which, and nothing is counted against it.
            send(.error(ClientError(error, ref: String(frame.ref.prefix(Limits.clientIDBytes)))))
        }
    }

    private func pong(_ ping: ClientPing) {
        var pong = ClientPong()
        pong.ref = ping.ref
        send(.pong(pong))
    }

    // MARK: Hello

    private func hello(_ hello: ClientHello) {
        guard phase == .fresh else {
            malformed(ClientFrameError(.invalidValue, field: "type", "hello was said before"))
            return
        }
        phase = .joining
        shard.saidHello(self)
        let claimed = hello.positions()
        var entry = RosterEntry()
        entry.handle = handle
        entry.user = user.rawValue
        entry.device = device.rawValue
        entry.sinceMs = since
        // A push can only be missed by a connection that relays don't know: first they are told, then the log is read.
        let connection = NIOLoopBound(self, eventLoop: shard.loop)
        shard.node.roster.join(entry, on: shard.loop) { connection.value.joined(claimed) }
    }

    private func joined(_ claimed: [EventID]?) {
        guard phase == .joining else { return }
        phase = .joined
        shard.awaitsWelcome(self)
        carryOut(delivery.start(claiming: claimed))
    }

    /// Whether nothing is awaited any more: it has been welcomed, or is gone.
    var isSettled: Bool { isWelcomed || phase == .gone }

    /// Nothing happens where it has been welcomed meanwhile.
    func welcomeTimedOut() {
        guard phase == .joined, !isWelcomed else { return }
        refuse("unavailable", "the service is not available", retryAfter: 2000)
        edge.close(.overloaded, "the service is not available")
    }

    // MARK: Messages

    /// Has a message stored or amended, in its turn.
    private func say(_ item: SendLanes.Item) {
        shard.metrics.sends += 1
        if lanes == nil { lanes = SendLanes() }
        // In place: a copy would copy all that waits.
        switch lanes!.add(item) {
        case .call(let lane, let item): call(lane, item)
        case .queued: break
        case .full:
            shard.metrics.sendErrors += 1
            refuse("rate_limited", "too many messages are waiting", ref: item.ref, retryAfter: 1000)
        }
    }

    private func call(_ lane: SendLanes.Lane, _ item: SendLanes.Item) {
        let connection = NIOLoopBound(self, eventLoop: shard.loop)
        let started = NIODeadline.now()
        let completion: @Sendable (Result<MessagesSendResponse, RPCError>) -> Void = {
            connection.value.answered(lane, item, $0, started)
        }
        let backend = shard.node.backend
        let messages = MessagesStub(item.isForGroup ? backend.groupMessages : backend.messages)
        switch item.call {
        case .send(let request):
            guard let conversation = shard.conversation(of: request) else {
                return messages.send(request, on: shard.loop, completion: completion)
            }
            // What a message must be was checked when its frame was read, and what can race is the relay's to decide: no
            // other service has anything to say.
            let append = RelayAppendRequest(request, conversation: conversation)
            RelayStub(backend.relay).append(append, options: CallOptions(key: conversation), on: shard.loop) {
                completion($0.map { MessagesSendResponse($0) })
            }
        case .amend(let request): messages.amend(request, on: shard.loop, completion: completion)
        }
    }

    private func answered(
        _ lane: SendLanes.Lane, _ item: SendLanes.Item, _ result: Result<MessagesSendResponse, RPCError>,
        _ started: NIODeadline
    ) {
        guard phase != .gone else { return }
        switch result {
        case .success(let response):
            shard.metrics.acknowledged(after: Double((NIODeadline.now() - started).nanoseconds) / 1e9)
            if case .send(let request) = item.call { shard.learn(request, response) }
            send(.ack(ClientAck(response, ref: item.ref)))
            if let next = lanes?.succeeded(lane, conversation: response.conversation) { call(lane, next) }
        case .failure(let error):
            refuse(error, ref: item.ref)
            switch error.code {
            case .invalid, .unauthorized, .forbidden, .notFound, .conflict, .tooLarge, .rateLimited:
                if let next = lanes?.refused(lane) { call(lane, next) }
            case .unavailable, .deadlineExceeded, .cancelled, .unimplemented, .internalError:
                for item in lanes?.failed(lane) ?? [] { refuse(error, ref: item.ref) }
            }
        }
        // The next call may have been answered on the spot, and have ended the lanes.
        if lanes?.isEmpty == true { lanes = nil }
    }

    private func refuse(_ error: RPCError, ref: String) {
        shard.metrics.sendErrors += 1
        switch error.code {
        case .unavailable, .deadlineExceeded, .cancelled:
            refuse("unavailable", "the service is not available, try again", ref: ref, retryAfter: 1000)
        case .unimplemented, .internalError:
            shard.logger.warning("A send failed.", metadata: ["error": "\(error)"])
            refuse("internal", "something went wrong", ref: ref)
        case .rateLimited:
            let after = error.details["retry_after_ms"].flatMap { Int64($0) } ?? 1000
            refuse(error.code.restCode, error.message, ref: ref, retryAfter: after)
        case .invalid, .unauthorized, .forbidden, .notFound, .conflict, .tooLarge:
            refuse(error.code.restCode, error.message, ref: ref)
        }
    }

    // MARK: Acknowledgements

    /// Of what was given to this connection: more than that it can't have.
    private func held(_ position: EventID) -> UInt64 {
        min(position.seq, delivery.cursors[position.conversation] ?? 0)
    }

    private func received(_ position: EventID) {
        acknowledge(position.conversation, delivered: held(position), read: 0)
    }

    /// What is read is also held.
    private func read(_ position: EventID) {
        let seq = held(position)
        acknowledge(position.conversation, delivered: seq, read: seq)
    }

    private func acknowledge(_ conversation: ConversationID, delivered: UInt64, read: UInt64) {
        guard delivered > 0 else { return }
        var acknowledgement = RelayAcknowledgement()
        acknowledgement.user = user.rawValue
        acknowledgement.device = device.rawValue
        acknowledgement.conversation = conversation.rawValue
        acknowledgement.delivered = delivered
        acknowledgement.read = read
        shard.acknowledge(acknowledgement)
    }

    // MARK: Signals

    private func typing(_ conversation: ConversationID, _ active: Bool) {
        if let limits = shard.node.configuration.limits {
            let second = UInt32(truncatingIfNeeded: shard.microseconds / 1_000_000)
            if second != typingSince {
                typingSince = second
                typingCount = 0
            }
            guard Int(typingCount) < limits.typingPerSecond else { return }
            typingCount += 1
        }
        var request = RelayTypingRequest()
        request.conversation = conversation.rawValue
        request.user = user.rawValue
        request.active = active
        let options = CallOptions(timeout: .seconds(2), key: conversation.rawValue, retries: false)
        RelayStub(shard.node.backend.relay).typing(request, options: options, on: shard.loop) { _ in }
    }

    private func watch(_ users: [UserID]) throws(ClientFrameError) {
        let all = (watched ?? []).union(users)
        guard all.count <= Limits.watchedUsers else {
            throw ClientFrameError(.tooLong, field: "users", "more than \(Limits.watchedUsers) watched")
        }
        guard !all.isEmpty else { return }
        watched = all
        shard.presence.watch(users, by: handle, viewer: user)
    }

    private func unwatch(_ users: [UserID]) {
        guard var watched else { return }
        shard.presence.unwatch(users, by: handle)
        watched.subtract(users)
        self.watched = watched.isEmpty ? nil : watched
    }

    /// Changes may have been missed.
    func askPresence() {
        if let watched { shard.presence.ask(Array(watched), by: handle, viewer: user) }
    }
}

import NIOConcurrencyHelpers
import Reactor

/// Who follows which channels.
final class SubscriberTable: Sendable {
    struct Subscriber {
        var channels: Set<String>
        var continuation: AsyncStream<RedisMessage>.Continuation
        /// It has been told that its subscription is in force.
        var isTold = false
        /// A message was dropped because it didn't keep up.
        var isBehind = false
    }

    private struct State {
        var subscribers: [Int: Subscriber] = [:]
        var nextID = 0
        var isClosed = false
    }

    private let state = NIOLockedValueBox(State())

    /// `nil` if the client has ended.
    func add(_ channels: [String], _ continuation: AsyncStream<RedisMessage>.Continuation) -> Int? {
        self.state.withLockedValue { state in
            if state.isClosed { return nil }
            state.nextID += 1
            state.subscribers[state.nextID] = Subscriber(channels: Set(channels), continuation: continuation)
            return state.nextID
        }
    }

    func remove(_ id: Int) {
        self.state.withLockedValue { _ = $0.subscribers.removeValue(forKey: id) }
    }

    /// All channels that someone follows.
    var channels: Set<String> {
        self.state.withLockedValue { $0.subscribers.values.reduce(into: []) { $0.formUnion($1.channels) } }
    }

    /// Tells those whose channels are all in force and who haven't been told.
    func tell(confirmed: Set<String>) {
        self.state.withLockedValue { state in
            for (id, subscriber) in state.subscribers
            where !subscriber.isTold && subscriber.channels.isSubset(of: confirmed) {
                subscriber.continuation.yield(.reconnected)
                state.subscribers[id]?.isTold = true
            }
        }
    }

    /// The connection is gone.
    func interrupted() {
        self.state.withLockedValue { state in
            for id in state.subscribers.keys { state.subscribers[id]?.isTold = false }
        }
    }

    /// Who is so slow that a message had to be dropped gets `.reconnected` instead: it has to read again.
    func deliver(_ channel: String, _ payload: [UInt8]) {
        let message = RedisMessage.message(channel: channel, payload: payload)
        self.state.withLockedValue { state in
            for (id, subscriber) in state.subscribers where subscriber.channels.contains(channel) {
                if case .dropped(let lost) = subscriber.continuation.yield(message) {
                    if !subscriber.isBehind || lost == .reconnected { subscriber.continuation.yield(.reconnected) }
                    state.subscribers[id]?.isBehind = true
                } else if subscriber.isBehind {
                    subscriber.continuation.yield(.reconnected)
                    state.subscribers[id]?.isBehind = false
                }
            }
        }
    }

    func close() {
        let continuations = self.state.withLockedValue { state -> [AsyncStream<RedisMessage>.Continuation] in
            state.isClosed = true
            defer { state.subscribers = [:] }
            return state.subscribers.values.map(\.continuation)
        }
        for continuation in continuations { continuation.finish() }
    }
}

/// The connection for subscriptions, on the reactor. It exists while someone follows a channel.
actor RedisSubscriptions {
    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.reactor.asUnownedSerialExecutor() }

    private let configuration: RedisConfiguration
    private let table: SubscriberTable
    private var socket: RedisSocket?
    private var timer: ReactorTimer?
    /// Replies to the log-in that are still to come.
    private var logIn = 0
    /// Asked for, and in force.
    private var asked: Set<String> = []
    private var confirmed: Set<String> = []
    private var ended: CheckedContinuation<RedisCommands.End, Never>?
    private var wanted: CheckedContinuation<Void, Never>?

    init(reactor: Reactor, configuration: RedisConfiguration, table: SubscriberTable) {
        self.reactor = reactor
        self.configuration = configuration
        self.table = table
    }

    /// Returns when someone follows a channel, or the task is cancelled.
    func untilWanted() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                if Task.isCancelled || !self.table.channels.isEmpty {
                    continuation.resume()
                } else {
                    self.wanted = continuation
                }
            }
        } onCancel: {
            self.reactor.execute { self.assumeIsolated { $0.wake() } }
        }
    }

    /// The table has changed.
    func reconcile() {
        let channels = self.table.channels
        if !channels.isEmpty { self.wake() }
        guard let socket = self.socket, self.logIn == 0 else { return }
        if channels.isEmpty {
            self.end("nobody follows a channel")
            return
        }
        let new = channels.subtracting(self.asked).sorted()
        let gone = self.asked.subtracting(channels).sorted()
        if !new.isEmpty { self.write(["SUBSCRIBE"] + new.map { RedisArgument($0) }, on: socket) }
        if !gone.isEmpty { self.write(["UNSUBSCRIBE"] + gone.map { RedisArgument($0) }, on: socket) }
        self.asked = channels
        self.confirmed.subtract(gone)
        self.table.tell(confirmed: self.confirmed)
        self.flush(socket)
    }

    /// Connects and serves until the connection fails, nobody wants it any more or the task is cancelled.
    func serve(_ address: SocketAddress) async -> RedisCommands.End {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.ended = continuation
                self.open(address)
            }
        } onCancel: {
            self.reactor.execute { self.assumeIsolated { $0.end("the client ends") } }
        }
    }

    private func open(_ address: SocketAddress) {
        if Task.isCancelled {
            self.end("the client ends")
            return
        }
        do {
            let socket = try RedisSocket(address, reactor: self.reactor) { [weak self] events in
                self?.assumeIsolated { $0.handle(events) }
            }
            self.socket = socket
            let commands = self.configuration.logIn
            self.logIn = commands.count
            for command in commands { self.write(command, on: socket) }
            self.expectSomething(within: self.configuration.connectTimeout)
        } catch {
            self.end(error.message)
        }
    }

    private func handle(_ events: Reactor.Events) {
        guard let socket = self.socket else { return }
        do {
            try socket.handle(events) { value in
                self.receive(value)
                return self.socket === socket
            }
        } catch {
            self.end(error.message)
        }
    }

    private func receive(_ value: RedisValue) {
        if self.logIn > 0 {
            if case .error(_, let message) = value {
                self.end(message)
                return
            }
            self.logIn -= 1
            if self.logIn == 0 {
                self.pingLater()
                self.reconcile()
            }
            return
        }
        guard case .array(let parts) = value, parts.count >= 2, let kind = parts[0].string, let name = parts[1].string
        else {
            // `PONG` of a connection without subscriptions, or a refusal, which would leave us without what we asked for.
            if case .error(_, let message) = value { self.end(message) }
            return
        }
        switch kind {
        case "message":
            if parts.count == 3, let payload = parts[2].bytes { self.table.deliver(name, payload) }
        case "subscribe":
            if self.asked.contains(name) { self.confirmed.insert(name) }
            self.table.tell(confirmed: self.confirmed)
        case "unsubscribe":
            // Stands if it was asked for again meanwhile: then another confirmation follows.
            self.confirmed.remove(name)
        default: break  // pong
        }
    }

    private func end(_ reason: String) {
        if let timer = self.timer { self.reactor.cancel(timer) }
        self.timer = nil
        let wasReady = self.socket != nil && self.logIn == 0
        self.socket?.close()
        self.socket = nil
        self.asked = []
        self.confirmed = []
        self.table.interrupted()
        self.ended?.resume(returning: RedisCommands.End(wasReady: wasReady, reason: reason))
        self.ended = nil
    }

    private func wake() {
        self.wanted?.resume()
        self.wanted = nil
    }

    private func write(_ command: [RedisArgument], on socket: RedisSocket) {
        var bytes: [UInt8] = []
        RESP.append(command, to: &bytes)
        socket.write(bytes)
    }

    private func flush(_ socket: RedisSocket) {
        do {
            try socket.flush()
        } catch {
            self.end(error.message)
        }
    }

    // MARK: Signs of life

    // A subscriber only listens: without asking now and then it wouldn't notice that its server is gone.

    private func pingLater() {
        self.schedule(after: self.configuration.pingInterval) { subscriptions in
            guard let socket = subscriptions.socket else { return }
            subscriptions.write(["PING"], on: socket)
            subscriptions.flush(socket)
            subscriptions.expectSomething(within: subscriptions.configuration.commandTimeout)
        }
    }

    private func expectSomething(within timeout: Duration) {
        let asked = ContinuousClock.now
        self.schedule(after: timeout) { subscriptions in
            guard let socket = subscriptions.socket else { return }
            if socket.lastRead < asked || subscriptions.logIn > 0 {
                subscriptions.end("the server doesn't answer")
            } else {
                subscriptions.pingLater()
            }
        }
    }

    private func schedule(after delay: Duration, _ body: @escaping @Sendable (isolated RedisSubscriptions) -> Void) {
        if let timer = self.timer { self.reactor.cancel(timer) }
        self.timer = self.reactor.schedule(after: delay) { [weak self] in
            self?.assumeIsolated { body($0) }
        }
    }
}

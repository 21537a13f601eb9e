import DequeModule
import Reactor

/// The connection for commands, on the reactor: parks what comes while it is down, sends what comes during a tick as one,
/// gives replies to who asked.
actor RedisCommands {
    private struct Pending {
        var request: Request
        var timer: ReactorTimer
        var sentAt: ContinuousClock.Instant
    }

    /// How a connection went.
    struct End: Sendable {
        /// It had been ready for commands.
        var wasReady: Bool
        var reason: String
    }

    private enum State {
        case down
        /// Being made, or being logged in on.
        case opening(RedisSocket, ReactorTimer, Request)
        case ready(RedisSocket)
    }

    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { self.reactor.asUnownedSerialExecutor() }

    private let configuration: RedisConfiguration
    private let queue: RequestQueue
    private let onReady: @Sendable (Bool) -> Void
    private var state = State.down
    private var pipeline = Pipeline<Pending>()
    /// What waits for the connection, in order, each with the timer that ends its wait.
    private var parked: Deque<(request: Request, timer: ReactorTimer)> = []
    private var ended: CheckedContinuation<End, Never>?

    /// - Parameter onReady: Told when commands can be sent, and when not any more.
    init(
        reactor: Reactor, configuration: RedisConfiguration, queue: RequestQueue,
        onReady: @escaping @Sendable (Bool) -> Void
    ) {
        self.reactor = reactor
        self.configuration = configuration
        self.queue = queue
        self.onReady = onReady
    }

    // MARK: The connection

    /// Connects and serves until the connection fails or the task is cancelled.
    func serve(_ address: SocketAddress) async -> End {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.ended = continuation
                self.open(address)
            }
        } onCancel: {
            self.reactor.execute { self.assumeIsolated { $0.end(.closed, "the client ends") } }
        }
    }

    private func open(_ address: SocketAddress) {
        if Task.isCancelled {
            self.end(.closed, "the client ends")
            return
        }
        do {
            let socket = try RedisSocket(address, reactor: self.reactor) { [weak self] events in
                self?.assumeIsolated { $0.handle(events) }
            }
            let timer = self.reactor.schedule(after: self.configuration.connectTimeout) { [weak self] in
                self?.assumeIsolated { $0.end(.disconnected, "no connection in time") }
            }
            let logIn = Request(self.configuration.logIn, timeout: self.configuration.connectTimeout)
            self.state = .opening(socket, timer, logIn)
            socket.write(logIn.bytes)
            self.pipeline.sent(Pending(request: logIn, timer: timer, sentAt: .now), replies: logIn.replies)
        } catch {
            self.end(error.code, error.message)
        }
    }

    private func handle(_ events: Reactor.Events) {
        guard let socket = self.socket else { return }
        var answered = 0
        do {
            try socket.handle(events) { value in
                self.receive(value, &answered)
            }
        } catch {
            self.queue.answered(answered)
            self.end(error.code, error.message)
            return
        }
        self.queue.answered(answered)
    }

    /// False if the connection has been closed because of it.
    private func receive(_ value: RedisValue, _ answered: inout Int) -> Bool {
        switch self.pipeline.received(value) {
        case .incomplete:
            return true
        case .unexpected:
            self.end(.protocolViolation, "a reply that nobody asked for")
            return false
        case .complete(let pending, let values):
            self.reactor.cancel(pending.timer)
            if case .opening(let socket, _, let logIn) = self.state, logIn === pending.request {
                return self.loggedIn(socket, values)
            }
            answered += 1
            pending.request.give(.success(values))
            return true
        }
    }

    private func loggedIn(_ socket: RedisSocket, _ replies: [RedisValue]) -> Bool {
        for case .error(_, let message) in replies {
            self.end(.disconnected, message)
            return false
        }
        self.state = .ready(socket)
        self.onReady(true)
        let waiting = self.parked
        self.parked = []
        for (request, timer) in waiting {
            self.reactor.cancel(timer)
            self.send(request, on: socket)
        }
        return true  // the socket flushes after an event
    }

    /// Closes the connection, if there is one, and fails what was sent on it.
    private func end(_ code: RedisError.Code, _ reason: String) {
        var wasReady = false
        switch self.state {
        case .down: break
        case .opening(let socket, let timer, _):
            self.reactor.cancel(timer)
            socket.close()
        case .ready(let socket):
            wasReady = true
            socket.close()
            self.onReady(false)
        }
        let isLogIn = if case .opening = self.state { true } else { false }
        self.state = .down
        let failed = self.pipeline.fail()
        for pending in failed {
            self.reactor.cancel(pending.timer)
            pending.request.fail(code, reason)
        }
        self.queue.answered(isLogIn ? failed.count - 1 : failed.count)
        self.ended?.resume(returning: End(wasReady: wasReady, reason: reason))
        self.ended = nil
    }

    private var socket: RedisSocket? {
        switch self.state {
        case .down: nil
        case .opening(let socket, _, _), .ready(let socket): socket
        }
    }

    // MARK: Commands

    /// Takes what has been submitted.
    func drain() {
        let requests = self.queue.take()
        guard case .ready(let socket) = self.state else {
            for request in requests { self.park(request) }
            return
        }
        for request in requests { self.send(request, on: socket) }
        do {
            try socket.flush()
        } catch {
            self.end(error.code, error.message)
        }
    }

    /// No more connections: fails what waits, and what comes.
    func shutDown() {
        self.queue.close()
        self.end(.closed, "the client has ended")
        for request in self.queue.take() {
            request.fail(.closed, "the client has ended")
            self.queue.answered(1)
        }
        for (request, timer) in self.parked {
            self.reactor.cancel(timer)
            request.fail(.closed, "the client has ended")
            self.queue.answered(1)
        }
        self.parked = []
    }

    private func send(_ request: Request, on socket: RedisSocket) {
        socket.write(request.bytes)
        let sentAt = ContinuousClock.now
        let timer = self.reactor.schedule(after: request.timeout) { [weak self] in
            self?.assumeIsolated { $0.expired(request, sentAt: sentAt) }
        }
        self.pipeline.sent(Pending(request: request, timer: timer, sentAt: sentAt), replies: request.replies)
    }

    /// A request wasn't answered in time. If nothing at all came since it was sent, the server is as good as gone, and who
    /// comes now is better off being told at once.
    private func expired(_ request: Request, sentAt: ContinuousClock.Instant) {
        request.fail(.timeout, "no answer within \(request.timeout)")
        if let socket = self.socket, socket.lastRead < sentAt { self.end(.disconnected, "the server doesn't answer") }
    }

    private func park(_ request: Request) {
        let wait = min(self.configuration.disconnectedWait, request.timeout)
        let timer = self.reactor.schedule(after: wait) { [weak self] in
            self?.assumeIsolated { $0.giveUp(request) }
        }
        self.parked.append((request, timer))
    }

    /// Requests are parked in order, but with time-outs of their own.
    private func giveUp(_ request: Request) {
        guard let index = self.parked.firstIndex(where: { $0.request === request }) else { return }
        self.parked.remove(at: index)
        self.queue.answered(1)
        request.fail(.disconnected, "there is no connection")
    }
}

extension RedisConfiguration {
    /// What is sent first on each connection; `PING` so that there is always an answer, and says whether Redis is loading.
    var logIn: [[RedisArgument]] {
        var commands: [[RedisArgument]] = []
        if let password = self.password {
            commands.append(["AUTH"] + (self.user.map { [RedisArgument($0)] } ?? []) + [RedisArgument(password)])
        }
        if self.database != 0 { commands.append(["SELECT", RedisArgument(self.database)]) }
        commands.append(["PING"])
        return commands
    }
}

package import Logging
import NIOConcurrencyHelpers

/// A client of ZooKeeper: one session at a time, kept up for as long as `run()` runs.
///
/// A lost connection is resumed by the C library; a session that expired is replaced by a new one, which `states` tells.
/// Ephemeral nodes go with their session: see `EphemeralRegistration`. Operations wait for the connection, and for the
/// answer, no longer than `operationTimeout`, whatever the servers do.
package final class ZooKeeperClient: Sendable {
    /// What someone who waits for a connection gets.
    private enum Connection {
        case made(Handle)
        case failed(ZooKeeperError.Code)
    }

    private struct State {
        var machine: SessionStateMachine
        var handle: Handle?
        var waiters: [Int: Once<Connection>] = [:]
        var observers: [Int: Signal] = [:]
        var nextID = 0
    }

    package let configuration: ZooKeeperConfiguration
    private let logger: Logger
    private let shared: NIOLockedValueBox<State>
    private let broadcast = Broadcast(ZooKeeperState.connecting, depth: 64)
    private let changed = Signal()

    package init(configuration: ZooKeeperConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.shared = NIOLockedValueBox(State(machine: SessionStateMachine(timeout: configuration.sessionTimeout)))
    }

    /// Keeps a session until the task is cancelled, and then closes it, which takes its ephemeral nodes away at once.
    /// To be called once. Throws only for a configuration that can never work.
    package func run() async throws(ZooKeeperError) {
        guard !self.configuration.servers.isEmpty else {
            self.end()
            throw ZooKeeperError(code: .badArguments, attempted: "open a session with no servers")
        }
        LibraryLog.redirect(to: self.logger)
        var pause = self.configuration.backOff
        while !Task.isCancelled {
            let before = self.shared.withLockedValue { $0.machine.connections }
            await self.runHandle()
            if self.shared.withLockedValue({ $0.machine.connections }) != before { pause = self.configuration.backOff }
            guard !Task.isCancelled else { break }
            try? await Task.sleep(for: pause * Double.random(in: 0.5...1))
            pause = min(pause * 2, self.configuration.backOff * 10)
        }
        self.end()
    }

    /// Where the client stands.
    package var state: ZooKeeperState { self.shared.withLockedValue { $0.machine.published } }

    /// The present state and each one that follows it; ends with the client. Who doesn't keep up misses the oldest.
    package var states: AsyncStream<ZooKeeperState> { self.broadcast.follow() }

    /// The session, as far as it is known to exist.
    package var session: ZooKeeperSession? { self.shared.withLockedValue { $0.machine.session } }

    /// For how long the connection has been lost (since the loss was noticed), by the local monotonic clock; `nil` unless
    /// suspended.
    package var suspendedFor: Duration? { self.shared.withLockedValue { $0.machine.suspendedFor(now: .now) } }

    /// Whether the servers may have ended the session, and others may see its ephemeral nodes gone. A client that is cut
    /// off is never told: this errs on the safe side, by the local clock. A process that was stopped itself learns of it
    /// only some time after it goes on.
    package var isPresumedExpired: Bool { self.shared.withLockedValue { $0.machine.isPresumedExpired(now: .now) } }

    /// Returns when there is a connection; throws `.notConnected` if there is none in time.
    package func connected(within timeout: Duration? = nil) async throws(ZooKeeperError) {
        let deadline = ContinuousClock.now + (timeout ?? self.configuration.operationTimeout)
        _ = try await self.handle(until: deadline, shielded: false, path: nil, attempted: "connect")
    }

    // MARK: For the operations and recipes

    /// The state, the session and how many connections there have been, as of one moment.
    var standing: (state: ZooKeeperState, session: ZooKeeperSession?, connections: Int, sessions: [Int64]) {
        self.shared.withLockedValue { shared in
            (
                shared.machine.published, shared.machine.session, shared.machine.connections,
                shared.machine.sessions
            )
        }
    }

    /// `signal` is set on each change of the state, until `ignore` is called with the number.
    func observe(_ signal: Signal) -> Int {
        self.shared.withLockedValue { shared in
            shared.nextID += 1
            shared.observers[shared.nextID] = signal
            return shared.nextID
        }
    }

    func ignore(_ observer: Int) {
        self.shared.withLockedValue { $0.observers[observer] = nil }
    }

    /// Carries an operation out on the present handle.
    /// - Parameters:
    ///   - shielded: Go on though the task is cancelled: for what has to be cleaned up.
    ///   - memory: What the library writes to, which has to live until it is done, also if nobody waits any more.
    func perform(
        _ attempted: String, _ path: String?, timeout: Duration? = nil, shielded: Bool = false,
        holding memory: (any Sendable)? = nil,
        _ call: (OpaquePointer, UnsafeRawPointer?) -> Int32
    ) async throws(ZooKeeperError) -> Reply {
        let deadline = ContinuousClock.now + (timeout ?? self.configuration.operationTimeout)
        let handle = try await self.handle(until: deadline, shielded: shielded, path: path, attempted: attempted)
        let answer = Once<Reply>()
        handle.submit({ reply in withExtendedLifetime(memory) { answer.give(reply) } }, call)
        let reply = await self.await(answer, until: deadline, shielded: shielded) { .failure($0) }
        if case .failure(let code) = reply { throw ZooKeeperError(code: code, path: path, attempted: attempted) }
        return reply
    }

    // MARK: The session

    /// Opens a handle and stays with it until it has to be replaced or the task is cancelled.
    private func runHandle() async {
        let (number, session) = self.shared.withLockedValue { shared in
            let (number, session, directive) = shared.machine.open(now: .now)
            self.follow(directive, &shared)
            return (number, session)
        }
        let servers = self.configuration.servers
        let timeout = self.configuration.sessionTimeout
        let handle = await onOwnThread { [weak self] in
            Handle.open(servers: servers, timeout: timeout, resuming: session) { self?.handle($0, from: number) }
        }
        guard let handle else {
            self.logger.warning(
                "no ZooKeeper server's name can be resolved", metadata: ["zookeeper.servers": "\(servers)"])
            return
        }
        if let auth = self.configuration.auth { self.authenticate(handle, auth) }
        self.shared.withLockedValue { shared in
            shared.handle = handle
            if shared.machine.published == .connected { self.serveWaiters(&shared) }
        }
        await self.untilReplaced()
        self.shared.withLockedValue { $0.handle = nil }
        await onOwnThread { handle.close() }
    }

    private func untilReplaced() async {
        while !Task.isCancelled {
            let (directive, state, wait) = self.shared.withLockedValue { shared in
                let directive = shared.machine.tick(now: .now)
                return (directive, shared.machine.published, shared.machine.untilTick(now: .now))
            }
            if directive.replacesHandle || state == .expired { return }
            await self.changed.wait(timeout: wait)
        }
    }

    private func authenticate(_ handle: Handle, _ auth: ZooKeeperConfiguration.Digest) {
        let certificate = "\(auth.user):\(auth.password)"
        handle.submit({ [logger] reply in
            if case .failure(let code) = reply, code != .connectionLoss {
                logger.error("ZooKeeper refuses the credentials", metadata: ["zookeeper.code": "\(code)"])
            }
        }) { pointer, context in
            addDigest(pointer, certificate, context)
        }
    }

    /// An event of the library, on its thread.
    private func handle(_ event: SessionStateMachine.Event, from number: Int) {
        let state = self.shared.withLockedValue { shared in
            let directive = shared.machine.handle(event, from: number, now: .now)
            self.follow(directive, &shared)
            return directive.publish
        }
        self.changed.set()
        guard let state else { return }
        let metadata: Logger.Metadata = ["zookeeper.session": "\(self.session.map { String($0.id, radix: 16) } ?? "-")"]
        switch state {
        case .connected: self.logger.info("connected to ZooKeeper", metadata: metadata)
        case .suspended: self.logger.warning("lost the connection to ZooKeeper", metadata: metadata)
        case .expired: self.logger.warning("the session with ZooKeeper expired", metadata: metadata)
        case .connecting, .closed: break
        }
    }

    /// Under the lock, so that all see the states in their order. Setting a signal or a value only queues a task.
    private func follow(_ directive: SessionStateMachine.Directive, _ shared: inout State) {
        guard let state = directive.publish else { return }
        self.broadcast.send(state)
        for observer in shared.observers.values { observer.set() }
        if state == .connected { self.serveWaiters(&shared) }
    }

    private func serveWaiters(_ shared: inout State) {
        guard let handle = shared.handle else { return }
        for waiter in shared.waiters.values { waiter.give(.made(handle)) }
        shared.waiters = [:]
    }

    private func end() {
        let waiters = self.shared.withLockedValue { shared in
            self.follow(shared.machine.close(), &shared)
            defer { shared.waiters = [:] }
            return Array(shared.waiters.values)
        }
        for waiter in waiters { waiter.give(.failed(.closed)) }
        self.broadcast.finish()
    }

    // MARK: Waiting

    private func handle(
        until deadline: ContinuousClock.Instant, shielded: Bool, path: String?, attempted: String
    ) async throws(ZooKeeperError) -> Handle {
        enum Start {
            case now(Handle)
            case later(Int)
            case never
        }
        let connected = Once<Connection>()
        let start = self.shared.withLockedValue { shared -> Start in
            switch shared.machine.published {
            case .connected:
                if let handle = shared.handle { return .now(handle) }
            case .closed: return .never
            case .connecting, .suspended, .expired: break
            }
            shared.nextID += 1
            shared.waiters[shared.nextID] = connected
            return .later(shared.nextID)
        }
        switch start {
        case .now(let handle): return handle
        case .never: throw ZooKeeperError(code: .closed, path: path, attempted: attempted)
        case .later(let id):
            let result = await self.await(connected, until: deadline, shielded: shielded) { .failed($0) }
            self.shared.withLockedValue { $0.waiters[id] = nil }
            switch result {
            case .made(let handle): return handle
            case .failed(let code):
                throw ZooKeeperError(
                    code: code == .timeout ? .notConnected : code, path: path, attempted: attempted)
            }
        }
    }

    private func `await`<Value: Sendable>(
        _ once: Once<Value>, until deadline: ContinuousClock.Instant, shielded: Bool,
        _ failure: @escaping @Sendable (ZooKeeperError.Code) -> Value
    ) async -> Value {
        let timer = Timer(after: deadline - .now) { once.give(failure(.timeout)) }
        defer { timer.cancel() }
        if shielded { return await once.value }
        return await withTaskCancellationHandler {
            await once.value
        } onCancel: {
            once.give(failure(.cancelled))
        }
    }
}

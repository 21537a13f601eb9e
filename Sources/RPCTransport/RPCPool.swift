package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
import NIOSSL
package import RPC
import ServiceLifecycle

/// The connections to all peers of one role, and the choice among them: the less busy of two, or by key. It connects when
/// the first call is made, and then to every peer; it leaves a peer that fails at once.
package final class RPCPool: RPCCaller, RPCRouter, RPCCallHolder, ClientConnectionOwner {
    private struct State {
        var machine: PoolStateMachine
        var budget = RetryBudget()
        /// Calls that wait for a connection, oldest first.
        var waiting: [RPCCall] = []
        var isTimerSet = false
        var isActive = false
    }

    /// What `route` found for a call.
    private enum Route {
        case connection(ClientConnection)
        case waiting(setTimer: Bool)
        case failed(RPCError)
    }

    package let role: String
    private let configuration: RPCPoolConfiguration
    private let eventLoopGroup: any EventLoopGroup
    /// Its timers run here.
    private let home: any EventLoop
    private let logger: Logger
    private let state: NIOLockedValueBox<State>

    /// Attempts that one call may take.
    private static let maxAttempts = 5
    /// How often waiting calls are looked over.
    private static let waitGrain = TimeAmount.milliseconds(20)

    package init(
        role: String, configuration: RPCPoolConfiguration, eventLoopGroup: any EventLoopGroup, logger: Logger
    ) {
        self.role = role
        self.configuration = configuration
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
        home = eventLoopGroup.next()
        state = NIOLockedValueBox(
            State(
                machine: PoolStateMachine(
                    role: role, connectionsPerPeer: configuration.connectionsPerPeer,
                    minBackoff: configuration.minBackoff, maxBackoff: configuration.maxBackoff,
                    seed: .random(in: .min ... .max))))
    }

    /// Until cancelled or a graceful shutdown begins; then closes every connection: open calls fail.
    package func run() async {
        try? await gracefulShutdown()
        close()
    }

    /// Closes every connection; calls fail from now on.
    package func close() {
        let (connections, waiting) = state.withLockedValue { state in
            defer { state.waiting = [] }
            return (state.machine.close(), state.waiting)
        }
        for connection in connections { (connection as? ClientConnection)?.close() }
        for call in waiting { call.fail(RPCError(.unavailable, "the pool of \(role) is closed")) }
    }

    /// Tells who serves the role now.
    package func update(_ peers: [RPCPeer]) {
        carryOut(state.withLockedValue { $0.machine.update(peers) })
        wakeWaiting()
    }

    /// Who serves the role, as last told.
    package var peers: [RPCPeer] { state.withLockedValue { $0.machine.peers } }

    /// Calls to one peer alone; `nil` when it isn't known. Its calls fail with `unavailable` once it is gone.
    package func caller(to id: String) -> (any RPCCaller)? {
        guard peers.contains(where: { $0.id == id }) else { return nil }
        return PeerCaller(pool: self, id: id)
    }

    /// The peer that calls with this key go to, whether it can be reached or not.
    package func peer(forKey key: UInt64) -> RPCPeer? {
        state.withLockedValue { $0.machine.owner(ofKey: key) }
    }

    // MARK: - Calls

    package func start(_ call: RPCCall) {
        call.router = self
        if let error = route(call, isFirst: true) { call.refuse(error) }
    }

    func retry(_ call: RPCCall, after error: RPCError) -> Bool {
        guard call.attempts < Self.maxAttempts, call.deadline > NIODeadline.now().uptimeNanoseconds,
            state.withLockedValue({ $0.budget.spend() })
        else { return false }
        if let error = route(call, isFirst: false) { call.fail(error) }
        return true
    }

    /// Gives the call to a connection, or lets it wait for one; gives the error when neither can be.
    private func route(_ call: RPCCall, isFirst: Bool) -> RPCError? {
        call.attempts += 1
        // A connection can close between being chosen and being used; then the next choice won't be it.
        for _ in 0..<16 {
            let (route, directives) = state.withLockedValue { state in
                if isFirst { state.budget.earn() }
                return self.choose(call, &state)
            }
            carryOut(directives)
            switch route {
            case .failed(let error):
                return error
            case .waiting(let setTimer):
                if setTimer { home.scheduleTask(in: Self.waitGrain) { self.lookOverWaiting() } }
                call.cancellation?.enter(self, call, id: 0)
                return nil
            case .connection(let connection):
                switch connection.start(call) {
                case .started: return nil
                case .refused(let error): return error
                case .notOpen:
                    carryOut(state.withLockedValue { $0.machine.failed(connection.token, connection, "closing") })
                }
            }
        }
        return RPCError(.unavailable, "no \(role) can be reached")
    }

    private func choose(_ call: RPCCall, _ state: inout State) -> (Route, [PoolStateMachine.Directive]) {
        var directives: [PoolStateMachine.Directive] = []
        if !state.isActive {
            state.isActive = true
            directives = state.machine.activate()
        }
        switch state.machine.pick(key: call.options.key, peer: call.peer) {
        case .use(let connection):
            return (.connection(unsafeDowncast(connection as AnyObject, to: ClientConnection.self)), directives)
        case .none(let reason):
            return (.failed(RPCError(.unavailable, reason)), directives)
        case .wait(let reason):
            guard state.waiting.count < configuration.maxWaiting else {
                return (.failed(RPCError(.unavailable, "too many calls wait: \(reason)")), directives)
            }
            if call.waitUntil == 0 {
                let patience = NIODeadline.now().uptimeNanoseconds + configuration.peerWait.wholeNanoseconds
                call.waitUntil = min(call.deadline, patience)
            }
            state.waiting.append(call)
            defer { state.isTimerSet = true }
            return (.waiting(setTimer: !state.isTimerSet), directives)
        }
    }

    /// Tries all waiting calls again: something has changed.
    private func wakeWaiting() {
        let waiting = state.withLockedValue { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for call in waiting {
            call.attempts -= 1
            if let error = route(call, isFirst: false) { call.fail(error) }
        }
    }

    /// Fails the calls that have waited long enough.
    private func lookOverWaiting() {
        let now = NIODeadline.now().uptimeNanoseconds
        let (late, again) = state.withLockedValue { state -> ([(RPCCall, RPCError)], Bool) in
            var late: [(RPCCall, RPCError)] = []
            state.waiting.removeAll { call in
                guard call.waitUntil <= now else { return false }
                late.append((call, self.tooLate(call, now, &state.machine)))
                return true
            }
            state.isTimerSet = !state.waiting.isEmpty
            return (late, state.isTimerSet)
        }
        for (call, error) in late { call.fail(error) }
        if again { home.scheduleTask(in: Self.waitGrain) { self.lookOverWaiting() } }
    }

    private func tooLate(_ call: RPCCall, _ now: UInt64, _ machine: inout PoolStateMachine) -> RPCError {
        let reason =
            switch machine.pick(key: call.options.key, peer: call.peer) {
            case .wait(let reason), .none(let reason): reason
            case .use: "no \(role) could be reached in time"
            }
        return RPCError(call.deadline <= now ? .deadlineExceeded : .unavailable, reason)
    }

    func cancel(_ call: RPCCall, id: UInt64, with error: RPCError) {
        let found = state.withLockedValue { state in
            guard let index = state.waiting.firstIndex(where: { $0 === call }) else { return false }
            state.waiting.remove(at: index)
            return true
        }
        if found { call.fail(error) }
    }

    func grant(id: UInt64, messages: UInt32) {
        // Credit for a waiting call is kept where it was given.
    }

    // MARK: - Connections

    func connectionReady(_ connection: ClientConnection) {
        if state.withLockedValue({ $0.machine.opened(connection.token, connection) }) {
            wakeWaiting()
        } else {
            connection.retire()
        }
    }

    func connectionGone(_ connection: ClientConnection, _ error: RPCError) {
        lost(connection.token, connection, error.message)
    }

    private func lost(_ token: PoolStateMachine.Token, _ connection: ClientConnection?, _ reason: String) {
        carryOut(state.withLockedValue { $0.machine.failed(token, connection, reason) })
        wakeWaiting()
    }

    private func carryOut(_ directives: [PoolStateMachine.Directive]) {
        for directive in directives {
            switch directive {
            case .connect(let peer, let token):
                connect(to: peer, token)
            case .rest(let token, let pause):
                home.scheduleTask(in: TimeAmount(pause)) { [weak self] in
                    guard let self else { return }
                    self.carryOut(self.state.withLockedValue { $0.machine.rested(token) })
                }
            case .retire(let connection):
                (connection as? ClientConnection)?.retire()
            }
        }
    }

    private func connect(to peer: RPCPeer, _ token: PoolStateMachine.Token) {
        guard let address = HostPort(peer.address) else {
            return lost(token, nil, "\(peer.address) is no host:port")
        }
        let name = "\(role)/\(peer.id) at \(peer.address)"
        let handshake = ClientHandshake(
            identity: configuration.identity, prover: configuration.security.prover,
            expectedID: configuration.verifyPeerID ? peer.id : nil, nonce: handshakeNonce())
        ClientBootstrap(group: eventLoopGroup)
            .connectTimeout(TimeAmount(configuration.connection.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 4)
            .channelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator.rpc)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls = self.configuration.security.clientTLS {
                        let context = try NIOSSLContext(configuration: tls)
                        let isName = (try? SocketAddress(ipAddress: address.host, port: 0)) == nil
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: context, serverHostname: isName ? address.host : nil))
                    }
                    let connection = ClientConnection(
                        channel: channel, token: token, peer: name, handshake: handshake,
                        configuration: self.configuration.connection, owner: self, logger: self.logger)
                    try channel.pipeline.syncOperations.addHandler(
                        ClientConnectionHandler(connection, firstFrame: handshake.firstFrame))
                }
            }
            .connect(host: address.host, port: address.port)
            .whenFailure { error in
                self.logger.debug("rpc connect failed", metadata: ["rpc.peer": "\(name)", "error": "\(error)"])
                self.lost(token, nil, "\(error)")
            }
    }
}

/// Calls to one peer of a pool.
private struct PeerCaller: RPCCaller {
    let pool: RPCPool
    let id: String

    func start(_ call: RPCCall) {
        call.peer = id
        pool.start(call)
    }
}

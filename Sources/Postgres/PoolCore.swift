import CLibPQ
import Logging
import Reactor

/// The shell around `PoolStateMachine`: owns the connections. Only the reactor's thread touches it.
final class PoolCore: @unchecked Sendable {
    private let configuration: PostgresConfiguration
    private let reactor: Reactor
    private let logger: Logger
    private let canceller = Canceller()
    private var machine: PoolStateMachine
    private var links: [Int: Link] = [:]
    private var waiting: [UInt64: Request] = [:]
    private var lastRequest: UInt64 = 0
    /// Why there is no connection, since the last success.
    private var connectError: PostgresError?
    private var hostRotation = 0
    private var retryTimer: ReactorTimer?
    private var closeTimer: ReactorTimer?
    private var whenClosed: (@Sendable () -> Void)?
    private var isFinished = false

    init(configuration: PostgresConfiguration, reactor: Reactor, logger: Logger) {
        self.configuration = configuration
        self.reactor = reactor
        self.logger = logger
        machine = PoolStateMachine(
            capacity: configuration.connections, queueLimit: configuration.queueLimit,
            backoff: Backoff(base: configuration.backoffBase, limit: configuration.backoffLimit))
    }

    /// Calls `whenClosed` once everything is closed: at once if `close` came first.
    func start(whenClosed: @escaping @Sendable () -> Void) {
        if isFinished { return whenClosed() }
        self.whenClosed = whenClosed
        perform(machine.start())
    }

    /// Refuses new requests, lets those under way end for a moment, then closes the connections.
    func close() {
        if let retryTimer { reactor.cancel(retryTimer) }
        retryTimer = nil
        closeTimer = reactor.schedule(after: configuration.cancelTimeout) { [weak self] in
            guard let self else { return }
            for link in self.links.values { link.close() }
        }
        perform(machine.close())
    }

    /// Takes a request for any connection.
    func submit(_ request: Request) {
        lastRequest += 1
        let id = lastRequest
        if request.isCancelled { return giveUp(request, .cancelled) }
        waiting[id] = request
        request.timer = reactor.schedule(after: request.timeout) { [weak self] in self?.abandon(request, .timeout) }
        request.abandonment = { [weak self] in
            guard let self, self.waiting.removeValue(forKey: id) != nil else { return }
            _ = self.machine.abandon(id)
        }
        perform(machine.request(id))
    }

    /// Takes a request for the connection of a scope.
    func submit(_ request: Request, on link: Link) {
        if request.isCancelled { return giveUp(request, .cancelled) }
        request.timer = reactor.schedule(after: request.timeout) { [weak self] in self?.abandon(request, .timeout) }
        request.abandonment = { [weak link] in link?.abandon(request) }
        link.execute(request)
    }

    /// The caller waits no longer: its task was cancelled or its time is up.
    func abandon(_ request: Request, _ code: PostgresError.Code) {
        request.isCancelled = true
        if request.isCompleted { return }
        giveUp(request, code)
        request.abandonment?()
        request.abandonment = nil
    }

    private func giveUp(_ request: Request, _ code: PostgresError.Code) {
        var error = PostgresError(
            code, code == .timeout ? "no answer within \(request.timeout)" : "the task was cancelled",
            attempted: request.attempted, outcomeUnknown: request.isSent)
        if code == .timeout, !request.isSent {
            error.message = "no connection became free within \(request.timeout)"
            if let connectError {
                error.code = .connection
                error.message = "no connection to the server: \(connectError.message)"
                error.cause = connectError
            }
        }
        request.complete(.failure(error), on: reactor)
    }

    // MARK: Actions

    private func perform(_ actions: [PoolStateMachine.Action]) {
        for action in actions {
            switch action {
            case .lease(let id, let slot): lease(id, slot)
            case .connect(let slot): connect(slot)
            case .retry(let pause):
                retryTimer = reactor.schedule(after: pause) { [weak self] in
                    guard let self else { return }
                    self.retryTimer = nil
                    self.perform(self.machine.retryDue())
                }
            case .close(let slot): links.removeValue(forKey: slot)?.close()
            case .refuse(let id, let refusal): refuse(id, refusal)
            case .finished:
                if let closeTimer { reactor.cancel(closeTimer) }
                closeTimer = nil
                isFinished = true
                whenClosed?()
                whenClosed = nil
            }
        }
    }

    private func lease(_ id: UInt64, _ slot: Int) {
        guard let link = links[slot] else { preconditionFailure("the pool leased a connection that it doesn't have") }
        guard let request = waiting.removeValue(forKey: id) else { return perform(machine.released(slot: slot)) }
        link.beginLease()
        if case .lease = request.work {
            request.abandonment = nil
            request.complete(.success(.lease(link)), on: reactor)
        } else {
            request.abandonment = { [weak link] in link?.abandon(request) }
            link.execute(request)
            link.endLease()
        }
    }

    private func refuse(_ id: UInt64, _ refusal: PoolStateMachine.Refusal) {
        guard let request = waiting.removeValue(forKey: id) else { return }
        let error =
            switch refusal {
            case .queueFull:
                PostgresError(
                    .poolExhausted, "\(configuration.queueLimit) operations are waiting already",
                    attempted: request.attempted)
            case .closed: PostgresError(.closed, "the pool was shut down", attempted: request.attempted)
            }
        request.complete(.failure(error), on: reactor)
    }

    private func connect(_ slot: Int) {
        let link = Link(
            slot: slot, configuration: configuration, reactor: reactor, canceller: canceller,
            events: Link.Events(
                connected: { [weak self] in self?.connected($0) },
                connectFailed: { [weak self] in self?.connectFailed($0, $1) },
                free: { [weak self] in self?.free($0) },
                lost: { [weak self] in self?.lost($0, $1) }))
        links[slot] = link
        link.connect(hostRotation: hostRotation)
    }

    private func connected(_ link: Link) {
        if connectError != nil { logger.info("connected to PostgreSQL again") }
        connectError = nil
        perform(machine.connected(slot: link.slot))
    }

    private func connectFailed(_ link: Link, _ error: PostgresError) {
        guard links[link.slot] === link else { return }
        links[link.slot] = nil
        hostRotation += 1
        if connectError == nil {
            logger.warning("can't connect to PostgreSQL", metadata: ["error": "\(error.message)"])
        }
        connectError = error
        perform(machine.connectFailed(slot: link.slot, jitter: Double.random(in: 0..<1)))
    }

    private func free(_ link: Link) {
        perform(machine.released(slot: link.slot))
    }

    private func lost(_ link: Link, _ error: PostgresError) {
        guard links[link.slot] === link else { return }
        links[link.slot] = nil
        logger.debug("lost a connection to PostgreSQL", metadata: ["error": "\(error.message)"])
        perform(machine.lost(slot: link.slot))
    }
}

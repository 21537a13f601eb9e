import CLibPQ
import DequeModule
import Logging
import Reactor

/// One connection over libpq: the shell around `PipelineStateMachine`. Only the reactor's thread touches it.
///
/// A lease is either one request (`execute` and `endLease` at once) or a scope. The connection is free again when the lease
/// has ended, everything sent was answered, and no cancel request is under way that could hit the next user.
final class Link: @unchecked Sendable {
    /// What the pool is told; each about this link.
    struct Events {
        var connected: (Link) -> Void
        var connectFailed: (Link, PostgresError) -> Void
        /// The lease is over and the connection can be used again.
        var free: (Link) -> Void
        /// An established connection is gone; its requests have been failed.
        var lost: (Link, PostgresError) -> Void
    }

    private enum State { case connecting, ready, closed }
    private enum Cached { case preparing(by: UInt64, name: String), ready(name: String) }
    private enum Cancelling { case no, asked, answered }

    let slot: Int
    private let reactor: Reactor
    private let configuration: PostgresConfiguration
    private let canceller: Canceller
    private var events: Events?

    /// While connecting.
    private var attempt: ConnectionAttempt?
    private var connection: OpaquePointer?
    private var registration: Reactor.Registration?
    private var state = State.connecting
    private var timer: ReactorTimer?

    private var pipeline = PipelineStateMachine<PostgresResult>()
    private var inFlight: [UInt64: Request] = [:]
    private var exclusive: ExclusiveWork?
    /// Wait for an exclusive request or a cancellation to end.
    private var held = Deque<Request>()
    private var cancelling = Cancelling.no
    private var statements: [StatementKey: Cached] = [:]
    private var lastStatement = 0
    private var lastRequest: UInt64 = 0
    private var isFlushDue = false
    private var isLeased = false
    /// The scope is a transaction that hasn't sent anything yet.
    private var isBeginDue = false

    init(
        slot: Int, configuration: PostgresConfiguration, reactor: Reactor, canceller: Canceller, events: Events
    ) {
        self.slot = slot
        self.configuration = configuration
        self.reactor = reactor
        self.canceller = canceller
        self.events = events
    }

    // MARK: Connecting

    func connect(hostRotation: Int) {
        let begun = ConnectionAttempt(configuration: configuration, reactor: reactor) { [weak self] result in
            guard let self else {
                if case .success(let connection) = result { PQfinish(connection) }
                return
            }
            attempt = nil
            switch result {
            case .success(let connection): becomeReady(connection)
            case .failure(let error): failConnect(error)
            }
        }
        attempt = begun
        begun.start(hostRotation: hostRotation)
    }

    private func becomeReady(_ connection: OpaquePointer) {
        self.connection = connection
        do {
            registration = try reactor.register(PQsocket(connection), for: .read) { [weak self] events in
                self?.ready(events)
            }
        } catch {
            return failConnect(PostgresError(.connection, "\(error)", attempted: "connect"))
        }
        state = .ready
        events?.connected(self)
    }

    private func failConnect(_ error: PostgresError) {
        guard state == .connecting else { return }
        let events = self.events
        release()
        events?.connectFailed(self, error)
    }

    // MARK: Leases

    /// Takes the connection for a scope or a single request.
    func beginLease() {
        precondition(!isLeased, "a connection is leased twice")
        isLeased = true
    }

    /// Sends BEGIN with the next request.
    func beginTransaction() { isBeginDue = true }

    func endLease() {
        guard isLeased else { return }
        isLeased = false
        isBeginDue = false
        freeIfIdle()
    }

    /// Sends the request, or holds it back until that is possible.
    func execute(_ request: Request) {
        reactor.checkIsolated()
        guard state == .ready else {
            let error = PostgresError(.connection, "the connection is closed", attempted: request.attempted)
            return request.complete(.failure(error), on: reactor)
        }
        lastRequest += 1
        request.id = lastRequest
        held.append(request)
        sendHeld()
    }

    /// The caller has got its error already. What was sent is cancelled, and the connection isn't used until it is clean.
    func abandon(_ request: Request) {
        guard state == .ready, request.isSent else { return }
        cancelIfHeadIsAbandoned()
    }

    /// Closes at once: for the pool's end.
    func close() {
        fail(PostgresError(.closed, "the pool was shut down", attempted: "close"))
    }

    private var isIdle: Bool {
        guard case .no = cancelling else { return false }
        return pipeline.isEmpty && exclusive == nil && held.isEmpty
    }

    private func freeIfIdle() {
        guard state == .ready, !isLeased, isIdle else { return }
        if PQtransactionStatus(connection) != PQTRANS_IDLE {
            // Someone left a transaction open in the scope.
            let request = Request(
                .pipeline([("rollback", [])]), timeout: configuration.cancelTimeout, completion: { _ in })
            request.timer = reactor.schedule(after: request.timeout) { [weak self] in
                self?.fail(PostgresError(.timeout, "the server doesn't answer", attempted: "rollback"))
            }
            return execute(request)
        }
        events?.free(self)
    }

    // MARK: Sending

    private func sendHeld() {
        while state == .ready, case .no = cancelling, exclusive == nil, let request = held.first {
            if request.isCompleted {
                held.removeFirst()
                continue
            }
            if request.work.isExclusive && !pipeline.isEmpty { return }
            held.removeFirst()
            request.isSent = true
            inFlight[request.id] = request
            send(request)
        }
    }

    private func send(_ request: Request) {
        switch request.work {
        case .pipeline(let steps): sendPipeline(request.id, steps)
        case .script(let sql): sendExclusive(request.id, ExclusiveWork(request.id, sql, chunks: []))
        case .copyIn(let sql, let chunks): sendExclusive(request.id, ExclusiveWork(request.id, sql, chunks: chunks))
        case .copyOut(let sql): sendExclusive(request.id, ExclusiveWork(request.id, sql, chunks: []))
        case .lease: preconditionFailure("a lease isn't sent")
        }
    }

    private func sendPipeline(_ id: UInt64, _ steps: [PostgresPool.Step]) {
        var commands: [PipelineStateMachine<PostgresResult>.Command] = []
        commands.reserveCapacity(steps.count + 1)
        var isSent = true
        if isBeginDue {
            isBeginDue = false
            isSent = sendStep(id, "begin", [], wanted: false, &commands)
        }
        for step in steps where isSent {
            isSent = sendStep(id, step.statement, step.parameters, wanted: true, &commands)
        }
        pipeline.sent(id, commands)
        guard isSent, PQpipelineSync(connection) == 1 else {
            return fail(PostgresError(.connection, LibPQ.errorMessage(connection), attempted: "send"))
        }
        flushAtTickEnd()
    }

    private func sendStep(
        _ id: UInt64, _ statement: Statement, _ parameters: [PostgresValue], wanted: Bool,
        _ commands: inout [PipelineStateMachine<PostgresResult>.Command]
    ) -> Bool {
        let key = StatementKey(statement, parameters)
        let name: String?
        switch statements[key] {
        case .ready(let known): name = known
        // Another operation's Parse may still fail, and this one must not fail with it.
        case .preparing(let other, let known): name = other == id ? known : nil
        case nil:
            if statements.count >= configuration.statementLimit {
                name = nil
            } else {
                lastStatement += 1
                let fresh = "s\(lastStatement)"
                guard
                    PQsendPrepare(connection, fresh, statement.sql, Int32(key.types.count), key.types) == 1
                else { return false }
                statements[key] = .preparing(by: id, name: fresh)
                commands.append(.prepare(key: key))
                name = fresh
            }
        }
        commands.append(.execute(wanted: wanted))
        return LibPQ.withParameters(parameters) { count, values, lengths, formats in
            if let name {
                return PQsendQueryPrepared(connection, name, count, values, lengths, formats, 1) == 1
            }
            return PQsendQueryParams(connection, statement.sql, count, key.types, values, lengths, formats, 1) == 1
        }
    }

    private func sendExclusive(_ id: UInt64, _ work: ExclusiveWork) {
        var work = work
        if isBeginDue {
            isBeginDue = false
            work.sql = "begin; " + work.sql
        }
        guard PQexitPipelineMode(connection) == 1, PQsendQuery(connection, work.sql) == 1 else {
            return fail(PostgresError(.connection, LibPQ.errorMessage(connection), attempted: "send"))
        }
        exclusive = work
        flushAtTickEnd()
    }

    private func flushAtTickEnd() {
        if isFlushDue { return }
        isFlushDue = true
        reactor.atTickEnd { [weak self] in self?.flush() }
    }

    private func flush() {
        isFlushDue = false
        guard state == .ready else { return }
        switch PQflush(connection) {
        case 0: watch(for: exclusive?.isBlocked == true ? [.read, .write] : .read)
        case 1: watch(for: [.read, .write])  // and keep reading: the server may be waiting for us to do so
        case _: loseConnection()
        }
    }

    // MARK: Receiving

    private func ready(_ events: Reactor.Events) {
        guard state == .ready else { return }
        // Also without anything to read it is what tells that the connection has been closed.
        if events.readable, PQconsumeInput(connection) == 0 {
            // What had arrived before may tell why.
            receive()
            return loseConnection()
        }
        receive()
        if events.writable, state == .ready { flush() }
    }

    private func receive() {
        if exclusive != nil { return receiveExclusive() }
        var consecutiveEnds = 0
        while state == .ready, !pipeline.isEmpty, exclusive == nil, PQisBusy(connection) == 0 {
            guard let result = PQgetResult(connection) else {
                consecutiveEnds += 1
                if consecutiveEnds > 3 { break }  // libpq thinks it owes nothing
                _ = pipeline.receive(.end)
                continue
            }
            consecutiveEnds = 0
            handle(result)
        }
        if state == .ready, PQstatus(connection) == CONNECTION_BAD { loseConnection() }
    }

    private func handle(_ pointer: OpaquePointer) {
        let answer: PipelineStateMachine<PostgresResult>.Answer
        let request = pipeline.head.flatMap { inFlight[$0] }
        switch PQresultStatus(pointer) {
        case PGRES_PIPELINE_SYNC:
            PQclear(pointer)
            answer = .sync
        case PGRES_PIPELINE_ABORTED:
            PQclear(pointer)
            answer = .aborted
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            answer = .success(PostgresResult(memory: ResultMemory(pointer)))
        case _:
            let error = LibPQ.error(of: pointer, attempted: request?.attempted ?? "nothing")
            if LibPQ.isStalePlan(pointer), let request { forgetPlans(of: request) }
            PQclear(pointer)
            answer = .failure(error)
        }
        switch pipeline.receive(answer) {
        case .none: break
        case .prepared(let key):
            if case .preparing(by: _, let name)? = statements[key] { statements[key] = .ready(name: name) }
        case .notPrepared(let key):
            statements[key] = nil
        case .finished(let id, let result):
            finish(id, result.map { .results($0) })
        case .violation(let message):
            fail(PostgresError(.connection, "protocol violation: \(message)", attempted: "receive"))
        }
    }

    private func finish(_ id: UInt64, _ result: Result<Request.Reply, PostgresError>) {
        guard let request = inFlight.removeValue(forKey: id) else { return }
        if case .failure(let error) = result, retryStale(request, error) { return }
        request.complete(result, on: reactor)
        settle()
    }

    /// Something has ended: what does that allow?
    private func settle() {
        guard state == .ready else { return }
        cancelIfHeadIsAbandoned()
        if case .answered = cancelling, pipeline.isEmpty, exclusive == nil {
            cancelling = .no
            if let timer { reactor.cancel(timer) }
            timer = nil
        }
        sendHeld()
        freeIfIdle()
    }

    // MARK: Stale plans

    private func forgetPlans(of request: Request) {
        request.hasStalePlan = true
        guard case .pipeline(let steps) = request.work else { return }
        for step in steps { statements[StatementKey(step.statement, step.parameters)] = nil }
    }

    /// Outside of a transaction block a stale plan is our affair: everything was rolled back, so it may be done again.
    private func retryStale(_ request: Request, _ error: PostgresError) -> Bool {
        guard request.hasStalePlan, !request.isRetried, !request.isCompleted, isIdle,
            PQtransactionStatus(connection) == PQTRANS_IDLE
        else { return false }
        request.isRetried = true
        held.append(request)
        sendHeld()
        return true
    }

    // MARK: Scripts and COPY

    private func receiveExclusive() {
        guard var work = exclusive, let connection else { return }
        let isDone = work.advance(connection, isAbandoned: inFlight[work.id]?.isCompleted ?? true)
        exclusive = work
        guard isDone else {
            if work.isBlocked { watch(for: [.read, .write]) }
            flushAtTickEnd()
            return
        }
        guard PQstatus(connection) == CONNECTION_OK else {
            if let error = work.error, let request = inFlight.removeValue(forKey: work.id) {
                var error = error
                error.outcomeUnknown = error.code == .connection
                request.complete(.failure(error), on: reactor)
            }
            return loseConnection()
        }
        exclusive = nil
        guard PQenterPipelineMode(connection) == 1 else { return loseConnection() }
        watch(for: .read)
        finish(work.id, work.result)
    }

    // MARK: Cancelling

    private func cancelIfHeadIsAbandoned() {
        guard state == .ready, case .no = cancelling, let connection, let id = exclusive?.id ?? pipeline.head,
            let request = inFlight[id], request.isCompleted
        else { return }
        cancelling = .asked
        let isAsked = canceller.cancel(connection, reactor: reactor) { [weak self] in self?.cancelAnswered() }
        guard isAsked else {
            return fail(PostgresError(.timeout, "too many cancellations at once", attempted: "cancel"))
        }
        timer = reactor.schedule(after: configuration.cancelTimeout) { [weak self] in
            self?.fail(PostgresError(.timeout, "the server didn't cancel the statement", attempted: "cancel"))
        }
        if exclusive != nil { receiveExclusive() }  // a COPY ends its data with an error
    }

    private func cancelAnswered() {
        guard state == .ready, case .asked = cancelling else { return }
        cancelling = .answered
        settle()
    }

    // MARK: Closing

    private func loseConnection() {
        let message = connection.map { LibPQ.errorMessage($0) } ?? "closed"
        fail(PostgresError(.connection, message, attempted: "receive"))
    }

    private func fail(_ error: PostgresError) {
        if state == .connecting {
            return failConnect(PostgresError(.connection, error.message, attempted: "connect"))
        }
        guard state == .ready else { return }
        let events = self.events
        let answered = Dictionary(
            pipeline.connectionLost().map { ($0.id, $0.error) }, uniquingKeysWith: { first, _ in first })
        let sent = inFlight.values.sorted { $0.id < $1.id }
        let waiting = held
        inFlight = [:]
        held = []
        release()
        for request in sent {
            // If the server gave a reason (it is shutting down, say), that is the better message.
            let reason = answered[request.id] ?? nil
            var failure = PostgresError(
                error.code == .closed ? .closed : .connection, reason?.message ?? error.message,
                attempted: request.attempted, sqlState: reason?.sqlState, detail: reason?.detail,
                outcomeUnknown: true, cause: error)
            if let category = reason?.sqlState?.category, category != "57" && category != "08" {
                // An ordinary error, of which only the Sync's answer is missing: the server has rolled back.
                failure.code = .server
                failure.outcomeUnknown = false
            }
            request.complete(.failure(failure), on: reactor)
        }
        for request in waiting {
            let failure = PostgresError(
                error.code == .closed ? .closed : .connection, error.message, attempted: request.attempted, cause: error
            )
            request.complete(.failure(failure), on: reactor)
        }
        events?.lost(self, error)
    }

    private func release() {
        state = .closed
        attempt?.cancel()
        attempt = nil
        if let registration { reactor.unregister(registration) }
        registration = nil
        if let timer { reactor.cancel(timer) }
        timer = nil
        if let connection { PQfinish(connection) }
        connection = nil
        exclusive = nil
        statements = [:]
        events = nil
    }

    private func watch(for interest: Reactor.Interest) {
        if let registration { reactor.update(registration, to: interest) }
    }
}

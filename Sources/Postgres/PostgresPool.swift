package import Logging
package import Reactor

/// Connections to PostgreSQL over libpq, shared by any number of callers.
///
/// An operation takes a free connection or waits for one; so does a scope (`transaction`, `withConnection`), for as long as
/// it lasts. All time-outs include the waiting. When the server is away, operations wait until their time is up while the
/// pool tries to connect, with growing pauses.
package final class PostgresPool: Sendable {
    package typealias Step = (statement: Statement, parameters: [PostgresValue])

    package let configuration: PostgresConfiguration
    /// Where completions of `submit` are called.
    package let reactor: Reactor
    private let ownsReactor: Bool
    private let core: PoolCore

    /// - Parameter reactor: the thread to work on; nil makes one that ends with `run()`.
    package init(configuration: PostgresConfiguration, reactor: Reactor? = nil, logger: Logger) {
        self.configuration = configuration
        self.reactor = reactor ?? Reactor(name: "postgres")
        ownsReactor = reactor == nil
        core = PoolCore(configuration: configuration, reactor: self.reactor, logger: logger)
    }

    /// Works until the task is cancelled. Then new operations fail with `closed`, those under way have `cancelTimeout` to
    /// end, and all is closed. Operations that are called before it wait for it. Run it once.
    package func run() async {
        let (reactor, core) = (reactor, core)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                reactor.execute { core.start(whenClosed: { continuation.resume() }) }
            }
        } onCancel: {
            reactor.execute { core.close() }
        }
        if ownsReactor { reactor.stop() }
    }

    /// One statement, in a transaction of its own.
    package func query(
        _ statement: Statement, _ parameters: [PostgresValue] = [], timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await pipeline([(statement, parameters)], timeout: timeout)[0]
    }

    /// Several statements in one round trip and one implicit transaction: all are done or none. A result each.
    package func pipeline(
        _ steps: [Step], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        if steps.isEmpty { return [] }
        if let error = invalid(steps) { throw error }
        return try await perform(.pipeline(steps), timeout: timeout).results
    }

    /// The callback form of `pipeline`, for hot paths: no task, no continuation. From any thread; `completion` is called
    /// exactly once on the reactor's thread, and must not block it.
    package func submit(
        _ steps: [Step], timeout: Duration? = nil,
        completion: @escaping @Sendable (Result<[PostgresResult], PostgresError>) -> Void
    ) {
        let error = steps.isEmpty ? PostgresError(.encoding, "no statement", attempted: "nothing") : invalid(steps)
        if let error {
            return reactor.execute { completion(.failure(error)) }
        }
        let request = Request(.pipeline(steps), timeout: timeout ?? configuration.queryTimeout) { result in
            completion(result.map(\.results))
        }
        if reactor.isOnThread {
            core.submit(request)
        } else {
            reactor.execute { [core] in core.submit(request) }
        }
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws or the task is cancelled.
    ///
    /// BEGIN travels with the body's first statement. An error of a statement ends the transaction even if the body
    /// catches it: then the commit throws `inFailedTransaction`.
    package func transaction<R>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        let connection = try await lease(transaction: true)
        do {
            let result = try await body(connection)
            try Task.checkCancellation()
            try await connection.commit()
            connection.end()
            return result
        } catch {
            await connection.rollback()
            connection.end()
            throw error
        }
    }

    /// Runs `body` with a connection of its own. What it sets for the session stays set for the connection's next user; a
    /// transaction that it leaves open is rolled back.
    package func withConnection<R>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        let connection = try await lease(transaction: false)
        do {
            let result = try await body(connection)
            connection.end()
            return result
        } catch {
            connection.end()
            throw error
        }
    }

    private func lease(transaction: Bool) async throws(PostgresError) -> PostgresConnection {
        guard case .lease(let link) = try await perform(.lease, timeout: nil) else {
            preconditionFailure("a lease is answered by a lease")
        }
        let connection = PostgresConnection(link: link, pool: self)
        if transaction { connection.beginTransaction() }
        return connection
    }

    /// Waits for a request's completion; without a link on any connection.
    func perform(
        _ work: Request.Work, on link: Link? = nil, timeout: Duration?, isShielded: Bool = false
    ) async throws(PostgresError) -> Request.Reply {
        let (reactor, core) = (reactor, core)
        let box = RequestBox()
        let timeout = timeout ?? configuration.queryTimeout
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Reply, Never>) in
                let request = Request(work, timeout: timeout) { continuation.resume(returning: $0) }
                reactor.execute {
                    if !isShielded {
                        request.isCancelled = box.isCancelled
                        box.request = request
                    }
                    if let link { core.submit(request, on: link) } else { core.submit(request) }
                }
            }
        } onCancel: {
            reactor.execute {
                box.isCancelled = true
                if let request = box.request { core.abandon(request, .cancelled) }
            }
        }
        // A lease that was granted while the task was being cancelled has to be given back.
        if case .success(.lease(let link)) = result, Task.isCancelled {
            reactor.execute { link.endLease() }
            throw PostgresError(.cancelled, "the task was cancelled", attempted: "get a connection")
        }
        return try result.get()
    }

    private typealias Reply = Result<Request.Reply, PostgresError>

    /// What libpq would refuse in the middle of an operation.
    func invalid(_ steps: [Step]) -> PostgresError? {
        for step in steps {
            if step.parameters.count > 65_535 {
                return PostgresError(
                    .encoding, "\(step.parameters.count) parameters, 65535 are possible",
                    attempted: step.statement.summary)
            }
            if step.statement.sql.utf8.contains(0) {
                return PostgresError(.encoding, "the statement contains a NUL", attempted: step.statement.summary)
            }
        }
        return nil
    }
}

/// Connects a task's cancellation with its request; only the reactor's thread touches it.
private final class RequestBox: @unchecked Sendable {
    var request: Request?
    var isCancelled = false
}

extension Request.Reply {
    var results: [PostgresResult] {
        guard case .results(let results) = self else { return [] }
        return results
    }
}

package import Logging
package import Reactor

/// Connections to PostgreSQL over libpq, shared by any number of callers.
package final class PostgresPool: Sendable {
    package typealias Step = (statement: Statement, parameters: [PostgresValue])

    package let configuration: PostgresConfiguration

    package init(configuration: PostgresConfiguration, reactor: Reactor? = nil, logger: Logger) {
        self.configuration = configuration
    }

    /// Works until the task is cancelled; then closes everything. Operations called before it wait for it.
    package func run() async {}

    /// One statement, in a transaction of its own.
    package func query(
        _ statement: Statement, _ parameters: [PostgresValue] = [], timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        throw PostgresError(.closed, "not running", attempted: statement.summary)
    }

    /// Several statements in one round trip and one implicit transaction: all are done or none. A result each.
    package func pipeline(
        _ steps: [Step], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        throw PostgresError(.closed, "not running", attempted: "pipeline")
    }

    /// The callback form of `pipeline`, for hot paths: no task, no continuation. From any thread; `completion` is called
    /// exactly once on the reactor's thread, and must not block it.
    package func submit(
        _ steps: [Step], timeout: Duration? = nil,
        completion: @escaping @Sendable (Result<[PostgresResult], PostgresError>) -> Void
    ) {
        completion(.failure(PostgresError(.closed, "not running", attempted: "pipeline")))
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws or the task is cancelled.
    package func transaction<R>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        throw PostgresError(.closed, "not running", attempted: "transaction")
    }

    /// Runs `body` with a connection of its own.
    package func withConnection<R>(_ body: (PostgresConnection) async throws -> R) async throws -> R {
        throw PostgresError(.closed, "not running", attempted: "connect")
    }
}

/// A connection during a scope of `PostgresPool`; worthless after it.
package final class PostgresConnection: Sendable {
    package func query(
        _ statement: Statement, _ parameters: [PostgresValue] = [], timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        throw PostgresError(.closed, "not running", attempted: statement.summary)
    }

    package func pipeline(
        _ steps: [PostgresPool.Step], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        throw PostgresError(.closed, "not running", attempted: "pipeline")
    }
}

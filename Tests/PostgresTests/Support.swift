import Logging
import Postgres
import TestServers
import Testing

/// The suites that don't harm their server share it.
@Suite(.postgres) enum OnOneServer {}

/// One server for a suite: `@Suite(.postgres)`, then `PostgresServer.current`.
struct PostgresTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
    ) async throws {
        try await PostgresServer.withServer { server in
            try await PostgresServer.$currentServer.withValue(server) { try await function() }
        }
    }
}

extension Trait where Self == PostgresTrait {
    static var postgres: Self { PostgresTrait() }
}

extension PostgresServer {
    @TaskLocal static var currentServer: PostgresServer?

    static var current: PostgresServer {
        get throws { try #require(currentServer, "the suite needs .postgres") }
    }
}

/// Runs a pool while `body` runs.
func withPool<R: Sendable>(
    _ configuration: PostgresConfiguration, _ body: @Sendable (PostgresPool) async throws -> R
) async throws -> R {
    var logger = Logger(label: "test")
    logger.logLevel = .error
    let pool = PostgresPool(configuration: configuration, logger: logger)
    return try await withThrowingTaskGroup(of: R?.self) { group in
        group.addTask {
            await pool.run()
            return nil
        }
        defer { group.cancelAll() }
        let result = try await body(pool)
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// The error that `body` throws, which must be a `PostgresError`.
func failure(
    _ body: () async throws -> Void, sourceLocation: SourceLocation = #_sourceLocation
) async throws -> PostgresError {
    do {
        try await body()
    } catch {
        return try #require(error as? PostgresError, "\(error)", sourceLocation: sourceLocation)
    }
    throw NoError()
}

struct NoError: Error {}

/// Waits until `condition` holds; fails after `limit`.
func eventually(
    within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        if ContinuousClock.now > end {
            Issue.record("the condition didn't come true within \(limit)", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

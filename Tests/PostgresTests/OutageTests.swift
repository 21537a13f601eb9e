import NIOConcurrencyHelpers
import Postgres
import TestServers
import Testing

/// What a server does to its clients when it dies or hangs.
@Suite(.postgres, .serialized) struct OutageTests {
    private func configuration(_ server: PostgresServer) -> PostgresConfiguration {
        PostgresConfiguration(
            dsn: server.dsn, connections: 3, connectTimeout: .milliseconds(500), queryTimeout: .seconds(1),
            cancelTimeout: .milliseconds(300), backoffLimit: .milliseconds(200))
    }

    @Test func killedServer() async throws {
        let server = try PostgresServer.current
        try await withPool(configuration(server)) { pool in
            _ = try await pool.query("create table survivors (n bigint)")
            // Under way while the server dies: each fails exactly once (a continuation resumed twice would trap).
            try await withThrowingTaskGroup(of: PostgresError?.self) { group in
                for _ in 0..<12 {
                    group.addTask {
                        do throws(PostgresError) {
                            _ = try await pool.query("select pg_sleep(20)", timeout: .seconds(20))
                            return nil
                        } catch { return error }
                    }
                }
                try await withPool(PostgresConfiguration(dsn: server.dsn, connections: 1)) { observer in
                    try await eventually {
                        let busy = try await observer.query(
                            """
                            select count(*) from pg_stat_activity
                            where query like 'select pg_sleep(20%' and state = 'active'
                            """)
                        return try busy.rows[0].int8(0) == 3
                    }
                }
                await server.kill()
                let errors = try await group.reduce(into: [PostgresError]()) { if let error = $1 { $0.append(error) } }
                #expect(errors.count == 12)
                #expect(errors.filter { $0.code == .connection && $0.outcomeUnknown }.count == 3)
                #expect(errors.filter { $0.code == .connection && !$0.outcomeUnknown }.count == 9)
            }
            let start = ContinuousClock.now
            let error = try await failure { _ = try await pool.query("select 1", timeout: .milliseconds(200)) }
            #expect(error.code == .connection)
            #expect(error.cause != nil)
            #expect(ContinuousClock.now - start < .seconds(1))

            try await server.start()
            #expect(
                try await pool.query("select count(*) from survivors", timeout: .seconds(5)).rows[0].int8(0) == 0)
        }
    }

    @Test func connectionLostInATransaction() async throws {
        let server = try PostgresServer.current
        try await withPool(configuration(server)) { pool in
            _ = try await pool.query("create table lost (n bigint)")
            let error = try await failure {
                try await pool.transaction { connection in
                    let session = try await connection.query(
                        "insert into lost values (1) returning pg_backend_pid()"
                    ).rows[0].int8(0)
                    _ = try await pool.query("select pg_terminate_backend($1::int)", [.int8(session)])
                    _ = try await connection.query("select pg_sleep(1)")
                }
            }
            #expect(error.code == .connection || error.sqlState == .adminShutdown)
            #expect(try await pool.query("select count(*) from lost").rows[0].int8(0) == 0)
            // An orderly restart as well.
            await server.stop()
            try await server.start()
            #expect(try await pool.query("select count(*) from lost", timeout: .seconds(5)).rows[0].int8(0) == 0)
        }
    }

    @Test func pausedServer() async throws {
        let server = try PostgresServer.current
        try await withPool(configuration(server)) { pool in
            for _ in 0..<3 { _ = try await pool.query("select 1") }
            server.pause()
            let start = ContinuousClock.now
            await withTaskGroup(of: PostgresError.Code?.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        do throws(PostgresError) {
                            _ = try await pool.query("select 1")
                            return nil
                        } catch { return error.code }
                    }
                }
                for await code in group { #expect(code == .timeout || code == .connection) }
            }
            #expect(ContinuousClock.now - start < .seconds(3))
            await #expect(throws: PostgresError.self) {
                try await pool.transaction { _ = try await $0.query("select 1") }
            }
            server.resume()
            try await eventually { (try? await pool.query("select 1").rows[0].int8(0)) == 1 }
            for _ in 0..<20 { _ = try await pool.query("select 1") }
        }
    }

    @Test func noServer() async throws {
        let port = try TestEnvironment.freePort()
        let configuration = PostgresConfiguration(
            dsn: "host=127.0.0.1 port=\(port) user=postgres", queryTimeout: .milliseconds(300))
        try await withPool(configuration) { pool in
            let error = try await failure { _ = try await pool.query("select 1") }
            #expect(error.code == .connection)
            #expect(error.isRetryable)
        }
        // A DSN that can't be parsed fails as well instead of hanging.
        try await withPool(.init(dsn: "nonsense", queryTimeout: .milliseconds(200))) { pool in
            let error = try await failure { _ = try await pool.query("select 1") }
            #expect(error.code == .connection)
        }
    }
}

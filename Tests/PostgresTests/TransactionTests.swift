import Postgres
import TestServers
import Testing

extension OnOneServer {
    @Suite struct TransactionTests {
        private func withPool<R: Sendable>(
            connections: Int = 2, queueLimit: Int = 1000, _ body: @Sendable (PostgresPool) async throws -> R
        ) async throws -> R {
            let dsn = try PostgresServer.current.dsn
            return try await PostgresTests.withPool(
                .init(dsn: dsn, connections: connections, queryTimeout: .seconds(5), queueLimit: queueLimit), body)
        }

        @Test func commitAndRollback() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table tx (n bigint primary key)")
                let sum = try await pool.transaction { connection in
                    _ = try await connection.query("insert into tx values (1)")
                    _ = try await connection.query("insert into tx values (2)")
                    return try await connection.query("select sum(n)::int8 from tx").rows[0].int8(0)
                }
                #expect(sum == 3)
                await #expect(throws: NoError.self) {
                    try await pool.transaction { connection in
                        _ = try await connection.query("insert into tx values (3)")
                        throw NoError()
                    }
                }
                let error = try await failure {
                    try await pool.transaction { connection in
                        _ = try await connection.query("insert into tx values (4)")
                        _ = try await connection.query("insert into tx values (1)")
                    }
                }
                #expect(error.sqlState == .uniqueViolation)
                // The very first statement fails.
                #expect(
                    try await failure { try await pool.transaction { _ = try await $0.query("select 1 / 0") } }.sqlState
                        == .divisionByZero)
                // The body swallows an error: what it believes to have committed was not.
                let swallowed = try await failure {
                    try await pool.transaction { connection in
                        _ = try await connection.query("insert into tx values (5)")
                        _ = try? await connection.query("select 1 / 0")
                    }
                }
                #expect(swallowed.sqlState == .inFailedTransaction)
                try await pool.transaction { _ in }
                #expect(try await pool.query("select count(*) from tx").rows[0].int8(0) == 2)
            }
        }

        @Test func scopeEnds() async throws {
            try await withPool(connections: 1) { pool in
                let leaked = try await pool.withConnection { $0 }
                #expect(try await failure { _ = try await leaked.query("select 1") }.code == .closed)
                // A transaction that was left open doesn't reach the next user.
                try await pool.withConnection { _ = try await $0.script("begin; select pg_current_xact_id()") }
                #expect(try await pool.query("select pg_current_xact_id_if_assigned() is null").rows[0].bool(0))
            }
        }

        @Test func cancelledTransactionIsRolledBack() async throws {
            try await withPool(connections: 1) { pool in
                _ = try await pool.query("create table cancelled_tx (n bigint)")
                await withTaskGroup(of: Void.self) { group in
                    group.addTask {
                        let error = try? await failure {
                            try await pool.transaction { connection in
                                _ = try await connection.query("insert into cancelled_tx values (1)")
                                _ = try await connection.query("select pg_sleep(30)")
                            }
                        }
                        #expect(error?.code == .cancelled)
                    }
                    try? await Task.sleep(for: .milliseconds(100))
                    group.cancelAll()
                }
                let start = ContinuousClock.now
                #expect(try await pool.query("select count(*) from cancelled_tx").rows[0].int8(0) == 0)
                #expect(ContinuousClock.now - start < .seconds(3))
            }
        }

        @Test func timeoutCancelsTheStatement() async throws {
            try await withPool(connections: 1) { pool in
                let session = try await pool.query("select pg_backend_pid()").rows[0].int8(0)
                let start = ContinuousClock.now
                let error = try await failure {
                    _ = try await pool.query("select pg_sleep(30)", timeout: .milliseconds(100))
                }
                #expect(error.code == .timeout)
                #expect(error.outcomeUnknown)
                #expect(error.attempted == "select pg_sleep(30)")
                // The same connection, clean, and long before the 30 seconds have passed.
                for _ in 0..<20 {
                    #expect(try await pool.query("select pg_backend_pid()").rows[0].int8(0) == session)
                }
                #expect(ContinuousClock.now - start < .seconds(3))
            }
        }

        @Test func timeoutInATransaction() async throws {
            try await withPool(connections: 1) { pool in
                _ = try await pool.query("create table slow_tx (n bigint)")
                let error = try await failure {
                    try await pool.transaction { connection in
                        _ = try await connection.query("insert into slow_tx values (1)")
                        _ = try await connection.query("select pg_sleep(30)", timeout: .milliseconds(50))
                    }
                }
                #expect(error.code == .timeout)
                #expect(try await pool.query("select count(*) from slow_tx").rows[0].int8(0) == 0)
            }
        }

        @Test func cancelledCopy() async throws {
            try await withPool(connections: 1) { pool in
                _ = try await pool.query("create table copied_slowly (n bigint)")
                _ = try await pool.query(
                    """
                    create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.1); return new; end $$
                    """)
                _ = try await pool.query(
                    "create trigger slow before insert on copied_slowly for each row execute function slow()")
                let error = try await failure {
                    try await pool.withConnection { connection in
                        _ = try await connection.copyIn(
                            "copied_slowly", columns: ["n"], rows: (0..<1000).map { [.int8($0)] },
                            timeout: .milliseconds(200))
                    }
                }
                #expect(error.code == .timeout)
                #expect(try await pool.query("select count(*) from copied_slowly").rows[0].int8(0) == 0)
            }
        }

        @Test func manyCancellationsLeaveNoTrace() async throws {
            try await withPool(connections: 2) { pool in
                for round in 0..<20 {
                    await withTaskGroup(of: Void.self) { group in
                        for _ in 0..<4 { group.addTask { _ = try? await pool.query("select pg_sleep(0.005)") } }
                        try? await Task.sleep(for: .milliseconds(round % 7))
                        group.cancelAll()
                    }
                    let back = try await pool.query("select $1::int8", [.int8(Int64(round))]).rows[0].int8(0)
                    #expect(back == Int64(round))
                }
            }
        }

        @Test func alreadyCancelledTaskSendsNothing() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table untouched (n bigint)")
                await withTaskGroup(of: Void.self) { group in
                    group.cancelAll()
                    group.addTask {
                        let error = try? await failure { _ = try await pool.query("insert into untouched values (1)") }
                        #expect(error?.code == .cancelled)
                        #expect(error?.outcomeUnknown == false)
                        await #expect(throws: (any Error).self) { try await pool.transaction { _ in } }
                    }
                }
                #expect(try await pool.query("select count(*) from untouched").rows[0].int8(0) == 0)
            }
        }

        @Test func exhaustion() async throws {
            try await withPool(connections: 1, queueLimit: 3) { pool in
                try await pool.withConnection { _ in
                    await withTaskGroup(of: PostgresError.Code?.self) { group in
                        for _ in 0..<5 {
                            group.addTask {
                                do throws(PostgresError) {
                                    _ = try await pool.query("select 1", timeout: .milliseconds(300))
                                    return nil
                                } catch {
                                    return error.code
                                }
                            }
                        }
                        let codes = await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
                        #expect(codes.filter { $0 == .poolExhausted }.count == 2)
                        #expect(codes.filter { $0 == .timeout }.count == 3)
                    }
                }
                #expect(try await pool.query("select 1").rows[0].int8(0) == 1)
            }
        }

        @Test func closedPool() async throws {
            let pool = try await withPool { pool in
                let one = try await pool.query("select 1").rows[0].int8(0)
                #expect(one == 1)
                return pool
            }
            #expect(try await failure { _ = try await pool.query("select 1") }.code == .closed)
            #expect(try await failure { try await pool.transaction { _ in } }.code == .closed)
        }
    }
}

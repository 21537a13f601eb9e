import NIOConcurrencyHelpers
import Postgres
import Reactor
import TestServers
import Testing

extension OnOneServer {
    @Suite struct QueryTests {
        private func withPool<R: Sendable>(
            connections: Int = 4, _ body: @Sendable (PostgresPool) async throws -> R
        ) async throws -> R {
            let dsn = try PostgresServer.current.dsn
            return try await PostgresTests.withPool(.init(dsn: dsn, connections: connections), body)
        }

        @Test func valuesComeBack() async throws {
            try await withPool { pool in
                let result = try await pool.query(
                    """
                    select $1::bool, $2::int2, $3::int4, $4::int8, $5::float8, $6::text, $7::bytea, $8::timestamptz, $9::jsonb
                    """,
                    [
                        .bool(true), .int2(-2), .int4(.min), .int8(.max), .float8(-0.5), .text("zürich 🦆\n"),
                        .bytes([0, 255, 1]), .timestamp(milliseconds: 1_700_000_000_123), .json(#"{"a": [1, null]}"#),
                    ])
                #expect(result.rows.count == 1)
                #expect(result.affected == 1)
                let row = result.rows[0]
                #expect(try row.bool(0) == true)
                #expect(try row.int2(1) == -2)
                #expect(try row.int4(2) == .min)
                #expect(try row.int8(3) == .max)
                #expect(try row.int8(1) == -2)
                #expect(try row.float8(4) == -0.5)
                #expect(try row.text(5) == "zürich 🦆\n")
                #expect(try row.bytes(6) == [0, 255, 1])
                #expect(try row.timestampMilliseconds(7) == 1_700_000_000_123)
                #expect(try row.text(8) == #"{"a": [1, null]}"#)
            }
        }

        @Test func nullsAndEmptyValues() async throws {
            try await withPool { pool in
                let row = try await pool.query(
                    "select $1::int8, $2::text, $3::text, $4::bytea, $5::int8[], $6::text[]",
                    [.null, .null, .text(""), .bytes([]), .int8s([]), .textArray([])]
                ).rows[0]
                #expect(row.isNull(0) && row.isNull(1) && !row.isNull(2))
                #expect(try row.optionalInt8(0) == nil)
                #expect(try row.optionalText(1) == nil)
                #expect(try row.text(2) == "")
                #expect(try row.bytes(3) == [])
                #expect(try row.int8Array(4) == [])
                #expect(try row.textArray(5) == [])
                let error = try await failure { _ = try row.int8(0) }
                #expect(error.code == .decoding)
                #expect(error.message.contains("int8"))
                #expect(try await failure { _ = try row.int8(2) }.code == .decoding)
                #expect(try await failure { _ = try row.text(3) }.code == .decoding)
            }
        }

        @Test(arguments: [0, 1, -1, 1_234_567_890_123, -62_135_596_800_000, 253_402_300_799_999] as [Int64])
        func timestamps(_ milliseconds: Int64) async throws {
            try await withPool { pool in
                let row = try await pool.query(
                    "select $1::timestamptz, extract(epoch from $1::timestamptz)::float8",
                    [.timestamp(milliseconds: milliseconds)]
                ).rows[0]
                #expect(try row.timestampMilliseconds(0) == milliseconds)
                #expect(abs(try row.float8(1) * 1000 - Double(milliseconds)) < 1)
            }
        }

        @Test func arrays() async throws {
            try await withPool { pool in
                let row = try await pool.query(
                    "select $1::bool[], $2::int2[], $3::int4[], $4::int8[], $5::int8[], $6::text[], $7::bytea[], $8::timestamptz[]",
                    [
                        .boolArray([true, nil, false]), .int2Array([1, nil]), .int4Array([nil, -4]),
                        .int8Array([nil, 9, .min]), .int8s([3, 2, 1]), .textArray(["", nil, "ä,\"{}"]),
                        .bytesArray([[1], nil, []]), .timestampArray([nil, 1_700_000_000_001]),
                    ]
                ).rows[0]
                #expect(try row.boolArray(0) == [true, nil, false])
                #expect(try row.int8Array(1) == [1, nil])
                #expect(try row.int8Array(2) == [nil, -4])
                #expect(try row.int8Array(3) == [nil, 9, .min])
                #expect(try row.int8Array(4) == [3, 2, 1])
                #expect(try row.textArray(5) == ["", nil, "ä,\"{}"])
                #expect(try row.bytesArray(6) == [[1], nil, []])
                #expect(try row.timestampArray(7) == [nil, 1_700_000_000_001])
            }
        }

        @Test func unnestInsertsRows() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table bulk (id bigint primary key, body text, at timestamptz)")
                let ids = Array(Int64(1)...500)
                let result = try await pool.query(
                    """
                    insert into bulk select * from unnest($1::int8[], $2::text[], $3::timestamptz[])
                    on conflict do nothing returning id
                    """,
                    [
                        .int8s(ids), .textArray(ids.map { $0 % 3 == 0 ? nil : "body \($0)" }),
                        .timestampArray(ids.map { $0 * 1000 }),
                    ])
                #expect(result.affected == 500)
                #expect(try result.rows.map { try $0.int8(0) } == ids)
                #expect(try await pool.query("select count(*) from bulk where body is null").rows[0].int8(0) == 166)
            }
        }

        @Test func serverErrors() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table unique_names (name text constraint name_is_free primary key)")
                _ = try await pool.query("insert into unique_names values ($1)", [.text("a")])
                let error = try await failure {
                    _ = try await pool.query("insert into unique_names values ($1)", [.text("a")])
                }
                #expect(error.code == .server)
                #expect(error.sqlState == .uniqueViolation)
                #expect(error.constraint == "name_is_free")
                #expect(error.attempted == "insert into unique_names values ($1)")
                #expect(!error.outcomeUnknown)
                // An error in Parse, again and again, and a good statement after it.
                for _ in 0..<3 {
                    #expect(try await failure { _ = try await pool.query("selec 1") }.sqlState == .syntaxError)
                    #expect(
                        try await failure { _ = try await pool.query("select * from nowhere") }.sqlState
                            == .undefinedTable)
                    #expect(try await pool.query("select 1").rows[0].int8(0) == 1)
                }
                #expect(try await failure { _ = try await pool.query("select 1\0") }.code == .encoding)
                #expect(
                    try await failure { _ = try await pool.query("select $1::text", [.text("a\0")]) }.code == .server)
            }
        }

        @Test func pipelineIsOneTransaction() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table steps (n bigint primary key)")
                let results = try await pool.pipeline([
                    ("insert into steps values ($1)", [.int8(1)]),
                    ("insert into steps values ($1)", [.int8(2)]),
                    ("select sum(n)::int8 from steps", []),
                ])
                #expect(try results[2].rows[0].int8(0) == 3)
                let error = try await failure {
                    _ = try await pool.pipeline([
                        ("insert into steps values ($1)", [.int8(3)]),
                        ("insert into steps values (1 / $1::int8)", [.int8(0)]),
                        ("select 'a statement first seen after the error'", []),
                    ])
                }
                #expect(error.sqlState == .divisionByZero)
                #expect(try await pool.query("select count(*) from steps").rows[0].int8(0) == 2)
                let later = try await pool.query("select 'a statement first seen after the error'")
                #expect(try later.rows[0].text(0) == "a statement first seen after the error")
            }
        }

        @Test func manyConcurrentCallers() async throws {
            try await withPool { pool in
                let sum = try await withThrowingTaskGroup(of: Int64.self) { group in
                    for caller in 0..<100 {
                        group.addTask {
                            var sum: Int64 = 0
                            for call in 0..<20 {
                                let value = Int64(caller * 20 + call)
                                if value % 7 == 3 {
                                    #expect(
                                        try await failure { _ = try await pool.query("select 1 / 0") }.code == .server)
                                }
                                let back = try await pool.query("select $1::int8", [.int8(value)]).rows[0].int8(0)
                                #expect(back == value)
                                sum += back
                            }
                            return sum
                        }
                    }
                    return try await group.reduce(0, +)
                }
                #expect(sum == 1999 * 1000)
            }
        }

        @Test func concurrentStatementsOnOneConnection() async throws {
            try await withPool(connections: 1) { pool in
                try await pool.withConnection { connection in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for number in 0..<50 {
                            group.addTask {
                                if number % 5 == 0 {
                                    let error = try await failure { _ = try await connection.query("select broken") }
                                    #expect(error.sqlState == .undefinedColumn)
                                } else {
                                    let value = Int64(number)
                                    let result = try await connection.query("select $1::int8 + 1", [.int8(value)])
                                    #expect(try result.rows[0].int8(0) == value + 1)
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
            }
        }

        @Test func largeParametersAndResults() async throws {
            try await withPool { pool in
                let text = String(repeating: "0123456789abcdef", count: 500_000)
                let row = try await pool.query("select $1::text, length($1::text)", [.text(text)]).rows[0]
                #expect(try row.int8(1) == 8_000_000)
                #expect(try row.text(0) == text)
                let many = try await pool.query("select n from generate_series(1, 100000) n")
                #expect(many.rows.count == 100_000)
                #expect(try many.rows[99_999].int8(0) == 100_000)
            }
        }

        @Test func changedTableIsPlannedAnew() async throws {
            try await withPool(connections: 1) { pool in
                _ = try await pool.query("create table changing (a int)")
                _ = try await pool.query("insert into changing values (1)")
                #expect(try await pool.query("select * from changing").columns == ["a"])
                _ = try await pool.query("alter table changing add column b int")
                #expect(try await pool.query("select * from changing").columns == ["a", "b"])
                _ = try await pool.query("deallocate all")
                #expect(try await pool.query("select * from changing").columns == ["a", "b"])
                // In a transaction the error shows, and the next attempt succeeds.
                _ = try await pool.query("alter table changing add column c int")
                let error = try await failure {
                    try await pool.transaction { _ = try await $0.query("select * from changing") }
                }
                #expect(error.sqlState == .featureNotSupported)
                let columns = try await pool.transaction { try await $0.query("select * from changing").columns }
                #expect(columns == ["a", "b", "c"])
            }
        }

        @Test func statementCacheIsBounded() async throws {
            let dsn = try PostgresServer.current.dsn
            try await PostgresTests.withPool(.init(dsn: dsn, connections: 1, statementLimit: 5)) { pool in
                for number in 0..<20 { _ = try await pool.query(Statement("select \(number)")) }
                let kept = try await pool.query("select count(*) from pg_prepared_statements").rows[0].int8(0)
                #expect(kept == 5)
            }
        }

        @Test func callbackForm() async throws {
            try await withPool { pool in
                let calls = NIOLockedValueBox(0)
                let result = await withCheckedContinuation { continuation in
                    pool.submit([("select $1::int8", [.int8(7)])]) { result in
                        #expect(pool.reactor.isOnThread)
                        calls.withLockedValue { $0 += 1 }
                        continuation.resume(returning: result)
                    }
                }
                let seven = try result.get()[0].rows[0].int8(0)
                #expect(seven == 7)
                // From the reactor itself, one after the other.
                await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
                    @Sendable func next(_ left: Int) {
                        if left == 0 { return done.resume() }
                        pool.submit([("select 1", [])]) { _ in
                            calls.withLockedValue { $0 += 1 }
                            next(left - 1)
                        }
                    }
                    next(100)
                }
                #expect(calls.withLockedValue { $0 } == 101)
            }
        }

        @Test func copy() async throws {
            try await withPool { pool in
                _ = try await pool.query("create table copied (id bigint primary key, body text, data bytea)")
                let count = try await pool.withConnection { connection in
                    try await connection.copyIn(
                        "copied", columns: ["id", "body", "data"],
                        rows: (0..<20_000).map { id in
                            [
                                .int8(id), id % 2 == 0 ? .null : .text("body of \(id) in a table that is copied"),
                                .bytes([1]),
                            ]
                        })
                }
                #expect(count == 20_000)
                #expect(
                    try await pool.query("select count(*) from copied where body is null").rows[0].int8(0) == 10_000)
                try await pool.withConnection { connection in
                    let rows = try await connection.copyOut(
                        "copy (select id from copied order by id limit 3) to stdout")
                    #expect(rows.map { String(decoding: $0, as: UTF8.self) } == ["0\n", "1\n", "2\n"])
                    // A row that is there already: none is kept, and the connection goes on.
                    let error = try await failure {
                        _ = try await connection.copyIn(
                            "copied", columns: ["id"], rows: [[.int8(-1)], [.int8(5)]])
                    }
                    #expect(error.sqlState == .uniqueViolation)
                    #expect(try await connection.query("select min(id) from copied").rows[0].int8(0) == 0)
                    #expect(
                        try await failure { _ = try await connection.copyIn("copied", columns: ["id"], rows: [[]]) }
                            .code
                            == .encoding)
                }
                // In a transaction.
                try? await pool.transaction { connection in
                    _ = try await connection.copyIn("copied", columns: ["id"], rows: [[.int8(-7)]])
                    throw NoError()
                }
                #expect(try await pool.query("select min(id) from copied").rows[0].int8(0) == 0)
            }
        }

        @Test func socketAndSeveralHosts() async throws {
            let server = try PostgresServer.current
            let several =
                "postgresql://postgres@127.0.0.1:1,127.0.0.1:\(server.port)/postgres?target_session_attrs=read-write"
            for dsn in [server.socketDSN, several] {
                try await PostgresTests.withPool(.init(dsn: dsn, connections: 1)) { pool in
                    let one = try await pool.query("select 1").rows[0].int8(0)
                    #expect(one == 1)
                }
            }
        }
    }
}

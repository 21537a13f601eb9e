import Foundation
import Postgres
import TestServers
import Testing

extension OnOneServer {
    @Suite struct MigrationsTests {
        /// A folder of migrations, made and removed around `body`.
        private func withFolder(
            _ schema: String, _ files: [String: String],
            _ body: (Migrations, (String, String) throws -> Void) async throws -> Void
        ) async throws {
            let directory = try TestEnvironment.makeTemporaryDirectory("roost-migrations")
            defer { TestEnvironment.removeDirectory(directory) }
            try FileManager.default.createDirectory(atPath: directory + "/" + schema, withIntermediateDirectories: true)
            let write = { (name: String, text: String) in
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(schema)/\(name)"))
            }
            for (name, text) in files { try write(name, text) }
            try await body(Migrations(directory: directory), write)
        }

        private func withPool<R: Sendable>(_ body: @Sendable (PostgresPool) async throws -> R) async throws -> R {
            let dsn = try PostgresServer.current.dsn
            return try await PostgresTests.withPool(.init(dsn: dsn, connections: 2), body)
        }

        private func migrationError(_ body: () async throws -> Void) async throws -> MigrationError {
            do {
                try await body()
            } catch {
                return try #require(error as? MigrationError, "\(error)")
            }
            throw NoError()
        }

        @Test func appliesOnceAndInOrder() async throws {
            try await withPool { pool in
                try await withFolder(
                    "ordered",
                    [
                        "0001_base.sql": "create table things (id bigint primary key);\ncreate index on things (id);",
                        "0002_more.sql":
                            "alter table things add column body text; insert into things values (1, 'x; y');",
                        "README.md": "not a migration",
                    ]
                ) { migrations, write in
                    try await migrations.apply(schema: "ordered", using: pool)
                    try await migrations.apply(schema: "ordered", using: pool)
                    #expect(
                        try await pool.query("select body from ordered.things").rows.map { try $0.text(0) } == ["x; y"])
                    try write("0003_third.sql", "create table ordered.third ()")
                    try await migrations.apply(schema: "ordered", using: pool)
                    let names = try await pool.query("select name from ordered.roost_migrations order by number").rows
                    #expect(try names.map { try $0.text(0) } == ["0001_base", "0002_more", "0003_third"])
                }
            }
        }

        @Test func concurrentStarters() async throws {
            var files: [String: String] = [:]
            for number in 1...5 {
                files["000\(number)_step.sql"] = "create table step\(number) (n int); select pg_sleep(0.02)"
            }
            try await withFolder("contended", files) { migrations, _ in
                try await withPool { first in
                    try await withPool { second in
                        try await withThrowingTaskGroup(of: Void.self) { group in
                            for pool in [first, second, first, second] {
                                group.addTask { try await migrations.apply(schema: "contended", using: pool) }
                            }
                            try await group.waitForAll()
                        }
                    }
                    #expect(
                        try await first.query("select count(*) from contended.roost_migrations").rows[0].int8(0) == 5)
                }
            }
        }

        @Test func changedFile() async throws {
            try await withPool { pool in
                try await withFolder("changed", ["0001_a.sql": "create table a ()"]) { migrations, write in
                    try await migrations.apply(schema: "changed", using: pool)
                    try write("0001_a.sql", "create table a ( )")
                    try write("0002_b.sql", "create table b ()")
                    let error = try await migrationError { try await migrations.apply(schema: "changed", using: pool) }
                    #expect(error.code == .changedFile)
                    #expect(error.message.contains("0001_a"))
                    #expect(try await pool.query("select to_regclass('changed.b') is null").rows[0].bool(0))
                }
            }
        }

        @Test func brokenFile() async throws {
            try await withPool { pool in
                try await withFolder(
                    "broken", ["0001_a.sql": "create table a ()", "0002_b.sql": "create table b (); create tabel c ()"]
                ) { migrations, write in
                    let error = try await migrationError { try await migrations.apply(schema: "broken", using: pool) }
                    #expect(error.code == .failed)
                    #expect((error.cause as? PostgresError)?.sqlState == .syntaxError)
                    // The first stays, the second has left nothing, and can be mended.
                    #expect(
                        try await pool.query("select to_regclass('broken.a') is null, to_regclass('broken.b') is null")
                            .rows.map { try [$0.bool(0), $0.bool(1)] } == [[false, true]])
                    try write("0002_b.sql", "create table b ()")
                    try await migrations.apply(schema: "broken", using: pool)
                }
            }
        }

        @Test func refusals() async throws {
            try await withPool { pool in
                let cases: [(String, [String: String], MigrationError.Code)] = [
                    ("twice", ["0001_a.sql": "", "0001_b.sql": ""], .badName),
                    ("unnumbered", ["first.sql": ""], .badName),
                    ("short", ["1_a.sql": ""], .badName),
                    ("ends", ["0001_a.sql": "create table a (); commit; create table b ()"], .failed),
                ]
                for (schema, files, code) in cases {
                    try await withFolder(schema, files) { migrations, _ in
                        let error = try await migrationError { try await migrations.apply(schema: schema, using: pool) }
                        #expect(error.code == code, "\(schema): \(error)")
                    }
                }
                try await withFolder("Bad; name", [:]) { migrations, _ in
                    let error = try await migrationError {
                        try await migrations.apply(schema: "Bad; name", using: pool)
                    }
                    #expect(error.code == .badName)
                    let missing = try await migrationError {
                        try await migrations.apply(schema: "nowhere", using: pool)
                    }
                    #expect(missing.code == .missingFile)
                }
            }
        }

        @Test func gapsAndNewerVersions() async throws {
            try await withPool { pool in
                try await withFolder("gaps", ["0001_a.sql": "", "0003_c.sql": ""]) { migrations, write in
                    try await migrations.apply(schema: "gaps", using: pool)
                    try write("0002_b.sql", "")
                    #expect(
                        try await migrationError { try await migrations.apply(schema: "gaps", using: pool) }.code
                            == .outOfOrder)
                }
                // An older version, which doesn't know 0003.
                try await withFolder("gaps", ["0001_a.sql": ""]) { migrations, _ in
                    try await migrations.apply(schema: "gaps", using: pool)
                }
                try await withFolder("gaps", ["0003_c.sql": ""]) { migrations, _ in
                    let error = try await migrationError { try await migrations.apply(schema: "gaps", using: pool) }
                    #expect(error.code == .missingFile)
                }
            }
        }
    }
}

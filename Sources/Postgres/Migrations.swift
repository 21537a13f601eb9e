import Crypto
import Foundation

/// Brings a schema to its newest state from numbered SQL files: `<directory>/<schema>/0001_name.sql`…
///
/// Each file is applied once, in a transaction of its own, with `search_path` set to the schema; so it must not contain
/// BEGIN or COMMIT. What was applied is in the schema's table `roost_migrations`, with the file's SHA-256: a file that was
/// changed afterwards is an error. Any number of processes may do this at once: an advisory lock lets one in at a time.
package struct Migrations: Sendable {
    package let directory: String
    /// For one file, and for waiting while another process applies its files.
    package let timeout: Duration

    /// - Parameter directory: the folder that has one folder a schema.
    package init(directory: String, timeout: Duration = .seconds(300)) {
        self.directory = directory
        self.timeout = timeout
    }

    /// Makes the schema and applies what it lacks. Throws `MigrationError`, or `PostgresError` where there's no server.
    package func apply(schema: String, using pool: PostgresPool) async throws {
        guard Self.isName(schema) else {
            throw MigrationError(.badName, schema: schema, "a schema's name is of a-z, 0-9 and _")
        }
        let files = try MigrationFile.read(directory: directory, schema: schema)
        while try await applyNext(of: files, schema: schema, using: pool) {}
    }

    /// False when nothing was left to do.
    private func applyNext(of files: [MigrationFile], schema: String, using pool: PostgresPool) async throws -> Bool {
        try await pool.transaction { connection in
            _ = try await connection.query(
                "select pg_advisory_xact_lock($1, hashtext($2))", [.int4(Self.lock), .text(schema)], timeout: timeout)
            try await connection.script(
                """
                create schema if not exists \(schema);
                create table if not exists \(schema).roost_migrations (
                    number integer primary key,
                    name text not null,
                    sha256 text not null,
                    applied_at timestamptz not null default now());
                """)
            let applied = try await connection.query(
                Statement("select number, name, sha256 from \(schema).roost_migrations order by number")
            ).rows.map { AppliedMigration(number: try Int($0.int4(0)), name: try $0.text(1), sha256: try $0.text(2)) }
            guard let file = try Self.next(of: files, applied: applied, schema: schema) else { return false }
            try await run(file, schema: schema, on: connection)
            return true
        }
    }

    private func run(_ file: MigrationFile, schema: String, on connection: PostgresConnection) async throws {
        let transaction: Statement = "select pg_current_xact_id()::text"
        do {
            try await connection.script("set local search_path to \(schema), public")
            let before = try await connection.query(transaction).rows[0].text(0)
            try await connection.script(file.sql, timeout: timeout)
            guard try await connection.query(transaction).rows[0].text(0) == before else {
                throw MigrationError(.failed, schema: schema, "\(file.name) ends the transaction: it must not")
            }
            _ = try await connection.query(
                Statement("insert into \(schema).roost_migrations (number, name, sha256) values ($1, $2, $3)"),
                [.int4(Int32(file.number)), .text(file.name), .text(file.sha256)])
        } catch let error as PostgresError {
            throw MigrationError(.failed, schema: schema, "\(file.name): \(error.message)", cause: error)
        }
    }

    /// The first file that is to be applied. Checks those that were; what a newer version of Roost has applied beyond our
    /// files is no error, so that versions can run side by side during an upgrade.
    static func next(
        of files: [MigrationFile], applied: [AppliedMigration], schema: String
    ) throws(MigrationError) -> MigrationFile? {
        let known = Dictionary(files.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        let newest = files.last?.number ?? 0
        for migration in applied {
            guard let file = known[migration.number] else {
                if migration.number > newest { continue }
                throw MigrationError(
                    .missingFile, schema: schema, "\(migration.name) was applied, but its file is gone")
            }
            if file.sha256 != migration.sha256 {
                throw MigrationError(
                    .changedFile, schema: schema,
                    "\(file.name) was changed after it had been applied (\(migration.sha256.prefix(12)) then, "
                        + "\(file.sha256.prefix(12)) now): restore it and put the change into a new file")
            }
        }
        let done = Set(applied.map(\.number))
        guard let next = files.first(where: { !done.contains($0.number) }) else { return nil }
        if let last = applied.last, last.number > next.number {
            throw MigrationError(
                .outOfOrder, schema: schema, "\(next.name) comes before \(last.name), which was applied already")
        }
        return next
    }

    /// The first key of the advisory lock: "roos".
    private static let lock: Int32 = 0x726f_6f73

    static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 63 else { return false }
        let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return (letters.contains(first) || first == UInt8(ascii: "_"))
            && text.utf8.allSatisfy { letters.contains($0) || digits.contains($0) || $0 == UInt8(ascii: "_") }
    }
}

struct AppliedMigration: Equatable, Sendable {
    var number: Int
    var name: String
    var sha256: String
}

/// One file, `0001_name.sql`.
struct MigrationFile: Equatable, Sendable {
    var number: Int
    /// With its number, without its suffix.
    var name: String
    var sql: String
    var sha256: String

    init(name: String, contents: [UInt8], schema: String) throws(MigrationError) {
        let digits = name.prefix { $0 != "_" }
        guard digits.utf8.count == 4, let number = Int(digits), number > 0, name.utf8.count > 5 else {
            throw MigrationError(.badName, schema: schema, "\(name).sql isn't named like 0001_name.sql")
        }
        guard let sql = String(validating: contents, as: UTF8.self) else {
            throw MigrationError(.badName, schema: schema, "\(name).sql isn't UTF-8")
        }
        self.number = number
        self.name = name
        self.sql = sql
        sha256 = SHA256.hash(data: contents).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// By their numbers.
    static func read(directory: String, schema: String) throws(MigrationError) -> [MigrationFile] {
        let folder = directory + "/" + schema
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw MigrationError(.missingFile, schema: schema, "no folder \(folder)", cause: error)
        }
        var files: [MigrationFile] = []
        for name in names.sorted() where name.hasSuffix(".sql") {
            guard let data = FileManager.default.contents(atPath: folder + "/" + name) else {
                throw MigrationError(.missingFile, schema: schema, "can't read \(folder)/\(name)")
            }
            let file = try MigrationFile(name: String(name.dropLast(4)), contents: [UInt8](data), schema: schema)
            if let last = files.last, last.number == file.number {
                throw MigrationError(.badName, schema: schema, "\(last.name) and \(file.name) have the same number")
            }
            files.append(file)
        }
        return files
    }
}

/// Why a schema couldn't be brought up to date.
package struct MigrationError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case badName, missingFile, changedFile, outOfOrder, failed
    }

    package var code: Code
    package var schema: String
    package var message: String
    package var cause: (any Error)?

    init(_ code: Code, schema: String, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.schema = schema
        self.message = message
        self.cause = cause
    }

    package var description: String {
        "migrating schema \(schema): \(message)" + (cause.map { " (\($0))" } ?? "")
    }
}

import NIOConcurrencyHelpers
import Reactor

/// A connection during a scope of `PostgresPool`; after it everything throws `closed`. Statements of concurrent callers are
/// pipelined in the order of their calls.
package final class PostgresConnection: Sendable {
    private let link: Link
    private let pool: PostgresPool
    private struct State {
        var hasEnded = false
        var hasSent = false
    }
    private let state = NIOLockedValueBox(State())

    init(link: Link, pool: PostgresPool) {
        self.link = link
        self.pool = pool
    }

    /// One statement.
    package func query(
        _ statement: Statement, _ parameters: [PostgresValue] = [], timeout: Duration? = nil
    ) async throws(PostgresError) -> PostgresResult {
        try await pipeline([(statement, parameters)], timeout: timeout)[0]
    }

    /// Several statements in one round trip; a result each. Outside of a transaction they are one themselves.
    package func pipeline(
        _ steps: [PostgresPool.Step], timeout: Duration? = nil
    ) async throws(PostgresError) -> [PostgresResult] {
        if steps.isEmpty { return [] }
        if let error = pool.invalid(steps) { throw error }
        return try await perform(.pipeline(steps), timeout: timeout).results
    }

    /// Any number of statements without parameters, separated by semicolons, by the simple protocol. Outside of a
    /// transaction they are one, unless they contain commands for that.
    package func script(_ sql: String, timeout: Duration? = nil) async throws(PostgresError) {
        if sql.utf8.contains(0) {
            throw PostgresError(.encoding, "the script contains a NUL", attempted: Statement(sql).summary)
        }
        _ = try await perform(.script(sql), timeout: timeout)
    }

    /// Inserts rows by `COPY … FROM STDIN (FORMAT binary)`; returns how many. The values' types must be exactly those of
    /// the columns. All rows are encoded before the first is sent.
    /// - Parameters:
    ///   - table: and `columns`: as SQL writes them, quoted where needed.
    package func copyIn(
        _ table: String, columns: [String], rows: some Sequence<[PostgresValue]>, timeout: Duration? = nil
    ) async throws(PostgresError) -> Int {
        let sql = "copy \(table) (\(columns.joined(separator: ", "))) from stdin (format binary)"
        guard let chunks = CopyEncoder.chunks(rows, columns: columns.count) else {
            throw PostgresError(.encoding, "a row hasn't \(columns.count) values", attempted: sql)
        }
        guard case .copied(_, let affected) = try await perform(.copyIn(sql, chunks: chunks), timeout: timeout) else {
            return 0
        }
        return affected
    }

    /// What `COPY … TO STDOUT` sends, a row each.
    package func copyOut(_ sql: String, timeout: Duration? = nil) async throws(PostgresError) -> [[UInt8]] {
        guard case .copied(let rows, affected: _) = try await perform(.copyOut(sql), timeout: timeout) else {
            return []
        }
        return rows
    }

    private func perform(
        _ work: Request.Work, timeout: Duration?, isShielded: Bool = false
    ) async throws(PostgresError) -> Request.Reply {
        let hasEnded = state.withLockedValue { state in
            state.hasSent = true
            return state.hasEnded
        }
        if hasEnded {
            throw PostgresError(.closed, "the connection's scope has ended", attempted: "use a connection")
        }
        return try await pool.perform(work, on: link, timeout: timeout, isShielded: isShielded)
    }

    // MARK: For PostgresPool

    func beginTransaction() {
        pool.reactor.execute { [link] in link.beginTransaction() }
    }

    func commit() async throws(PostgresError) {
        guard state.withLockedValue({ $0.hasSent }) else { return }
        let result = try await perform(.pipeline([("commit", [])]), timeout: nil, isShielded: true).results[0]
        // The server answers a commit of a failed transaction by rolling back, without an error.
        if result.commandTag == "ROLLBACK" {
            throw PostgresError(
                .server, "rolled back, because one of its statements had failed", attempted: "commit",
                sqlState: .inFailedTransaction)
        }
    }

    /// Never throws: when the connection is lost the server rolls back by itself; when this fails it is lost.
    func rollback() async {
        guard state.withLockedValue({ $0.hasSent }) else { return }
        _ = try? await perform(.pipeline([("rollback", [])]), timeout: nil, isShielded: true)
    }

    func end() {
        let isFirst = state.withLockedValue { state in
            defer { state.hasEnded = true }
            return !state.hasEnded
        }
        if isFirst { pool.reactor.execute { [link] in link.endLease() } }
    }
}

/// The binary format of COPY (manual, COPY, "Binary Format").
enum CopyEncoder {
    static let chunkSize = 64 * 1024

    /// Nil if a row has not `columns` values.
    static func chunks(_ rows: some Sequence<[PostgresValue]>, columns: Int) -> [[UInt8]]? {
        var chunks: [[UInt8]] = []
        var buffer = Array("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0x00]
        buffer.appendBigEndian(Int32(0))
        buffer.appendBigEndian(Int32(0))
        for row in rows {
            guard row.count == columns else { return nil }
            buffer.appendBigEndian(Int16(columns))
            for value in row {
                let start = buffer.count
                buffer.appendBigEndian(Int32(-1))
                guard value.encode(into: &buffer) else { continue }
                let length = UInt32(buffer.count - start - 4)
                for byte in 0..<4 {
                    buffer[start + byte] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(byte)))
                }
            }
            if buffer.count >= chunkSize {
                chunks.append(buffer)
                buffer = []
            }
        }
        buffer.appendBigEndian(Int16(-1))
        chunks.append(buffer)
        return chunks
    }
}

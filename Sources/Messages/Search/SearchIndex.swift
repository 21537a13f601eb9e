import LogConsumer

package import Postgres
package import Protocol
import ServiceKit

/// The index of messages in PostgreSQL: words, never texts.
package struct SearchIndex: Sendable {
    /// The schema that holds it; both roles share it.
    package static let schema = "search"

    /// Where a page of hits ended.
    struct Position: Sendable, Equatable {
        /// Unix milliseconds.
        var sentAt: Int64
        var conversation: UInt64
        var seq: UInt64
    }

    private let pool: PostgresPool
    private let language: String
    /// For one search, waiting for a connection included.
    private let timeout: Duration = .seconds(5)

    package init(pool: PostgresPool, language: String) {
        self.pool = pool
        self.language = language
    }

    // MARK: Language

    /// Sees to it that what is in the index was made with our language: one made with another is begun anew.
    ///
    /// - Returns: the language that it was made with, where that was another.
    /// - Throws: `ConfigurationError` when the database has no such text search configuration.
    package func prepare() async throws -> String? {
        let known = try await pool.query("SELECT DISTINCT cfgname::text FROM pg_ts_config ORDER BY 1").rows
        let names = try known.map { try $0.text(0) }
        guard names.contains(language) else {
            throw ConfigurationError(
                key: "ROOST_SEARCH_LANGUAGE",
                message: "\"\(language)\" is no text search configuration of this database; there are "
                    + names.joined(separator: ", "))
        }
        return try await pool.transaction { connection in
            let before = try await connection.query("SELECT language FROM search.settings FOR UPDATE").rows[0].text(0)
            if before == language { return nil }
            // In the order in which a batch takes its locks.
            try await connection.script(
                """
                UPDATE search.shards SET transaction = 0, conversation = 0, seq = 0;
                TRUNCATE search.documents;
                """)
            _ = try await connection.query("UPDATE search.settings SET language = $1", [.text(language)])
            return before.isEmpty ? nil : before
        }
    }

    /// Another instance was started with another language, and began anew with it.
    struct OtherLanguage: Error, CustomStringConvertible {
        var language: String
        var description: String {
            "the index is made for \"\(language)\" now: set ROOST_SEARCH_LANGUAGE alike everywhere and restart"
        }
    }

    // MARK: Finding

    /// What a query asks of the index.
    package enum Meaning: Sendable, Equatable {
        /// Words to look for.
        case words
        /// Nothing but stop words or signs: it finds nothing.
        case nothing
        /// Only what must not be there: no index finds that.
        case exclusions
    }

    func meaning(of query: String) async throws(PostgresError) -> Meaning {
        let result = try await pool.query(
            """
            SELECT numnode(q), querytree(q) FROM websearch_to_tsquery($1::text::regconfig, $2::text) AS q
            """, [.text(language), .text(query)], timeout: timeout)
        guard let row = result.rows.first, try row.int4(0) > 0 else { return .nothing }
        let tree = try row.text(1)
        return tree.isEmpty || tree == "T" ? .exclusions : .words
    }

    /// Messages that have the words, newest first.
    func candidates(
        _ query: SearchQuery, in windows: [RelayWindow], after position: Position?, limit: Int
    ) async throws(PostgresError) -> [Position] {
        let results = try await pool.pipeline(
            [
                (Self.planning, []),
                (
                    Self.find,
                    [
                        .int8s(windows.map { Int64(clamping: $0.conversation) }),
                        .int8s(windows.map { Int64(clamping: $0.after) }),
                        .int8s(windows.map { Int64(clamping: $0.until) }), .text(language), .text(query.text),
                        .optional(query.sender.map { Int64(clamping: $0) }),
                        .optionalTimestamp(milliseconds: query.before),
                        .optionalTimestamp(milliseconds: query.after),
                        .optionalTimestamp(milliseconds: position?.sentAt),
                        .optional(position.map { Int64(clamping: $0.conversation) }),
                        .optional(position.map { Int64(clamping: $0.seq) }), .int8(Int64(limit)),
                    ]
                ),
            ], timeout: timeout)
        var found: [Position] = []
        for row in results[1].rows {
            found.append(
                Position(
                    sentAt: try row.timestampMilliseconds(2), conversation: UInt64(bitPattern: try row.int8(0)),
                    seq: UInt64(bitPattern: try row.int8(1))))
        }
        return found
    }

    /// By the index of words alone, however small or unknown the table; a user's windows are joined by hash.
    package static let planning: Statement = """
        SELECT set_config('enable_seqscan', 'off', true), set_config('enable_nestloop', 'off', true),
            set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
            set_config('plan_cache_mode', 'force_generic_plan', true)
        """

    /// $1...$3 the windows, $4 language, $5 query, $6 sender, $7 before, $8 after, $9...$11 the last hit, $12 limit.
    package static let find: Statement = """
        SELECT d.conversation, d.seq, d.sent_at
        FROM search.documents d
        JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (conversation, after, until)
            ON w.conversation = d.conversation AND d.seq > w.after AND d.seq <= w.until
        WHERE d.conversation = ANY ($1) AND d.tsv @@ websearch_to_tsquery($4::text::regconfig, $5::text)
            AND ($6::bigint IS NULL OR d.sender = $6)
            AND ($7::timestamptz IS NULL OR d.sent_at < $7) AND ($8::timestamptz IS NULL OR d.sent_at > $8)
            AND ($9::timestamptz IS NULL
                OR (d.sent_at, d.conversation, d.seq) < ($9, $10::bigint, $11::bigint))
        ORDER BY d.sent_at DESC, d.conversation DESC, d.seq DESC
        LIMIT $12::bigint
        """

    /// The part of each text that has the words; nil where a text hasn't them.
    func fragments(of texts: [String], for query: SearchQuery) async throws(PostgresError) -> [Fragment?] {
        var fragments = [Fragment?](repeating: nil, count: texts.count)
        let result = try await pool.query(
            """
            SELECT i.position, ts_headline($1::text::regconfig, i.text, q, $4::text)
            FROM websearch_to_tsquery($1::text::regconfig, $2::text) AS q,
                unnest($3::text[]) WITH ORDINALITY AS i (text, position)
            WHERE to_tsvector($1::text::regconfig, i.text) @@ q
            """,
            [
                .text(language), .text(query.text), .textArray(texts.map { Fragment.cleaned($0) }),
                .text(Fragment.options),
            ], timeout: timeout)
        for row in result.rows { fragments[Int(try row.int8(0)) - 1] = Fragment(headline: try row.text(1)) }
        return fragments
    }
}

// MARK: Following the log

extension SearchIndex: ConsumerHandler {
    package func handle(_ events: [Protocol.LogEvent], in transaction: PostgresConnection) async throws {
        let settings = try await transaction.query(
            "SELECT set_config('enable_seqscan', 'off', true), language FROM search.settings")
        let present = try settings.rows[0].text(1)
        guard present == language else { throw OtherLanguage(language: present) }
        let steps = IndexChanges(events).steps(language: language)
        if !steps.isEmpty { _ = try await transaction.pipeline(steps) }
    }
}

/// Why a database operation failed.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The server refused: see `sqlState`.
        case server
        /// No connection, or it was lost while the operation was under way.
        case connection
        /// The deadline passed.
        case timeout
        /// The task was cancelled.
        case cancelled
        /// Too many operations are waiting for a connection.
        case poolExhausted
        /// A column isn't what the caller took it for.
        case decoding
        /// A parameter or statement can't be sent.
        case encoding
        /// The pool has been shut down, or the connection's scope has ended.
        case closed
    }

    package var code: Code
    /// The server's code, if it was the server that complained.
    package var sqlState: SQLState?
    package var message: String
    /// What was being done: the statement's beginning, or "connect".
    package var attempted: String
    /// The server's detail, hint, constraint and so on, if any.
    package var detail: Detail?
    /// True if the operation was sent and its answer never came: it may have been committed or not.
    package var outcomeUnknown: Bool
    package var cause: (any Error)?

    package struct Detail: Sendable, Equatable {
        package var detail: String?
        package var hint: String?
        package var constraint: String?
        package var table: String?
        package var column: String?
    }

    package init(
        _ code: Code, _ message: String, attempted: String, sqlState: SQLState? = nil, detail: Detail? = nil,
        outcomeUnknown: Bool = false, cause: (any Error)? = nil
    ) {
        self.code = code
        self.sqlState = sqlState
        self.message = message
        self.attempted = attempted
        self.detail = detail
        self.outcomeUnknown = outcomeUnknown
        self.cause = cause
    }

    /// The violated constraint's name, if it is that.
    package var constraint: String? { detail?.constraint }

    /// Whether the same operation may succeed when it is tried again, and trying can't do it twice: it didn't reach the
    /// server, or the server rolled it back for a passing reason.
    package var isRetryable: Bool {
        switch code {
        case .connection: !outcomeUnknown
        case .server: sqlState.map { $0 == .serializationFailure || $0 == .deadlockDetected } ?? false
        case .timeout, .cancelled, .poolExhausted, .decoding, .encoding, .closed: false
        }
    }

    package var description: String {
        var text = "\(code.rawValue)"
        if let sqlState { text += " \(sqlState.rawValue)" }
        text += ": \(message) (while: \(attempted))"
        if let detail = detail?.detail { text += "; \(detail)" }
        if let hint = detail?.hint { text += "; hint: \(hint)" }
        if outcomeUnknown { text += "; outcome unknown" }
        if let cause { text += "; because: \(cause)" }
        return text
    }
}

/// Five characters by which PostgreSQL classifies errors (manual, appendix A).
package struct SQLState: RawRepresentable, Hashable, Sendable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }

    package static let uniqueViolation = SQLState(rawValue: "23505")
    package static let foreignKeyViolation = SQLState(rawValue: "23503")
    package static let notNullViolation = SQLState(rawValue: "23502")
    package static let checkViolation = SQLState(rawValue: "23514")
    package static let exclusionViolation = SQLState(rawValue: "23P01")
    package static let serializationFailure = SQLState(rawValue: "40001")
    package static let deadlockDetected = SQLState(rawValue: "40P01")
    package static let lockNotAvailable = SQLState(rawValue: "55P03")
    package static let queryCanceled = SQLState(rawValue: "57014")
    package static let adminShutdown = SQLState(rawValue: "57P01")
    package static let syntaxError = SQLState(rawValue: "42601")
    package static let undefinedTable = SQLState(rawValue: "42P01")
    package static let undefinedColumn = SQLState(rawValue: "42703")
    package static let duplicateTable = SQLState(rawValue: "42P07")
    package static let duplicateSchema = SQLState(rawValue: "42P06")
    package static let divisionByZero = SQLState(rawValue: "22012")
    package static let featureNotSupported = SQLState(rawValue: "0A000")
    package static let invalidStatementName = SQLState(rawValue: "26000")
    package static let inFailedTransaction = SQLState(rawValue: "25P02")
    package static let readOnlyTransaction = SQLState(rawValue: "25006")

    /// The class: the first two characters.
    package var category: Substring { rawValue.prefix(2) }
}

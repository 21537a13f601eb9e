package import Postgres

extension PostgresError: ProblemConvertible {
    package var problem: Problem { Problem(self) }
}

extension Problem {
    /// A failed database operation: what passes by itself is `unavailable`, the rest our fault.
    package init(_ error: PostgresError) {
        switch error.code {
        case .connection, .timeout, .poolExhausted, .closed, .cancelled:
            self = .unavailable("The database can't be reached now.")
        case .server where error.sqlState.map { ["08", "53", "57", "40", "25", "55"].contains($0.category) } ?? false:
            self = .unavailable("The database can't do this now.")
        case .server, .decoding, .encoding:
            self = Problem(code: .internal, detail: "The fault is ours; it has been logged.")
        }
    }
}

import Reactor

/// Something that a caller waits for. Only the reactor's thread touches it after it was submitted.
final class Request: @unchecked Sendable {
    enum Work {
        case pipeline([PostgresPool.Step])
        /// A connection for a scope.
        case lease
        /// Any number of statements by the simple protocol.
        case script(String)
        case copyIn(String, chunks: [[UInt8]])
        case copyOut(String)

        /// Not possible in pipeline mode: has the connection for itself.
        var isExclusive: Bool {
            switch self {
            case .pipeline, .lease: false
            case .script, .copyIn, .copyOut: true
            }
        }
    }

    enum Reply: Sendable {
        case results([PostgresResult])
        case lease(Link)
        case copied([[UInt8]], affected: Int)
    }

    typealias Completion = @Sendable (Result<Reply, PostgresError>) -> Void

    let work: Work
    let timeout: Duration
    var id: UInt64 = 0
    var timer: ReactorTimer?
    /// Set once it was written to a connection; its outcome is unknown if no answer comes.
    var isSent = false
    /// Its failure was about a cached plan.
    var hasStalePlan = false
    /// It was tried again after its cached plan had become stale.
    var isRetried = false
    /// What remains to be done when the caller gives up.
    var abandonment: (() -> Void)?
    /// Cancelled before it was submitted.
    var isCancelled = false
    private var completion: Completion?

    init(_ work: Work, timeout: Duration, completion: @escaping Completion) {
        self.work = work
        self.timeout = timeout
        self.completion = completion
    }

    var isCompleted: Bool { completion == nil }

    /// Calls the completion, the first time.
    func complete(_ result: Result<Reply, PostgresError>, on reactor: Reactor) {
        guard let completion else { return }
        self.completion = nil
        if let timer { reactor.cancel(timer) }
        timer = nil
        completion(result)
    }

    /// For errors.
    var attempted: String {
        switch work {
        case .pipeline(let steps):
            guard let first = steps.first else { return "nothing" }
            return first.statement.summary + (steps.count > 1 ? " (and \(steps.count - 1) more)" : "")
        case .lease: return "get a connection"
        case .script(let sql): return Statement(sql).summary
        case .copyIn(let sql, chunks: _): return sql
        case .copyOut(let sql): return sql
        }
    }
}

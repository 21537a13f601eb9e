package import Logging
package import Postgres
import Reactor

/// The log in PostgreSQL: typed access to `LogStatements` and `ReadStatements`. Errors are the driver's; callers decide what they mean.
///
/// Three pools, so that neither kind of work waits behind another: one connection that appends (one commit at a time is what
/// makes a group), one that moves cursors, and some that read. They share a thread, on which whoever waits for commits
/// should run as well (`executor`): a commit is so short that waking threads would cost as much.
package struct LogStore: Sendable {
    private let reactor = Reactor(name: "postgres")
    package let appends: PostgresPool
    package let cursors: PostgresPool
    package let reads: PostgresPool

    package init(dsn: String, readers: Int = 4, logger: Logger) {
        let (dsn, reactor) = (Self.planned(dsn), reactor)
        func pool(_ connections: Int, _ name: String) -> PostgresPool {
            PostgresPool(
                configuration: PostgresConfiguration(
                    dsn: dsn, connections: connections, connectTimeout: .seconds(3), queryTimeout: .seconds(5),
                    backoffLimit: .milliseconds(500), applicationName: "roost-relay-\(name)"),
                reactor: reactor, logger: logger)
        }
        appends = pool(1, "append-" + String(UInt64.random(in: .min ... .max), radix: 16))
        cursors = pool(1, "cursors")
        reads = pool(readers, "read")
    }

    /// Where tasks run that mostly wait for the log.
    package var executor: any TaskExecutor { reactor.taskExecutor }

    /// Runs `body` on the executor's thread when the jobs that are due now have run: what they have for PostgreSQL is then on
    /// its way.
    func afterwards(_ body: @escaping @Sendable () -> Void) { reactor.execute(body) }

    /// Works until the task is cancelled.
    package func run() async {
        await withTaskGroup { group in
            for pool in [appends, cursors, reads] { group.addTask { await pool.run() } }
        }
        reactor.stop()
    }

    /// Answers when the log can be read.
    package func check() async throws(PostgresError) {
        _ = try await reads.query("SELECT FROM relay.conversations LIMIT 0", timeout: .seconds(1))
    }

    /// Has whatever was sent to be appended on connections that were lost end. True: it has, and was committed before or
    /// never will be. False: some was still under way; ask again.
    package func endLostAppends() async throws(PostgresError) -> Bool {
        try await appends.query(LogStatements.endLostAppends).rows[0].bool(0)
    }

    /// The connection string with the planner told what this schema is made for: every statement reaches its rows by
    /// nested loops over indexes. A plan made while the tables were empty then still holds when they are large, and
    /// prepared statements are planned once.
    static func planned(_ dsn: String) -> String {
        let settings = [
            "enable_seqscan=off", "enable_hashjoin=off", "enable_mergejoin=off", "jit=off",
            "plan_cache_mode=force_generic_plan",
        ]
        if dsn.hasPrefix("postgres://") || dsn.hasPrefix("postgresql://") {
            let options = settings.map { "-c%20" + $0.split(separator: "=").joined(separator: "%3D") }
            return dsn + (dsn.contains("?") ? "&" : "?") + "options=" + options.joined(separator: "%20")
        }
        return dsn + " options='" + settings.map { "-c " + $0 }.joined(separator: " ") + "'"
    }
}

extension UInt64 {
    /// The value of PostgreSQL's signed column.
    init(column: Int64) { self = UInt64(bitPattern: column) }
    /// The value for PostgreSQL's signed column. What no log can hold becomes the largest that it can.
    var column: Int64 { Int64(clamping: self) }
}

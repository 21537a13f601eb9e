/// How a pool connects and how long it waits.
package struct PostgresConfiguration: Sendable {
    /// A libpq connection string or URI. Several hosts with `target_session_attrs=read-write` follow the primary.
    package var dsn: String
    /// Connections at most; opened as they are needed.
    package var connections: Int
    /// For one attempt to connect, authentication included.
    package var connectTimeout: Duration
    /// For one operation, from the call to its answer; waiting for a connection included.
    package var queryTimeout: Duration
    /// How long a cancelled statement may take to end before its connection is closed.
    package var cancelTimeout: Duration
    /// Operations that may wait for a connection; more fail with `poolExhausted`.
    package var queueLimit: Int
    /// The first pause after a failed connect; doubled each time, with jitter.
    package var backoffBase: Duration
    /// The longest pause between attempts to connect.
    package var backoffLimit: Duration
    /// Prepared statements a connection keeps; more are parsed each time.
    package var statementLimit: Int
    /// What `pg_stat_activity` shows.
    package var applicationName: String

    package init(
        dsn: String, connections: Int = 8, connectTimeout: Duration = .seconds(5),
        queryTimeout: Duration = .seconds(10),
        cancelTimeout: Duration = .seconds(2), queueLimit: Int = 10_000, backoffBase: Duration = .milliseconds(50),
        backoffLimit: Duration = .seconds(2), statementLimit: Int = 500, applicationName: String = "roost"
    ) {
        self.dsn = dsn
        self.connections = connections
        self.connectTimeout = connectTimeout
        self.queryTimeout = queryTimeout
        self.cancelTimeout = cancelTimeout
        self.queueLimit = queueLimit
        self.backoffBase = backoffBase
        self.backoffLimit = backoffLimit
        self.statementLimit = statementLimit
        self.applicationName = applicationName
    }
}

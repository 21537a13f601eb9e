/// Which Redis, and how.
package struct RedisConfiguration: Sendable {
    /// `host:port`
    package var address: String
    /// `AUTH [user] password`, if it wants any.
    package var user: String?
    package var password: String?
    /// `SELECT`, unless 0.
    package var database: Int
    /// How long the connection may take to be made, log-in included.
    package var connectTimeout: Duration
    /// How long a command may take, unless a call says otherwise.
    package var commandTimeout: Duration
    /// How long a command waits for the connection to come back before it fails with `.disconnected`.
    package var disconnectedWait: Duration
    /// How many commands may wait or be in flight; more fail with `.queueFull`.
    package var queueLimit: Int
    /// The first pause before connecting again; it doubles, jittered, up to `backOffLimit`.
    package var backOff: Duration
    package var backOffLimit: Duration

    /// How often a connection that only listens asks for a sign of life.
    package var pingInterval: Duration

    package init(
        address: String, user: String? = nil, password: String? = nil, database: Int = 0,
        connectTimeout: Duration = .seconds(2), commandTimeout: Duration = .seconds(2),
        disconnectedWait: Duration = .milliseconds(250), queueLimit: Int = 10_000,
        backOff: Duration = .milliseconds(50), backOffLimit: Duration = .seconds(2),
        pingInterval: Duration = .seconds(5)
    ) {
        self.address = address
        self.user = user
        self.password = password
        self.database = database
        self.connectTimeout = connectTimeout
        self.commandTimeout = commandTimeout
        self.disconnectedWait = disconnectedWait
        self.queueLimit = queueLimit
        self.backOff = backOff
        self.backOffLimit = backOffLimit
        self.pingInterval = pingInterval
    }
}

import ChatModel
package import Configuration
package import Logging

/// What a process is told from outside.
///
/// Read from the environment (`ROOST_LOG_LEVEL`) and from the JSON file of `--config` (`{"log_level": "debug"}`); the
/// environment wins. `init(reader:)` lists the keys.
package struct RoostConfiguration: Sendable {
    package enum LogFormat: String, Sendable, CaseIterable {
        case text, json
    }

    package var roles: [String] = []
    package var nodeID = RoostConfiguration.generatedNodeID()
    package var zone = ""
    /// nil: no ZooKeeper (tests): nothing is registered and the membership is what `MembershipView.set` says.
    package var zookeeper: String?
    package var zookeeperAuth: String?
    package var sessionTimeout: Duration = .milliseconds(4000)
    package var postgres: String?
    package var postgresConnections = 8
    package var redis: String?
    package var rpcHost = "127.0.0.1"
    package var rpcPort = 0
    package var rpcSecret = ""
    package var httpHost = "127.0.0.1"
    package var httpPort = 0
    package var advertiseHost: String?
    package var adminToken: String?
    package var publicURL = "http://localhost:8080"
    package var direct = false
    package var limits = true
    package var requestLimits = RequestLimits()
    package var socketLimits = SocketLimits()
    package var trustedProxies = TrustedProxies.loopback
    package var capacity = 19_000
    package var eventLoops = 1
    package var scryptLogN = 14
    package var groupMembers = Limits.groupMembers
    package var editWithin: Duration = .zero
    package var searchLanguage = "english"
    package var logLevel = Logger.Level.info
    package var logFormat = LogFormat.text
    package var share: String?
    package var shutdownTimeout: Duration = .seconds(10)

    package init() {}

    /// Reads every key. All are strings in the environment; a JSON file may have numbers, booleans and lists too.
    ///
    /// | key (environment) | type | default | what |
    /// |---|---|---|---|
    /// | `roles` (`ROOST_ROLES`) | names, comma-separated | none | the roles of this process; `--roles` wins |
    /// | `node_id` (`ROOST_NODE_ID`) | `[A-Za-z0-9._-]{1,64}` | random | this process's name in ZooKeeper |
    /// | `zone` (`ROOST_ZONE`) | string | empty | the failure domain, shown to operators |
    /// | `zookeeper` (`ROOST_ZOOKEEPER`) | `host:port,…` | needed by `run` | the ensemble |
    /// | `zookeeper_auth` (`ROOST_ZOOKEEPER_AUTH`) | `user:password` | none | digest credentials; with them only Roost writes its nodes |
    /// | `session_timeout_ms` (`ROOST_SESSION_TIMEOUT_MS`) | milliseconds, 500...60000 | 4000 | how soon ZooKeeper gives a silent process up |
    /// | `postgres` (`ROOST_POSTGRES`) | libpq DSN | needed by roles with a schema | the database |
    /// | `postgres_connections` (`ROOST_POSTGRES_CONNECTIONS`) | count, 1...500 | 8 | connections of this process at most |
    /// | `redis` (`ROOST_REDIS`) | `host:port` | needed by roles with leases | Redis |
    /// | `rpc_host`, `rpc_port` (`ROOST_RPC_HOST`, `ROOST_RPC_PORT`) | address, port | 127.0.0.1, 0 (a free one) | where RPC is served |
    /// | `rpc_secret` (`ROOST_RPC_SECRET`) | string | empty | the key that both ends of an RPC connection prove to hold |
    /// | `http_host`, `http_port` (`ROOST_HTTP_HOST`, `ROOST_HTTP_PORT`) | address, port | 127.0.0.1, 0 (a free one) | where REST, `/livez`, `/readyz`, `/metrics` are served |
    /// | `advertise_host` (`ROOST_ADVERTISE_HOST`) | address | the bound one | the host that others reach this process under; needed when bound to 0.0.0.0 |
    /// | `admin_token` (`ROOST_ADMIN_TOKEN`) | string | none: no operator | the operator's bearer token |
    /// | `public_url` (`ROOST_PUBLIC_URL`) | http(s) URL | `http://localhost:8080` | the gateway, as clients reach it |
    /// | `direct` (`ROOST_DIRECT`) | boolean | false | clients open WebSockets straight to the chat nodes |
    /// | `limits` (`ROOST_LIMITS`) | on/off | on | rate limits |
    /// | `limit_<name>_rate` (`ROOST_LIMIT_<NAME>_RATE`) | number, 0.001...1000000 | by name | how many a second; the names: `user`, `device`, `address`, `ticket`, `group`, `registration`, `login`, `login_failure`, `login_name` (`RequestLimits`) |
    /// | `limit_<name>_burst` (`ROOST_LIMIT_<NAME>_BURST`) | number, 1...1000000 | by name | how many at once |
    /// | `limit_<name>_rate`, `limit_<name>_burst` (`ROOST_LIMIT_<NAME>_RATE`, `_BURST`) | 1...1000000000 | by name | the same for what comes over WebSockets, by chat node; the names: `connection_frames`, `connection_bytes`, `user_frames`, `user_bytes` (`SocketLimits`) |
    /// | `limit_connections` (`ROOST_LIMIT_CONNECTIONS`) | 1...1000000 | 50 | connections of one user to a chat node |
    /// | `limit_typing_rate` (`ROOST_LIMIT_TYPING_RATE`) | 0...1000 | 5 | typing signals of a connection in a second; more are passed over |
    /// | `trusted_proxies` (`ROOST_TRUSTED_PROXIES`) | addresses or CIDR, comma-separated | loopback | whose `X-Forwarded-For` is believed |
    /// | `capacity` (`ROOST_CAPACITY`) | connections, 1...1000000 | 19000 | how many clients a chat node takes |
    /// | `event_loops` (`ROOST_EVENT_LOOPS`) | count, 1...64 | 1 | threads that serve RPC and REST, each its connections |
    /// | `scrypt_log_n` (`ROOST_SCRYPT_LOG_N`) | 1...20 | 14 | what hashing a password costs: 2^N KiB and time in proportion; low ones for load tests only |
    /// | `group_members` (`ROOST_GROUP_MEMBERS`) | 1...10000 | 10000 | members that a group can have |
    /// | `edit_within_s` (`ROOST_EDIT_WITHIN_S`) | seconds, 0...315360000 | 0: any age | how old a message may be that its author edits |
    /// | `search_language` (`ROOST_SEARCH_LANGUAGE`) | name of a text search configuration | english | by which messages are indexed and found: `simple`, `german` … as the database has them |
    /// | `log_level` (`ROOST_LOG_LEVEL`) | trace, debug, info, notice, warning, error, critical | info | |
    /// | `log_format` (`ROOST_LOG_FORMAT`) | text, json | text | |
    /// | `share` (`ROOST_SHARE`) | folder | searched upward from the executable and the working directory | holds `infra/migrations` |
    /// | `shutdown_timeout_ms` (`ROOST_SHUTDOWN_TIMEOUT_MS`) | milliseconds, 100...600000 | 10000 | how long SIGTERM may take |
    ///
    /// - Throws: `ConfigurationError` naming the first key that is wrong.
    package init(reader: ConfigReader) throws(ConfigurationError) {
        let values = ConfigurationValues(reader: reader)
        roles = values.list("roles") ?? roles
        nodeID = try values.identifier("node_id") ?? nodeID
        zone = values.text("zone") ?? zone
        zookeeper = try values.addresses("zookeeper")
        zookeeperAuth = try values.credentials("zookeeper_auth")
        sessionTimeout = try values.milliseconds("session_timeout_ms", in: 500...60_000) ?? sessionTimeout
        postgres = values.text("postgres")
        postgresConnections = try values.integer("postgres_connections", in: 1...500) ?? postgresConnections
        redis = try values.address("redis")
        rpcHost = values.text("rpc_host") ?? rpcHost
        rpcPort = try values.integer("rpc_port", in: 0...65_535) ?? rpcPort
        rpcSecret = values.text("rpc_secret") ?? rpcSecret
        httpHost = values.text("http_host") ?? httpHost
        httpPort = try values.integer("http_port", in: 0...65_535) ?? httpPort
        advertiseHost = values.text("advertise_host")
        adminToken = values.text("admin_token")
        publicURL = try values.url("public_url") ?? publicURL
        direct = try values.boolean("direct") ?? direct
        limits = try values.boolean("limits") ?? limits
        requestLimits = try RequestLimits(values: values)
        socketLimits = try SocketLimits(values: values)
        trustedProxies = try values.proxies("trusted_proxies") ?? trustedProxies
        capacity = try values.integer("capacity", in: 1...1_000_000) ?? capacity
        eventLoops = try values.integer("event_loops", in: 1...64) ?? eventLoops
        scryptLogN = try values.integer("scrypt_log_n", in: 1...20) ?? scryptLogN
        groupMembers = try values.integer("group_members", in: 1...Limits.groupMembers) ?? groupMembers
        editWithin =
            try values.integer("edit_within_s", in: 0...315_360_000).map { .seconds($0) } ?? editWithin
        searchLanguage = try values.identifier("search_language") ?? searchLanguage
        logLevel = try values.choice("log_level", of: Logger.Level.self) ?? logLevel
        logFormat = try values.choice("log_format", of: LogFormat.self) ?? logFormat
        share = values.text("share")
        shutdownTimeout = try values.milliseconds("shutdown_timeout_ms", in: 100...600_000) ?? shutdownTimeout
    }

    /// Every key that `init(reader:)` reads.
    package static let keys = Set(
        [
            "roles", "node_id", "zone", "zookeeper", "zookeeper_auth", "session_timeout_ms", "postgres",
            "postgres_connections", "redis", "rpc_host", "rpc_port", "rpc_secret", "http_host", "http_port",
            "advertise_host", "admin_token", "public_url", "direct", "limits", "trusted_proxies", "capacity",
            "event_loops", "scrypt_log_n", "group_members", "edit_within_s", "search_language", "log_level",
            "log_format", "share", "shutdown_timeout_ms",
        ] + RequestLimits.keys + SocketLimits.keys)

    /// The value of a key that this process can't do without.
    ///
    /// - Throws: `ConfigurationError` naming the key.
    package static func require(_ value: String?, key: String) throws(ConfigurationError) -> String {
        guard let value, !value.isEmpty else {
            throw ConfigurationError(key: ConfigurationValues.environmentName(key), message: "is needed and not set")
        }
        return value
    }

    private static func generatedNodeID() -> String {
        let digits = String(UInt32.random(in: .min ... .max), radix: 16)
        return "node-" + String(repeating: "0", count: 8 - digits.count) + digits
    }
}

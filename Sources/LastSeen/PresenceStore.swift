package import ChatModel
package import Protocol
package import Redis
package import Roster

/// Presence in Redis.
///
/// | key (after the prefix) | what |
/// |---|---|
/// | `:state:<user>` | hash: online (0, 1), at (Unix ms: when that began) |
/// | `:leaving` | sorted set: users without a connection that still count as online -> when they no longer do |
/// | `:changes` | the channel on which changes are published |
package struct PresenceStore: Sendable {
    package let roster: LeasedRoster
    /// How long a user without a connection still counts as online.
    package var grace: Duration

    private let redis: RedisClient
    private let prefix: String
    /// Users in one script.
    private let chunk = 500

    package init(redis: RedisClient, prefix: String = "roost:v1:presence", grace: Duration = .seconds(2)) {
        self.init(
            roster: LeasedRoster(configuration: .init(prefix: prefix, tracksUsers: true), redis: redis), grace: grace)
    }

    /// - Parameter roster: one that tracks users.
    package init(roster: LeasedRoster, grace: Duration = .seconds(2)) {
        self.roster = roster
        self.grace = grace
        self.redis = roster.redis
        self.prefix = roster.configuration.prefix
    }

    /// The channel on which `Presence.changes(in:)` can read what happens.
    package var channel: String { prefix + ":changes" }

    /// Applies what a node reports, and what follows from it.
    package func apply(_ update: RosterUpdate) async throws(RedisError) -> LeasedRoster.Outcome {
        let outcome = try await roster.apply(update)
        if outcome == .applied, update.snapshot || !update.joined.isEmpty || !update.left.isEmpty { try await settle() }
        return outcome
    }

    /// Looks at users whose connections changed. Any instance may, at any time.
    package func settle() async throws(RedisError) {
        try await repeatWhileFull(PresenceScripts.settle)
    }

    /// Puts users offline who have had no connection for long enough. Any instance may, at any time.
    package func depart() async throws(RedisError) {
        try await repeatWhileFull(PresenceScripts.depart)
    }

    private func repeatWhileFull(_ script: RedisScript) async throws(RedisError) {
        let arguments: [RedisArgument] = [
            RedisArgument(prefix), RedisArgument(chunk),
            RedisArgument(
                grace.components.seconds * 1000
                    + grace.components.attoseconds / 1_000_000_000_000_000),
        ]
        while try await redis.eval(script, arguments: arguments).int == Int64(chunk) {}
    }

    /// The presence of each, in the order asked for.
    package func presences(of users: [UserID]) async throws(RedisError) -> [Presence] {
        guard !users.isEmpty else { return [] }
        let answers = try await redis.pipeline(
            users.map { ["HMGET", RedisArgument("\(prefix):state:\($0)"), "online", "at"] })
        return zip(users, answers).map { user, answer in
            guard let fields = answer.array, fields.count == 2, let online = fields[0].string, let at = fields[1].int
            else { return Presence(user: user) }
            return Presence(user: user, online: online == "1", lastSeen: at)
        }
    }
}

/// What derives presence from the roster. ARGV: 1 prefix, 2 how many users, 3 grace ms. Answers how many it took.
enum PresenceScripts {
    private static let common =
        LeasedRoster.liveness + """
            local prefix, changes = ARGV[1], {}
            local leaving = prefix .. ':leaving'
            local function connected(user)
                for _, field in ipairs(redis.call('HKEYS', prefix .. ':user:' .. user)) do
                    if live(string.match(field, '^(.+)|')) then return true end
                end
                return false
            end
            local function online(user) return redis.call('HGET', prefix .. ':state:' .. user, 'online') == '1' end
            local function become(user, state, at)
                redis.call('HSET', prefix .. ':state:' .. user, 'online', state, 'at', at)
                changes[#changes + 1] = user .. ':' .. state .. ':' .. at
            end
            local function tell()
                if #changes > 0 then redis.call('PUBLISH', prefix .. ':changes', table.concat(changes, ' ')) end
            end

            """

    static let settle = RedisScript(
        common + """
            local users = redis.call('SPOP', prefix .. ':touched', ARGV[2])
            for _, user in ipairs(users) do
                if connected(user) then
                    redis.call('ZREM', leaving, user)
                    if not online(user) then become(user, 1, string.format('%d', now)) end
                elseif online(user) then
                    redis.call('ZADD', leaving, 'NX', now + ARGV[3], user)
                end
            end
            tell()
            return #users
            """)

    static let depart = RedisScript(
        common + """
            local due = redis.call('ZRANGE', leaving, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
            for at = 1, #due, 2 do
                local user = due[at]
                redis.call('ZREM', leaving, user)
                if not connected(user) then
                    if online(user) then become(user, 0, string.format('%d', due[at + 1] - ARGV[3])) end
                elseif not online(user) then
                    become(user, 1, string.format('%d', now))
                end
            end
            tell()
            return #due / 2
            """)
}

import NIOConcurrencyHelpers
package import Redis

/// Bounds how often something may be asked for, across all instances by buckets in Redis.
///
/// A question costs one round trip at most, and none while the answer is known to be no: each process also counts what
/// it let pass itself, which is never more than all of them did. While Redis is away, or doesn't answer within
/// `timeout`, that count decides alone: no request waits for Redis to come back.
package final class RequestLimiter: Sendable {
    /// One bucket.
    package struct Key: Hashable, Sendable {
        package var limit: RequestLimits.Name
        /// Whose it is.
        package var subject: String

        package init(_ limit: RequestLimits.Name, _ subject: String) {
            self.limit = limit
            self.subject = subject
        }

        /// The bucket of whoever is at an address: of IPv6 the /64, which is what one household or host gets.
        package init(_ limit: RequestLimits.Name, address: String) {
            self.init(limit, NetworkAddress(address)?.network ?? address)
        }
    }

    private struct Entry {
        var bucket: TokenBucket
        /// Redis said that there is nothing before then.
        var emptyUntil: Int64 = .min
    }

    private struct State {
        var entries: [Key: Entry] = [:]

        mutating func makeRoom(_ limits: RequestLimits, now: Int64) {
            entries = entries.filter { key, entry in
                entry.emptyUntil > now || !entry.bucket.isFull(rule: limits[key.limit], now: now)
            }
            // Full of buckets in use: an attack. Everyone begins anew, which costs it nothing less.
            if entries.count >= RequestLimiter.capacity { entries.removeAll(keepingCapacity: true) }
        }
    }

    /// How long an answer of Redis may take; then this process decides alone.
    package static let timeout: Duration = .milliseconds(150)
    private static let capacity = 50_000

    private let limits: RequestLimits?
    private let redis: RedisClient?
    private let prefix: String
    private let metrics: MetricsRegistry
    private let now: @Sendable () -> Int64
    private let state = NIOLockedValueBox(State())

    /// - Parameters:
    ///   - limits: nil: nothing is ever refused.
    ///   - redis: nil: this process alone. A client of its own, as a late answer may end the connection.
    ///   - now: milliseconds.
    package init(
        limits: RequestLimits?, redis: RedisClient?, prefix: String = "roost:v1:limit",
        metrics: MetricsRegistry = MetricsRegistry(), now: @escaping @Sendable () -> Int64 = { UnixClock.now() }
    ) {
        self.limits = limits
        self.redis = redis
        self.prefix = prefix
        self.metrics = metrics
        self.now = now
        metrics.describe("rate_limited_total", "Requests refused, by limit.")
        metrics.describe("rate_limits_alone_total", "Requests that were counted without Redis.")
    }

    /// Takes a token of each bucket, or of none.
    ///
    /// - Throws: `rate_limited` where one is empty.
    package func check(_ keys: [Key], _ detail: @autoclosure () -> String) async throws(Problem) {
        guard let refusal = await take(keys) else { return }
        metrics.counter("rate_limited_total", [("limit", refusal.limit.rawValue)]).increment(by: Int64(1))
        throw Problem(code: .rateLimited, detail: detail(), retryAfter: refusal.wait)
    }

    /// Takes a token of each bucket, or of none; answers which one is empty and how long to wait for it.
    package func take(_ keys: [Key]) async -> (limit: RequestLimits.Name, wait: Duration)? {
        guard let limits, !keys.isEmpty else { return nil }
        if let refusal = takeHere(keys, limits) { return refusal }
        guard let redis, redis.isConnected else { return alone() }
        let answer = try? await redis.eval(
            Self.takeScript, keys: keys.map { name($0) },
            arguments: keys.flatMap { key in
                [RedisArgument("\(limits[key.limit].burst)"), RedisArgument("\(limits[key.limit].rate)")]
            }, timeout: Self.timeout)
        guard let numbers = answer?.array, numbers.count == 2, let wait = numbers[0].int, let index = numbers[1].int
        else { return alone() }
        guard wait > 0, keys.indices.contains(Int(index)) else { return nil }
        let empty = keys[Int(index)]
        let now = now()
        state.withLockedValue { state in
            for key in keys { state.entries[key]?.bucket.giveBack(rule: limits[key.limit], now: now) }
            state.entries[empty]?.emptyUntil = now + wait
        }
        return (empty.limit, .milliseconds(wait))
    }

    /// Puts a token back into each, because the attempt was good after all.
    package func giveBack(_ keys: [Key]) async {
        guard let limits, !keys.isEmpty else { return }
        let now = now()
        state.withLockedValue { state in
            for key in keys { state.entries[key]?.bucket.giveBack(rule: limits[key.limit], now: now) }
        }
        guard let redis, redis.isConnected else { return }
        _ = try? await redis.eval(
            Self.giveScript, keys: keys.map { name($0) },
            arguments: keys.map { RedisArgument("\(limits[$0.limit].burst)") }, timeout: Self.timeout)
    }

    private func name(_ key: Key) -> String { "\(prefix):\(key.limit.rawValue):\(key.subject)" }

    private func alone() -> (limit: RequestLimits.Name, wait: Duration)? {
        if redis != nil { metrics.counter("rate_limits_alone_total").increment(by: Int64(1)) }
        return nil
    }

    /// What this process alone says.
    private func takeHere(_ keys: [Key], _ limits: RequestLimits) -> (limit: RequestLimits.Name, wait: Duration)? {
        let now = now()
        return state.withLockedValue { state in
            if state.entries.count >= Self.capacity { state.makeRoom(limits, now: now) }
            for (index, key) in keys.enumerated() {
                let rule = limits[key.limit]
                var entry = state.entries[key] ?? Entry(bucket: TokenBucket(rule: rule, now: now))
                let wait = entry.emptyUntil > now ? entry.emptyUntil - now : entry.bucket.take(rule: rule, now: now)
                state.entries[key] = entry
                guard let wait else { continue }
                for key in keys[..<index] {
                    state.entries[key]?.bucket.giveBack(rule: limits[key.limit], now: now)
                }
                return (key.limit, .milliseconds(wait))
            }
            return nil
        }
    }

    /// KEYS: buckets. ARGV: burst and rate of each. Answers how many milliseconds to wait, 0: not at all, and for which.
    private static let takeScript = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local left, wait, empty = {}, 0, 0
        for index, key in ipairs(KEYS) do
            local burst, rate = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
            local held = redis.call('HMGET', key, 'tokens', 'at')
            local tokens = burst
            if held[1] then
                tokens = math.min(burst, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) / 1000 * rate)
            end
            if tokens < 1 then
                local needed = math.ceil((1 - tokens) / rate * 1000)
                if needed > wait then wait, empty = needed, index - 1 end
            end
            left[index] = tokens
        end
        if wait > 0 then return {wait, empty} end
        for index, key in ipairs(KEYS) do
            local burst, rate = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
            redis.call('HSET', key, 'tokens', left[index] - 1, 'at', now)
            redis.call('PEXPIRE', key, math.ceil(burst / rate * 1000) + 1000)
        end
        return {0, 0}
        """)

    /// KEYS: buckets. ARGV: the burst of each.
    private static let giveScript = RedisScript(
        """
        for index, key in ipairs(KEYS) do
            local tokens = redis.call('HGET', key, 'tokens')
            if tokens then redis.call('HSET', key, 'tokens', math.min(tonumber(ARGV[index]), tonumber(tokens) + 1)) end
        end
        return 0
        """)
}

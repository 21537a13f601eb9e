import NIOConcurrencyHelpers
package import Redis

/// A bucket of tokens that fills again at a steady rate.
package struct TokenBucket: Sendable, Equatable {
    /// How many it holds when full.
    package struct Rule: Sendable, Equatable {
        package var burst: Double
        /// Tokens a second.
        package var rate: Double

        package init(burst: Double, rate: Double) {
            self.burst = burst
            self.rate = rate
        }
    }

    private var tokens: Double
    private var at: Int64

    package init(rule: Rule, now: Int64) {
        tokens = rule.burst
        at = now
    }

    /// Takes one token; otherwise answers after how many milliseconds there will be one.
    package mutating func take(rule: Rule, now: Int64) -> Int64? {
        refill(rule: rule, now: now)
        guard tokens >= 1 else { return Int64(((1 - tokens) / rule.rate * 1000).rounded(.up)) }
        tokens -= 1
        return nil
    }

    package mutating func giveBack(rule: Rule, now: Int64) {
        refill(rule: rule, now: now)
        tokens = min(rule.burst, tokens + 1)
    }

    /// Nothing is lost by forgetting it.
    package func isFull(rule: Rule, now: Int64) -> Bool {
        tokens + Double(max(0, now - at)) / 1000 * rule.rate >= rule.burst
    }

    private mutating func refill(rule: Rule, now: Int64) {
        tokens = min(rule.burst, tokens + Double(max(0, now - at)) / 1000 * rule.rate)
        at = max(at, now)
    }
}

/// Bounds how often something may be tried, across all instances by buckets in Redis; while Redis is away, in this process
/// alone.
package final class RateLimiter: Sendable {
    package enum Limit: String, CaseIterable, Sendable {
        /// Registrations from one address.
        case registration
        /// Logins from one address, whether good or not.
        case login
        /// Failed logins of one name, from one address.
        case failure
        /// Failed logins of one name, from anywhere: wide, or it would let anyone lock a user out.
        case siege

        package var rule: TokenBucket.Rule {
            switch self {
            case .registration: .init(burst: 100, rate: 1)
            case .login: .init(burst: 100, rate: 5)
            case .failure: .init(burst: 10, rate: 0.1)
            case .siege: .init(burst: 100, rate: 0.5)
            }
        }
    }

    package typealias Key = (limit: Limit, subject: String)

    private struct Local {
        var buckets: [String: (limit: Limit, bucket: TokenBucket)] = [:]
    }

    private let redis: RedisClient?
    private let isOn: Bool
    private let prefix: String
    private let local = NIOLockedValueBox(Local())
    private static let localLimit = 10_000

    /// - Parameters:
    ///   - redis: nil: this process alone.
    ///   - isOn: whether anything is ever refused.
    package init(redis: RedisClient?, isOn: Bool, prefix: String = "roost:v1:limit") {
        self.redis = redis
        self.isOn = isOn
        self.prefix = prefix
    }

    /// Takes a token of each bucket, or of none; answers how long to wait where one is empty.
    package func take(_ keys: [Key], now: Int64) async -> Duration? {
        guard isOn, !keys.isEmpty else { return nil }
        var wait: Int64 = 0
        if let redis, redis.isConnected,
            let answer = try? await redis.eval(
                Self.takeScript, keys: keys.map { name($0) },
                arguments: keys.flatMap {
                    [RedisArgument("\($0.limit.rule.burst)"), RedisArgument("\($0.limit.rule.rate)")]
                }
            ).int
        {
            wait = answer
        } else {
            wait = takeLocally(keys, now: now)
        }
        return wait > 0 ? .milliseconds(wait) : nil
    }

    /// Puts a token back into each, because the attempt was good after all.
    package func giveBack(_ keys: [Key], now: Int64) async {
        guard isOn, !keys.isEmpty else { return }
        local.withLockedValue { local in
            for key in keys { local.buckets[name(key)]?.bucket.giveBack(rule: key.limit.rule, now: now) }
        }
        guard let redis, redis.isConnected else { return }
        _ = try? await redis.eval(
            Self.giveScript, keys: keys.map { name($0) },
            arguments: keys.map { RedisArgument("\($0.limit.rule.burst)") })
    }

    private func name(_ key: Key) -> String { "\(prefix):\(key.limit.rawValue):\(key.subject)" }

    private func takeLocally(_ keys: [Key], now: Int64) -> Int64 {
        local.withLockedValue { local in
            if local.buckets.count > Self.localLimit {
                local.buckets = local.buckets.filter { !$0.value.bucket.isFull(rule: $0.value.limit.rule, now: now) }
                // Full of buckets in use: an attack. Everyone begins anew, which costs it nothing less.
                if local.buckets.count > Self.localLimit { local.buckets = [:] }
            }
            var taken: [Key] = []
            for key in keys {
                let rule = key.limit.rule
                var entry = local.buckets[name(key)] ?? (key.limit, TokenBucket(rule: rule, now: now))
                let wait = entry.bucket.take(rule: rule, now: now)
                local.buckets[name(key)] = entry
                if let wait {
                    for key in taken { local.buckets[name(key)]?.bucket.giveBack(rule: key.limit.rule, now: now) }
                    return max(1, wait)
                }
                taken.append(key)
            }
            return 0
        }
    }

    /// KEYS: buckets. ARGV: burst and rate of each. Answers 0, or how many milliseconds to wait.
    private static let takeScript = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local left, wait = {}, 0
        for index, key in ipairs(KEYS) do
            local burst, rate = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
            local held = redis.call('HMGET', key, 'tokens', 'at')
            local tokens = burst
            if held[1] then
                tokens = math.min(burst, tonumber(held[1]) + math.max(0, now - tonumber(held[2])) / 1000 * rate)
            end
            if tokens < 1 then wait = math.max(wait, math.ceil((1 - tokens) / rate * 1000)) end
            left[index] = tokens
        end
        if wait > 0 then return wait end
        for index, key in ipairs(KEYS) do
            local burst, rate = tonumber(ARGV[2 * index - 1]), tonumber(ARGV[2 * index])
            redis.call('HSET', key, 'tokens', left[index] - 1, 'at', now)
            redis.call('PEXPIRE', key, math.ceil(burst / rate * 1000) + 1000)
        end
        return 0
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

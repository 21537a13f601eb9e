/// Rate limits by key, each a token bucket: `rate` a second on average, `burst` at once. Bounded: it forgets the buckets
/// that are full again first, which loses nothing.
package struct TokenBuckets<Key: Hashable & Sendable>: Sendable {
    private struct Bucket {
        var tokens: Double
        var at: ContinuousClock.Instant
    }

    private let rate: Double
    private let burst: Double
    private let limit: Int
    private var buckets: [Key: Bucket] = [:]

    /// - Parameter limit: Keys remembered at most.
    package init(rate: Double, burst: Double, limit: Int = 50_000) {
        self.rate = rate
        self.burst = burst
        self.limit = limit
    }

    /// Takes a token for `key`: nil, or how long to wait for one.
    package mutating func take(_ key: Key, now: ContinuousClock.Instant = .now) -> Duration? {
        var bucket = buckets[key] ?? Bucket(tokens: burst, at: now)
        bucket.tokens = min(burst, bucket.tokens + rate * seconds(from: bucket.at, to: now))
        bucket.at = now
        if bucket.tokens >= 1 {
            bucket.tokens -= 1
            if buckets.count >= limit, buckets[key] == nil { makeRoom(now: now) }
            buckets[key] = bucket
            return nil
        }
        buckets[key] = bucket
        return .milliseconds(Int64(((1 - bucket.tokens) / rate * 1000).rounded(.up)))
    }

    private mutating func makeRoom(now: ContinuousClock.Instant) {
        buckets = buckets.filter { $0.value.tokens + rate * seconds(from: $0.value.at, to: now) < burst }
        // All are in use: an attack from many addresses. Starting anew costs less than growing.
        if buckets.count >= limit { buckets.removeAll(keepingCapacity: true) }
    }

    private func seconds(from: ContinuousClock.Instant, to: ContinuousClock.Instant) -> Double {
        max(0, (to - from).milliseconds / 1000)
    }
}

/// A bucket of tokens that fills again at a steady rate.
package struct TokenBucket: Sendable, Equatable {
    package struct Rule: Sendable, Equatable {
        /// Tokens a second.
        package var rate: Double
        /// How many it holds when full.
        package var burst: Double

        package init(rate: Double, burst: Double) {
            self.rate = rate
            self.burst = burst
        }
    }

    private var tokens: Double
    private var at: Int64

    /// - Parameter now: milliseconds of any clock, the same for all calls.
    package init(rule: Rule, now: Int64) {
        tokens = rule.burst
        at = now
    }

    /// Takes one token; otherwise answers after how many milliseconds there will be one.
    package mutating func take(rule: Rule, now: Int64) -> Int64? {
        refill(rule: rule, now: now)
        guard tokens >= 1 else { return max(1, Int64(((1 - tokens) / rule.rate * 1000).rounded(.up))) }
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

/// Bounds retries to a share of the calls made, so that a failing role isn't buried under repetitions.
package struct RetryBudget: Sendable {
    private let capacity: Double
    private let ratio: Double
    private var tokens: Double

    /// - Parameters:
    ///   - capacity: retries that may come at once.
    ///   - ratio: retries earned by each call.
    package init(capacity: Double = 200, ratio: Double = 0.2) {
        self.capacity = capacity
        self.ratio = ratio
        tokens = capacity
    }

    /// A call was made for the first time.
    package mutating func earn() {
        tokens = min(capacity, tokens + ratio)
    }

    /// Whether a call may be made again.
    package mutating func spend() -> Bool {
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}

/// A fast generator for balancing and jitter; nothing secret (SplitMix64; Steele, Lea and Flood, 2014).
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) {
        state = seed
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

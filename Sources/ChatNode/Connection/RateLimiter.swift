/// A rate limit, as two virtual scheduling clocks (GCRA, ITU-T I.371): frames, by weight, and bytes. 16 bytes.
package struct RateLimiter: Sendable {
    package struct Configuration: Sendable {
        /// Units a second, and how many at once. A frame that has work done for it is 10 units, any other 1.
        package var unitsPerSecond: Int64 = 1000
        package var unitBurst: Int64 = 4000
        package var bytesPerSecond: Int64 = 512 * 1024
        package var byteBurst: Int64 = 2 * 1024 * 1024
        package init() {}
    }

    // Microseconds at which what was let through is used up.
    private var unitsUntil: Int64 = 0
    private var bytesUntil: Int64 = 0

    package init() {}

    /// Lets a frame through, or says in how many milliseconds it would.
    ///
    /// - Parameter now: microseconds of any clock that only goes forward.
    package mutating func take(units: Int64, bytes: Int, now: Int64, _ configuration: Configuration) -> Int64? {
        let unitsEnd = max(unitsUntil, now) + units * 1_000_000 / configuration.unitsPerSecond
        let bytesEnd = max(bytesUntil, now) + Int64(bytes) * 1_000_000 / configuration.bytesPerSecond
        let over = max(
            unitsEnd - now - configuration.unitBurst * 1_000_000 / configuration.unitsPerSecond,
            bytesEnd - now - configuration.byteBurst * 1_000_000 / configuration.bytesPerSecond)
        guard over <= 0 else { return over / 1000 + 1 }
        unitsUntil = unitsEnd
        bytesUntil = bytesEnd
        return nil
    }

    /// A frame that was let through is refused for another reason.
    package mutating func giveBack(units: Int64, bytes: Int, _ configuration: Configuration) {
        unitsUntil -= units * 1_000_000 / configuration.unitsPerSecond
        bytesUntil -= Int64(bytes) * 1_000_000 / configuration.bytesPerSecond
    }

    /// Whether it is as good as new.
    package func isIdle(now: Int64) -> Bool { unitsUntil <= now && bytesUntil <= now }
}

/// Tells who goes on and on from who was too fast once.
package struct RefusalCount: Sendable {
    private var since: UInt32 = 0
    private var count: UInt16 = 0

    package init() {}

    /// A frame was refused: whether there were more than `limit` of them within ten seconds.
    package mutating func isFlooding(now: Int64, limit: UInt16) -> Bool {
        let second = UInt32(truncatingIfNeeded: now / 1_000_000)
        if second &- since > 10 {
            since = second
            count = 0
        }
        count = count < .max ? count + 1 : count
        return count > limit
    }
}

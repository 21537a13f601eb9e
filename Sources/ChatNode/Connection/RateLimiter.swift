/// A connection's rate limit, as two virtual scheduling clocks (GCRA, ITU-T I.371): frames, by weight, and bytes. 24 bytes.
package struct RateLimiter: Sendable {
    package struct Configuration: Sendable {
        /// Units a second, and how many at once. A frame that has work done for it is 10 units, any other 1.
        package var unitsPerSecond: Int64 = 1000
        package var unitBurst: Int64 = 4000
        package var bytesPerSecond: Int64 = 512 * 1024
        package var byteBurst: Int64 = 2 * 1024 * 1024
        /// Refused frames within ten seconds that count as flooding.
        package var flood: UInt16 = 300
        package init() {}
    }

    package enum Verdict: Equatable, Sendable {
        case allowed
        case limited(retryAfterMilliseconds: Int64)
        case flooding
    }

    // Unix microseconds at which what was let through is used up.
    private var unitsUntil: Int64 = 0
    private var bytesUntil: Int64 = 0
    private var refusedSince: UInt32 = 0
    private var refused: UInt16 = 0

    package init() {}

    /// `now`: microseconds of any clock that only goes forward.
    package mutating func check(
        units: Int64, bytes: Int, now: Int64, _ configuration: Configuration
    ) -> Verdict {
        let unitsEnd = max(unitsUntil, now) + units * 1_000_000 / configuration.unitsPerSecond
        let bytesEnd = max(bytesUntil, now) + Int64(bytes) * 1_000_000 / configuration.bytesPerSecond
        let over = max(
            unitsEnd - now - configuration.unitBurst * 1_000_000 / configuration.unitsPerSecond,
            bytesEnd - now - configuration.byteBurst * 1_000_000 / configuration.bytesPerSecond)
        guard over > 0 else {
            unitsUntil = unitsEnd
            bytesUntil = bytesEnd
            return .allowed
        }
        let second = UInt32(truncatingIfNeeded: now / 1_000_000)
        if second &- refusedSince > 10 {
            refusedSince = second
            refused = 0
        }
        refused = refused < .max ? refused + 1 : refused
        return refused > configuration.flood ? .flooding : .limited(retryAfterMilliseconds: over / 1000 + 1)
    }
}

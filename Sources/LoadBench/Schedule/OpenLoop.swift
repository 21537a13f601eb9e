/// When each operation of an open loop is due, whatever the server does meanwhile.
///
/// Latency that counts from `due` hides no stall: what had to be sent during one is late, and its lateness counts (no
/// coordinated omission).
package struct OpenLoop: Sendable, Equatable {
    /// Nanoseconds of the clock that is asked.
    package let start: UInt64
    package let perSecond: Double
    package let count: Int
    /// Operations handed out so far.
    package private(set) var taken = 0

    /// - Parameter count: operations in all.
    package init(start: UInt64, perSecond: Double, count: Int) {
        precondition(perSecond > 0 && count >= 0)
        (self.start, self.perSecond, self.count) = (start, perSecond, count)
    }

    package func due(_ index: Int) -> UInt64 { start &+ UInt64(Double(index) * 1e9 / perSecond) }

    /// When the next one is due; nil when all were taken.
    package var next: UInt64? { taken < count ? due(taken) : nil }

    /// Takes what is due by now and was not taken yet.
    package mutating func takeDue(at now: UInt64) -> Range<Int> {
        let first = taken
        guard now >= start, taken < count else { return first..<first }
        var end = min(count, Int(Double(now - start) * perSecond / 1e9) + 1)
        // The division rounds; what is handed out is due, and what is due is handed out.
        while end > first, due(end - 1) > now { end -= 1 }
        while end < count, due(end) <= now { end += 1 }
        taken = max(first, end)
        return first..<taken
    }
}

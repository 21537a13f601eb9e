/// Whether a conversation's events come to one connection in order, each once, without a gap.
package struct SequenceCheck: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable { case next, repeated, gap }

    /// The last seq that came; nil: none yet, so any may be the first.
    package private(set) var last: UInt64?

    package init(after last: UInt64? = nil) { self.last = last }

    package mutating func take(_ seq: UInt64) -> Verdict {
        guard let last else {
            self.last = seq
            return .next
        }
        if seq <= last { return .repeated }
        self.last = seq
        return seq == last + 1 ? .next : .gap
    }
}

/// What must be 0 in every run.
package struct Correctness: Codable, Sendable, Equatable {
    package var lost = 0
    package var repeated = 0
    package var outOfOrder = 0
    package var errors = 0
    package var brokenConnections = 0
    /// The first thing that went wrong, in the server's words.
    package var firstError: String?

    package init() {}

    package var isClean: Bool { lost + repeated + outOfOrder + errors + brokenConnections == 0 }

    package static func + (one: Correctness, other: Correctness) -> Correctness {
        var sum = one
        sum.lost += other.lost
        sum.repeated += other.repeated
        sum.outOfOrder += other.outOfOrder
        sum.errors += other.errors
        sum.brokenConnections += other.brokenConnections
        sum.firstError = one.firstError ?? other.firstError
        return sum
    }
}

/// Whether a conversation's events come to one connection in order, each once, without a gap.
package struct SequenceCheck: Sendable, Equatable {
    package enum Verdict: Sendable, Equatable {
        case next, repeated
        /// Something before it is missing.
        case gap
        /// It was missing.
        case late
    }

    /// The last seq that came; nil: none yet, so any may be the first.
    package private(set) var last: UInt64?
    private var missing: Set<UInt64> = []

    package init(after last: UInt64? = nil) { self.last = last }

    package mutating func take(_ seq: UInt64) -> Verdict {
        guard let last else {
            self.last = seq
            return .next
        }
        if seq <= last { return missing.remove(seq) == nil ? .repeated : .late }
        self.last = seq
        if seq == last + 1 { return .next }
        // A gap of any size is one finding; there is no need to remember more than can be filled.
        missing.formUnion((last + 1)..<(seq - last > 1000 ? last + 1000 : seq))
        return .gap
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

/// Looks for the highest rate that passes: doubles until one fails, then halves the gap.
///
/// A rate that fails is tried once more, since a neighbour's work can spoil a step.
package struct RateSearch: Sendable {
    package let range: ClosedRange<Int>
    /// The search ends when the gap between what passed and what failed is at most this part of what passed.
    package var resolution = 0.08
    package var attempts = 2

    private var passed: Int?
    private var failed: Int?
    private var failures = 0
    private var current: Int

    package init(range: ClosedRange<Int>) {
        precondition(range.lowerBound > 0)
        self.range = range
        current = range.lowerBound
    }

    /// The highest rate that passed; nil: not even the lowest did.
    package var best: Int? { passed }

    /// The rate to try now; nil: the search is over.
    package var next: Int? {
        switch (passed, failed) {
        case (_, range.lowerBound?): nil
        case (range.upperBound?, _): nil
        case (let passed?, let failed?) where Double(failed - passed) <= resolution * Double(passed): nil
        case (let passed?, let failed?) where failed - passed <= 1: nil
        case _: current
        }
    }

    /// What came of the rate that `next` named.
    package mutating func record(passed hasPassed: Bool) {
        if hasPassed {
            passed = current
            failures = 0
        } else {
            failures += 1
            if failures < attempts { return }
            failed = current
            failures = 0
        }
        switch (passed, failed) {
        case (let passed?, let failed?): current = Int((Double(passed) * Double(failed)).squareRoot().rounded())
        case (let passed?, nil): current = min(range.upperBound, passed * 2)
        case (nil, _): break
        }
        // A rounded mean may be one of the two.
        if let passed, let failed, current <= passed || current >= failed { current = (passed + failed) / 2 }
    }
}

import Testing

@testable import LoadBench

@Suite struct OpenLoopTests {
    @Test func everythingIsTakenOnceAndNotBeforeItsTime() {
        var loop = OpenLoop(start: 1_000, perSecond: 3_000, count: 10_000)
        var taken: [Int] = []
        var now: UInt64 = 0
        while taken.count < 10_000 {
            now += 777_777
            for index in loop.takeDue(at: now) {
                #expect(loop.due(index) <= now)
                taken.append(index)
            }
            if let next = loop.next { #expect(next > now) }
        }
        #expect(taken == Array(0..<10_000))
        #expect(loop.next == nil)
        #expect(loop.takeDue(at: .max / 2).isEmpty)
    }

    @Test func nothingIsDueBeforeTheStart() {
        var loop = OpenLoop(start: 1_000, perSecond: 1, count: 5)
        #expect(loop.takeDue(at: 999).isEmpty)
        #expect(loop.takeDue(at: 1_000) == 0..<1)
    }

    /// A stall doesn't change what is due when: this is what makes a latency from `due` honest.
    @Test func afterAStallAllThatWasMissedIsDueAtItsOwnTime() {
        var loop = OpenLoop(start: 0, perSecond: 1_000, count: 100)
        _ = loop.takeDue(at: 0)
        let missed = loop.takeDue(at: 50_000_000)
        #expect(missed == 1..<51)
        #expect(loop.due(1) == 1_000_000)
        #expect(loop.due(50) == 50_000_000)
    }

    @Test func rateIsKeptOverTime() {
        var loop = OpenLoop(start: 0, perSecond: 12_345, count: .max)
        #expect(loop.takeDue(at: 10_000_000_000).count == 123_451)
    }
}

@Suite struct RateSearchTests {
    /// Searches against a server that can do so much.
    private func search(_ range: ClosedRange<Int>, limit: Int) -> (best: Int?, tried: [Int]) {
        var search = RateSearch(range: range)
        var tried: [Int] = []
        while let rate = search.next, tried.count < 100 {
            tried.append(rate)
            search.record(passed: rate <= limit)
        }
        return (search.best, tried)
    }

    @Test(arguments: [1_000, 1_001, 1_500, 3_333, 9_999, 17_000, 63_999])
    func comesCloseToTheLimit(_ limit: Int) throws {
        let (best, tried) = search(1_000...64_000, limit: limit)
        let found = try #require(best)
        #expect(found <= limit)
        #expect(Double(found) >= Double(limit) / 1.09)
        #expect(tried.count < 20)
    }

    @Test func theHighestOfTheRangeIsEnough() {
        let (best, tried) = search(1_000...10_000, limit: 50_000)
        #expect(best == 10_000)
        #expect(tried == [1_000, 2_000, 4_000, 8_000, 10_000])
    }

    @Test func nothingPasses() {
        let (best, tried) = search(1_000...10_000, limit: 10)
        #expect(best == nil)
        #expect(tried == [1_000, 1_000])
    }

    @Test func smallRatesEnd() {
        #expect(search(1...3, limit: 2).best == 2)
        #expect(search(5...5, limit: 9).best == 5)
    }

    @Test func aRateThatFailsOnceIsTriedAgain() {
        var search = RateSearch(range: 100...200)
        search.record(passed: true)
        #expect(search.next == 200)
        search.record(passed: false)
        #expect(search.next == 200)
        search.record(passed: true)
        #expect(search.best == 200)
        #expect(search.next == nil)
    }
}

@Suite struct MixTests {
    @Test func sharesAreKeptAndSpread() {
        let mix = Mix.usual
        #expect(mix.cycle.count == 100)
        #expect(mix.cycle.count { $0 == .direct } == 45)
        #expect(mix.cycle.count { $0 == .connect } == 3)
        // No ten in a row lack a direct message, nor are they all direct ones.
        for first in 0..<100 {
            let ten = (first..<first + 10).map { mix.kind($0) }
            #expect((2...7).contains(ten.count { $0 == .direct }))
        }
    }

    @Test func aCycleComesAgain() {
        let mix = Mix([(.read, 1), (.typing, 2)])
        #expect((0..<6).map { mix.kind($0) } == [.typing, .read, .typing, .typing, .read, .typing])
    }
}

import Testing

@testable import LoadBench

@Suite struct LedgerTests {
    @Test func latencyCountsFromTheIntendedTime() {
        var ledger = Ledger(base: 0, window: 0..<1_000_000_000)
        let index = ledger.send(due: 10_000_000, now: 60_000_000, expected: 1)
        ledger.deliver(index, now: 70_000_000)
        #expect(abs(ledger.deliveries.milliseconds(at: 100) - 60) < 0.1)
        #expect(abs(ledger.lag.milliseconds(at: 100) - 50) < 0.1)
    }

    @Test func onlyWhatIsDueInTheWindowIsMeasured() {
        var ledger = Ledger(base: 0, window: 100..<200)
        let early = ledger.send(due: 99, now: 99, expected: 1)
        let inside = ledger.send(due: 100, now: 100, expected: 1)
        let late = ledger.send(due: 200, now: 200, expected: 1)
        for index in [early, inside, late] {
            ledger.acknowledge(index, now: 150)
            ledger.deliver(index, now: 250)
        }
        #expect(ledger.deliveries.count == 1)
        #expect(ledger.acks.count == 1)
        #expect(ledger.counted.sent == 1)
        #expect(ledger.counted.acked == 3)
        #expect(ledger.counted.delivered == 0)
        #expect(ledger.isSettled)
    }

    @Test func whatDoesNotComeIsLost() {
        var ledger = Ledger(base: 7, window: 0..<10)
        let first = ledger.send(due: 0, now: 0, expected: 2)
        #expect(first == 7)
        ledger.acknowledge(first, now: 1)
        ledger.deliver(first, now: 1)
        #expect(ledger.lost == 1)
        #expect(!ledger.isSettled)
        ledger.deliver(first, now: 2)
        #expect(ledger.lost == 0)
        #expect(ledger.repeated == 0)
        ledger.deliver(first, now: 3)
        #expect(ledger.repeated == 1)
    }

    @Test func whatIsNeitherAcknowledgedNorRefusedIsLostToo() {
        var ledger = Ledger(base: 0, window: 0..<10)
        let one = ledger.send(due: 0, now: 0, expected: 0)
        #expect(ledger.lost == 1)
        ledger.acknowledge(one, now: 1)
        #expect(ledger.lost == 0)
    }

    @Test func whatIsRefusedIsAnErrorAndNotLost() {
        var ledger = Ledger(base: 0, window: 0..<10)
        let one = ledger.send(due: 0, now: 0, expected: 3)
        ledger.refuse(one)
        ledger.refuse(one)
        #expect(ledger.errors == 1)
        #expect(ledger.lost == 0)
        #expect(ledger.isSettled)
    }
}

@Suite struct SequenceCheckTests {
    @Test func tellsRepeatsAndGaps() {
        var check = SequenceCheck()
        #expect(check.take(5) == .next)
        #expect(check.take(6) == .next)
        #expect(check.take(6) == .repeated)
        #expect(check.take(4) == .repeated)
        #expect(check.take(8) == .gap)
        #expect(check.take(9) == .next)
        #expect(check.take(7) == .late)
        #expect(check.take(7) == .repeated)
        #expect(check.take(.max) == .gap)
    }

    @Test func whoMustGetAllMissesTheFirst() {
        var check = SequenceCheck(after: 0)
        #expect(check.take(2) == .gap)
    }

    @Test func aSumIsCleanOnlyIfAllAre() {
        var one = Correctness()
        #expect((one + Correctness()).isClean)
        one.outOfOrder = 1
        one.firstError = "first"
        #expect(!(Correctness() + one).isClean)
        #expect((Correctness() + one).firstError == "first")
    }
}

@Suite struct LatencyTests {
    @Test func percentiles() {
        var recorder = LatencyRecorder()
        for value in 1...1000 as ClosedRange<UInt64> { recorder.record(nanoseconds: value * 1_000_000) }
        let summary = recorder.summary("all")
        #expect(abs(summary.p50Ms - 500) < 1)
        #expect(abs(summary.p99Ms - 990) < 2)
        #expect(abs(summary.maxMs - 1000) < 2)
        #expect(summary.count == 1000)
        #expect(
            zip(summary.curve, summary.curve.dropFirst()).allSatisfy { $0.ms <= $1.ms && $0.percentile < $1.percentile }
        )
    }

    @Test func whatIsTooLongCountsAsTheLongest() {
        var recorder = LatencyRecorder()
        recorder.record(nanoseconds: .max)
        #expect(recorder.count == 1)
        #expect(recorder.milliseconds(at: 100) > 3_000_000)
    }

    @Test func nothingIsNoCurve() {
        let summary = LatencyRecorder().summary("none")
        #expect(summary.count == 0)
        #expect(summary.curve.isEmpty)
        #expect(summary.maxMs == 0)
    }

    @Test func sumsAdd() {
        var (one, other) = (LatencyRecorder(), LatencyRecorder())
        one.record(nanoseconds: 1_000_000)
        other.record(nanoseconds: 9_000_000)
        one.add(other)
        #expect(one.count == 2)
        #expect(abs(one.milliseconds(at: 100) - 9) < 0.1)
    }
}

@Suite struct TimelineTests {
    @Test func aPointASecondWithoutTheLast() {
        var timeline = Timeline(start: 1_000_000_000, names: ["a", "b"])
        timeline.count(0, now: 1_500_000_000)
        timeline.count(0, now: 1_600_000_000)
        timeline.count(1, now: 3_500_000_000)
        timeline.count(0, now: 4_100_000_000)
        #expect(timeline.series.map { $0.points.map(\.y) } == [[2, 0, 0], [0, 0, 1]])
    }
}

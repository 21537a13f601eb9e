import Testing

@testable import LocalCluster

@Suite struct PartStateMachineTests {
    let start = ContinuousClock.now
    let crash = PartExit(reason: .signal(9))

    func machine(restarts: Bool = true) -> PartStateMachine {
        var policy = PartStateMachine.Policy()
        policy.restarts = restarts
        policy.attempts = 3
        return PartStateMachine(policy: policy)
    }

    /// Started, spawned and answering.
    func readyMachine(restarts: Bool = true) -> PartStateMachine {
        var machine = machine(restarts: restarts)
        machine.start(now: start)
        #expect(machine.next(now: start) == .spawn)
        machine.answered(now: start)
        return machine
    }

    @Test func restsUntilItIsWanted() {
        var machine = machine()
        #expect(machine.next(now: start) == .rest)
        machine.start(now: start)
        #expect(machine.next(now: start) == .spawn)
        #expect(machine.next(now: start) == .rest)
        #expect(machine.isUp && !machine.isReady)
        machine.answered(now: start)
        #expect(machine.isReady)
    }

    @Test func restartsWhatDiesAfterAPause() {
        var machine = readyMachine()
        machine.exited(crash, now: start, random: 0)
        #expect(machine.next(now: start) == .wait(until: start + .milliseconds(50)))
        #expect(machine.next(now: start + .milliseconds(50)) == .spawn)
        #expect(machine.spawns == 2)
    }

    @Test func pausesGrowWithFailuresInARow() {
        var machine = readyMachine()
        var now = start
        var pauses: [Duration] = []
        for _ in 0..<9 {
            machine.exited(crash, now: now, random: 0)
            guard case .wait(let time) = machine.next(now: now) else {
                Issue.record("it does not wait")
                return
            }
            pauses.append(time - now)
            now = time
            #expect(machine.next(now: now) == .spawn)
            machine.answered(now: now)
        }
        #expect(pauses == [50, 100, 200, 400, 800, 1600, 2500, 2500, 2500].map { .milliseconds($0) })
    }

    @Test func whatWorkedForLongStartsAnew() {
        var machine = readyMachine()
        machine.exited(crash, now: start, random: 0)
        _ = machine.next(now: start + .seconds(1))
        machine.answered(now: start + .seconds(1))
        #expect(machine.failures == 1)
        machine.exited(crash, now: start + .seconds(20), random: 0)
        #expect(machine.failures == 1)
    }

    @Test func whatNeverWorkedIsGivenUp() {
        var machine = machine()
        machine.start(now: start)
        var now = start
        for attempt in 1...3 {
            #expect(machine.next(now: now) == .spawn)
            machine.exited(crash, now: now, random: 0)
            now += .seconds(10)
            #expect((machine.state == .failed(crash)) == (attempt == 3))
        }
        #expect(machine.next(now: now) == .rest)
    }

    @Test func whatOnceWorkedIsNeverGivenUp() {
        var machine = readyMachine()
        var now = start
        for _ in 0..<50 {
            machine.exited(crash, now: now, random: 0.5)
            now += .seconds(10)
            #expect(machine.next(now: now) == .spawn)
        }
    }

    @Test func withoutRestartsTheDeadStayDead() {
        var machine = readyMachine(restarts: false)
        machine.exited(crash, now: start, random: 0)
        #expect(machine.state == .failed(crash))
        // Until somebody asks.
        machine.start(now: start)
        #expect(machine.next(now: start) == .spawn)
    }

    @Test func whatCannotSucceedIsNotTriedAgain() {
        var machine = machine()
        machine.start(now: start)
        _ = machine.next(now: start)
        let exit = PartExit(reason: .notSpawned("of another version"), isFinal: true)
        machine.exited(exit, now: start, random: 0)
        #expect(machine.state == .failed(exit))
    }

    @Test func stoppingSignalsOnceAndRests() {
        var machine = readyMachine()
        let (first, second) = (machine.stop(), machine.stop())
        #expect(first && !second)
        #expect(machine.isUp)
        machine.exited(PartExit(reason: .status(0)), now: start, random: 0)
        #expect(machine.state == .stopped)
        #expect(machine.next(now: start) == .rest)
    }

    @Test func stoppingDuringThePauseNeedsNoSignal() {
        var machine = readyMachine()
        machine.exited(crash, now: start, random: 0)
        let mustSignal = machine.stop()
        #expect(!mustSignal)
        #expect(machine.next(now: start + .seconds(60)) == .rest)
    }

    @Test func wantedAgainWhileItStops() {
        var machine = readyMachine()
        _ = machine.stop()
        machine.start(now: start)
        machine.exited(PartExit(reason: .status(0)), now: start, random: 0)
        #expect(machine.next(now: start) == .spawn)
    }

    @Test func answersOfTheDeadDoNotCount() {
        var machine = readyMachine()
        machine.exited(crash, now: start, random: 0)
        machine.answered(now: start)
        #expect(!machine.isReady)
    }

    @Test(arguments: [(1, 0.0, 50), (1, 1.0, 100), (3, 0.0, 200), (3, 1.0, 400), (100, 1.0, 5000)])
    func backoff(failures: Int, random: Double, milliseconds: Int) {
        #expect(Backoff().delay(failures: failures, random: random) == .milliseconds(milliseconds))
    }
}

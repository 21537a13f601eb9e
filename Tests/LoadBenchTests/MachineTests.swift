import Glibc
import Testing

@testable import LoadBench

@Suite struct ProcParsingTests {
    @Test func aCommandMayHoldAnything() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 30 5 20 0 8 0 100 1000 200"
        #expect(ProcParsing.stat(Array(text.utf8)) == .init(parent: 7, ticks: 200, reapedTicks: 35))
    }

    @Test(arguments: ["", "42 (a", "42 (a) S 1", "42 (a) S x 0 0 0 0 0 0 0 0 0 1 2 3 4 5 6"])
    func whatIsNoStatIsNone(_ text: String) {
        #expect(ProcParsing.stat(Array(text.utf8)) == nil)
    }

    @Test func anonymousIsWhatIsNotShared() throws {
        let memory = try #require(ProcParsing.statm(Array("5000 300 120 4 0 900 0\n".utf8)))
        #expect(memory.resident == 300)
        #expect(memory.anonymous == 180)
        #expect(ProcParsing.statm(Array("5000\n".utf8)) == nil)
    }

    @Test func theMachinesCores() {
        let text = "cpu  100 20 30 4000 50 6 7 80 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
        #expect(ProcParsing.machine(Array(text.utf8)) == .init(busy: 163, idle: 4050, stolen: 80))
        #expect(ProcParsing.machine(Array("cpu0 1 2 3 4 5 6 7 8\n".utf8)) == nil)
        #expect(ProcParsing.machine(Array("cpu 1 2\n".utf8)) == nil)
    }

    /// The real files are of that form.
    @Test func thisProcess() throws {
        var reader = MachineReader([.init(name: "me", role: "test", pid: getpid())])
        let sample = reader.sample(time: 1)
        #expect(sample.anonymousKiB[0] > 1000)
        #expect(sample.machineBusy > 0)
        #expect(sample.generatorCPU > 0)
        let stat = try #require(MachineReader.bytes("/proc/\(getpid())/stat").flatMap(ProcParsing.stat))
        #expect(stat.parent == getppid())
    }

    @Test func aProcessThatWasStartedAnewGoesOnCounting() {
        var reader = MachineReader([.init(name: "part", role: "test", pid: getpid())])
        let before = reader.sample(time: 0)
        reader.update([.init(name: "part", role: "test", pid: Int32.max)])
        reader.findChildren()
        let gone = reader.sample(time: 1)
        #expect(gone.cpu[0] >= before.cpu[0])
        #expect(gone.anonymousKiB == [0])
        reader.update([.init(name: "part", role: "test", pid: getpid())])
        reader.findChildren()
        #expect(reader.sample(time: 2).cpu[0] >= gone.cpu[0] + before.cpu[0])
    }

    @Test func whatIsGoneUsesNothing() {
        var reader = MachineReader([.init(name: "gone", role: "test", pid: Int32.max)])
        let sample = reader.sample(time: 0)
        #expect(sample.cpu == [0])
        #expect(sample.anonymousKiB == [0])
    }
}

@Suite struct MachineUseTests {
    private let processes: [ClusterProcesses.Process] = [
        .init(name: "chat-1", role: "chat", pid: 1), .init(name: "chat-2", role: "chat", pid: 2),
        .init(name: "relay-1", role: "relay", pid: 3),
    ]

    private func sample(_ time: Double, cpu: [Double], generator: Double, busy: Double) -> MachineSample {
        MachineSample(
            time: time, cpu: cpu, anonymousKiB: [1, 2, 3], generatorCPU: generator, machineBusy: busy, machineStolen: 0)
    }

    @Test func rolesAddUpAndOthersAreTheRest() {
        let use = MachineUse(
            from: sample(0, cpu: [1, 1, 1], generator: 1, busy: 10),
            to: sample(10, cpu: [3, 2, 1.5], generator: 2, busy: 20), processes: processes)
        #expect(use.byRole == ["chat": 3, "relay": 0.5])
        #expect(use.byProcess["chat-1"] == 2)
        #expect(use.servers == 3.5)
        #expect(use.generator == 1)
        #expect(abs(use.others - 5.5) < 1e-9)
    }

    @Test func aRestartedProcessIsNotNegative() {
        let use = MachineUse(
            from: sample(0, cpu: [9, 0, 0], generator: 0, busy: 0),
            to: sample(1, cpu: [0, 0, 0], generator: 0, busy: 0),
            processes: processes)
        #expect(use.servers == 0)
        #expect(use.others == 0)
    }

    @Test func warningsSayWhatMaySetTheFigure() {
        var use = MachineUse()
        use.seconds = 10
        use.generator = 5.9
        use.others = 4.9
        #expect(Warnings.of(use, cores: 2, lagP99Ms: 9).isEmpty)
        use.generator = 6.1
        use.others = 5.1
        use.stolen = 2.1
        let warnings = Warnings.of(use, cores: 2, lagP99Ms: 11, where: "at 5,000/s")
        #expect(warnings.count == 4)
        #expect(warnings.allSatisfy { $0.hasPrefix("at 5,000/s: ") })
        #expect(Warnings.of(use, cores: 2, lagP99Ms: nil).count == 3)
    }
}

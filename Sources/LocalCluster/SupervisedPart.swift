import Foundation
import Glibc
import Subprocess
import SystemPackage

/// One part of a running cluster: spawns its process, watches it, spawns it again. `PartStateMachine` decides, this does.
final class SupervisedPart: Sendable {
    struct State: Sendable {
        var machine: PartStateMachine
        /// The process that exists, if one does.
        var pid: Int32?
        /// What the probe said last, while it isn't ready.
        var complaint: String?
    }

    /// What the part tells its cluster.
    enum Event: Sendable {
        case spawned(pid: Int32)
        case ready(after: Duration)
        case exited(PartExit, wanted: Bool)
    }

    let definition: PartDefinition
    let state: Watched<State>
    private let data: DataDirectory
    private let run: String
    private let report: @Sendable (PartDefinition, Event) -> Void
    private let clock = ContinuousClock()

    init(
        _ definition: PartDefinition, policy: PartStateMachine.Policy, data: DataDirectory, run: String,
        report: @escaping @Sendable (PartDefinition, Event) -> Void
    ) {
        self.definition = definition
        self.data = data
        self.run = run
        self.report = report
        state = Watched(State(machine: PartStateMachine(policy: policy)))
    }

    /// Wants the part. Returns at once.
    func start() {
        state.update { $0.machine.start(now: clock.now) }
    }

    /// Waits until the part answers, is given up, or `patience` is over.
    func untilReady(patience: Duration) async throws(LocalClusterError) {
        await state.wait(for: patience) { state in
            if case .failed = state.machine.state { true } else { state.machine.isReady }
        }
        let (machine, complaint) = state.read { ($0.machine, $0.complaint) }
        if machine.isReady { return }
        let log = data.log(of: definition.name)
        var reason = complaint.map { "was not ready within \(patience.components.seconds) s: \($0)" } ?? "did not start"
        if case .failed(let exit) = machine.state { reason = exit.description }
        throw LocalClusterError(.partFailed, "\(definition.name) \(reason) (log: \(log))")
    }

    /// Ends the process, if need be by force, and keeps it ended.
    func stop() async {
        let (mustSignal, pid) = state.update { ($0.machine.stop(), $0.pid) }
        // Without a pid it is just being spawned, and is told by who spawns it.
        if mustSignal, let pid { tellToEnd(pid) }
        let isDown: @Sendable (State) -> Bool = { !$0.machine.isUp || $0.machine.state == .stopping(thenStart: true) }
        if await state.wait(for: definition.stopPatience, until: isDown) { return }
        if let pid = state.read({ $0.pid }) { Glibc.kill(-pid, SIGKILL) }
        await state.wait(for: .seconds(5), until: isDown)
    }

    /// Sends a signal to the process, not to those that it started. False: there is none.
    func signal(_ number: Int32) -> Bool {
        guard let pid = state.read({ $0.pid }) else { return false }
        return Glibc.kill(pid, number) == 0
    }

    /// Sends a signal to the process and to those that it started.
    func signalGroup(_ number: Int32) -> Bool {
        guard let pid = state.read({ $0.pid }) else { return false }
        return Glibc.kill(-pid, number) == 0
    }

    private func tellToEnd(_ pid: Int32) {
        Glibc.kill(pid, definition.stopSignal)
        Glibc.kill(pid, SIGCONT)
    }

    /// Carries out what the state machine wants, until cancelled; then the process ends as well.
    func run() async {
        while !Task.isCancelled {
            // Both in one go: what happens between a step and the state that it was made from would be waited for in vain.
            let (step, before) = state.update { ($0.machine.next(now: clock.now), $0.machine.state) }
            switch step {
            case .spawn:
                let exit = await runProcess()
                let wanted = state.update { state in
                    let wanted = if case .stopping = state.machine.state { false } else { true }
                    state.pid = nil
                    state.machine.exited(exit, now: clock.now, random: .random(in: 0..<1))
                    return wanted
                }
                report(definition, .exited(exit, wanted: wanted))
            case .wait(let time):
                await state.wait(for: time - clock.now) { $0.machine.state != before }
            case .rest:
                await state.wait { $0.machine.state != before }
            }
        }
    }

    private func runProcess() async -> PartExit {
        let began = clock.now
        do {
            try await definition.prepare?()
            var options = PlatformOptions()
            // A session of its own: Ctrl-C in the terminal reaches us alone, and what it starts can be found.
            options.createSession = true
            options.teardownSequence = [
                .send(signal: Signal(rawValue: definition.stopSignal), allowedDurationToNextStep: .seconds(3))
            ]
            var environment = definition.environment
            environment[Leftovers.variable] = "\(data.secrets.cluster)/\(run)/\(definition.name)"
            let log = try openLog()
            defer { try? log.close() }
            let outcome = try await Subprocess.run(
                .path(FilePath(definition.command[0])), arguments: Arguments(Array(definition.command.dropFirst())),
                environment: .inherit.updating(
                    environment.reduce(into: [:]) { $0[.init(stringLiteral: $1.key)] = $1.value }),
                workingDirectory: FilePath(definition.directory), platformOptions: options,
                input: .none, output: .fileDescriptor(log, closeAfterSpawningProcess: false), error: .combinedWithOutput
            ) { execution in
                let pid = execution.processIdentifier.value
                spawned(pid)
                await untilAnswers(pid, since: began)
                return pid
            }
            endGroup(of: outcome.closureResult)
            switch outcome.terminationStatus {
            case .exited(let code): return PartExit(reason: .status(code))
            case .signaled(let number): return PartExit(reason: .signal(number))
            }
        } catch let error as LocalClusterError {
            return PartExit(reason: .notSpawned(error.message), isFinal: error.code == .configuration)
        } catch {
            if let pid = state.read({ $0.pid }) { endGroup(of: pid) }
            return PartExit(reason: .notSpawned("could not be run: \(error)"))
        }
    }

    private func spawned(_ pid: Int32) {
        if let entry = ProcessTable.entry(pid) {
            // A record that can't be written costs a clean-up after kill -9, not the cluster.
            try? ProcessRecord(
                name: definition.name, pid: pid, started: entry.started, boot: ProcessTable.boot, run: run,
                stopSignal: definition.stopSignal, directory: definition.directory
            ).write(to: data.records)
        }
        let isUnwanted = state.update { state in
            state.pid = pid
            if case .stopping = state.machine.state { return true } else { return false }
        }
        if isUnwanted { tellToEnd(pid) }
        report(definition, .spawned(pid: pid))
    }

    /// Probes until the process answers or ends.
    private func untilAnswers(_ pid: Int32, since began: ContinuousClock.Instant) async {
        var pause = Duration.milliseconds(20)
        while !Task.isCancelled, !ProcessTable.hasEnded(child: pid) {
            let complaint = await definition.probe.complaint()
            let isReady = state.update { state in
                state.complaint = complaint
                guard complaint == nil else { return false }
                state.machine.answered(now: clock.now)
                return state.machine.isReady
            }
            if isReady { report(definition, .ready(after: clock.now - began)) }
            if complaint == nil { return }
            try? await Task.sleep(for: pause)
            pause = min(pause * 1.5, .milliseconds(200))
        }
    }

    /// What a server left behind that died by itself would keep its port from the next one.
    private func endGroup(of pid: Int32) {
        for record in ProcessRecord.readAll(from: data.records) where record.pid == pid && record.run == run {
            let rest = record.survivors(
                among: ProcessTable.all(), boot: ProcessTable.boot, directoryOf: ProcessTable.directory)
            for entry in rest { Glibc.kill(entry.pid, SIGKILL) }
        }
        ProcessRecord.remove(name: definition.name, from: data.records)
    }

    private func openLog() throws -> FileDescriptor {
        let path = data.log(of: definition.name)
        let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
        if size > 16 << 20 { rename(path, path + ".old") }
        return try FileDescriptor.open(
            FilePath(path), .writeOnly, options: [.append, .create, .closeOnExec],
            permissions: [.ownerReadWrite])
    }
}

import Foundation
import Glibc
import NIOConcurrencyHelpers

/// A whole Roost cluster on this machine: private servers, every role as a process of its own, and the gateway.
///
/// `withCluster` starts one, lends it while it is ready, and stops it. However the calling process ends, nothing is left.
package final class LocalCluster: Sendable {
    /// What a cluster tells while it starts and runs.
    package enum Progress: Sendable {
        /// Processes of an earlier cluster that was killed have been ended.
        case endedLeftovers(Int)
        case ready(name: String, after: Duration, address: String?)
        /// A part ended by itself; `next` says what becomes of it.
        case exited(name: String, PartExit)
        case restarted(name: String, pid: Int32)
        case stopping
    }

    private struct State {
        var file: ClusterFile
        var started: Set<String> = []
    }

    package let data: DataDirectory
    private let options: LocalClusterOptions
    private let plan: ClusterPlan
    private let parts: [[SupervisedPart]]
    private let state: NIOLockedValueBox<State>
    private let fileLock = NIOLock()
    private let runID: String
    private let ports: Ports
    private let dataLock: DataDirectoryLock

    private init(
        options: LocalClusterOptions, progress: @escaping @Sendable (Progress) -> Void
    ) async throws {
        let programs = try Programs.find()
        let data = try DataDirectory(path: options.dataDirectory)
        dataLock = try data.lock()
        let leftovers = await Leftovers(directory: data).end()
        if leftovers > 0 { progress(.endedLeftovers(leftovers)) }
        ports = Ports()
        plan = try ClusterPlan(options: options, data: data, programs: programs, ports: ports)
        let file = plan.file
        let state = NIOLockedValueBox(State(file: file))
        let fileLock = self.fileLock
        let runID = String(UInt64.random(in: 0...UInt64.max), radix: 36)
        var policy = PartStateMachine.Policy()
        policy.restarts = options.restarts

        let report: @Sendable (PartDefinition, SupervisedPart.Event) -> Void = { part, event in
            switch event {
            case .spawned(let pid):
                let isRestart = state.withLockedValue { state in
                    let entry = ClusterFile.Process(
                        name: part.name, role: part.role, pid: pid, rpc: part.rpc, http: part.http)
                    if let index = state.file.processes.firstIndex(where: { $0.name == part.name }) {
                        state.file.processes[index] = entry
                    } else {
                        state.file.processes.append(entry)
                    }
                    return !state.started.insert(part.name).inserted
                }
                // One writer at a time, each with what is current when its turn comes.
                fileLock.withLock { try? state.withLockedValue { $0.file }.write(data.clusterFile) }
                if isRestart { progress(.restarted(name: part.name, pid: pid)) }
            case .ready(let duration):
                progress(.ready(name: part.name, after: duration, address: part.http))
            case .exited(let exit, let wanted):
                if wanted { progress(.exited(name: part.name, exit)) }
            }
        }
        parts = plan.stages.map { stage in
            stage.map { SupervisedPart($0, policy: policy, data: data, run: runID, report: report) }
        }
        self.options = options
        self.data = data
        self.state = state
        self.runID = runID
    }

    /// Starts a cluster, hands it to `body` when all of it is ready, and stops it after that.
    ///
    /// When this task is cancelled, every part is ended at once; otherwise they are stopped in order.
    package static func withCluster<R: Sendable>(
        _ options: LocalClusterOptions, progress: @escaping @Sendable (Progress) -> Void = { _ in },
        body: @Sendable (LocalCluster) async throws -> R
    ) async throws -> R {
        let cluster = try await LocalCluster(options: options, progress: progress)
        defer {
            if options.deletesData { try? FileManager.default.removeItem(atPath: cluster.data.path) }
        }
        return try await ClusterGuard.with(
            executable: options.executable, data: cluster.data, run: cluster.runID, deletesData: options.deletesData
        ) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for part in cluster.parts.joined() {
                    group.addTask { await part.run() }
                }
                let result: Result<R, any Error>
                do {
                    try await cluster.start()
                    result = .success(try await body(cluster))
                } catch {
                    result = .failure(error)
                }
                progress(.stopping)
                await cluster.stop()
                group.cancelAll()
                return try result.get()
            }
        }
    }

    private func start() async throws {
        for stage in parts {
            for part in stage { part.start() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for part in stage {
                    group.addTask { try await part.untilReady(patience: self.options.patience) }
                }
                // The first that fails ends the start.
                for try await _ in group {}
            }
            try Task.checkCancellation()
        }
        if options.gateway, options.roles.contains(where: { $0.role == "chat" }) {
            try await untilHealthy(patience: options.patience)
        }
    }

    /// Clients first, then what they need.
    private func stop() async {
        for stage in parts.reversed() {
            await withTaskGroup(of: Void.self) { group in
                for part in stage { group.addTask { await part.stop() } }
            }
        }
    }

    // What tests and operators do with a running cluster.

    /// `http://localhost:PORT`, without a slash at the end.
    package var gateway: String { plan.file.gateway }

    /// As in `cluster.json` at this moment.
    package var file: ClusterFile { state.withLockedValue { $0.file } }

    /// The process of a part; nil while there is none.
    package func pid(of name: String) -> Int32? {
        part(name)?.state.read { $0.pid }
    }

    /// How often a part has been spawned.
    package func spawns(of name: String) -> Int {
        part(name)?.state.read { $0.machine.spawns } ?? 0
    }

    /// Sends a signal to a part's process. It is restarted if that ends it. False: there is no such process.
    @discardableResult
    package func kill(_ name: String, _ signal: Int32 = SIGKILL) -> Bool {
        part(name)?.signal(signal) ?? false
    }

    /// Stops a part's processes in their tracks, as a machine that hangs would.
    @discardableResult
    package func pause(_ name: String) -> Bool {
        part(name)?.signalGroup(SIGSTOP) ?? false
    }

    @discardableResult
    package func resume(_ name: String) -> Bool {
        part(name)?.signalGroup(SIGCONT) ?? false
    }

    /// Ends a part in good order and keeps it ended until `startPart`.
    package func stopPart(_ name: String) async {
        await part(name)?.stop()
    }

    /// Starts a part again and waits until it is ready.
    package func startPart(_ name: String) async throws {
        guard let part = part(name) else { throw noPart(name) }
        part.start()
        try await part.untilReady(patience: options.patience)
    }

    /// Waits until a part has been spawned again after its `spawns`th time, and is ready.
    package func untilRestarted(_ name: String, after spawns: Int, patience: Duration = .seconds(30)) async throws {
        guard let part = part(name) else { throw noPart(name) }
        let isBack = await part.state.wait(for: patience) { $0.machine.spawns > spawns && $0.machine.isReady }
        guard isBack else { throw LocalClusterError(.partFailed, "\(name) was not restarted within \(patience)") }
    }

    /// Waits until `GET /healthz` says that a client could log in, connect and send.
    package func untilHealthy(patience: Duration = .seconds(30)) async throws {
        guard let door = plan.stages.last?.first(where: { $0.role == GatewayPart.name })?.http else { return }
        let clock = ContinuousClock()
        let deadline = clock.now + patience
        let probe = Probe.http(address: door, path: "/healthz")
        while let complaint = await probe.complaint(timeout: .seconds(6)) {
            try Task.checkCancellation()
            guard clock.now < deadline else {
                throw LocalClusterError(.partFailed, "the cluster is not healthy after \(patience): \(complaint)")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func part(_ name: String) -> SupervisedPart? {
        parts.joined().first { $0.definition.name == name }
    }

    private func noPart(_ name: String) -> LocalClusterError {
        LocalClusterError(.configuration, "this cluster has no part called \(name)")
    }
}

package import Client
import Foundation

/// What every scenario runs with: the cluster, the generator's thread, and who watches the machine.
package struct BenchSession: Sendable {
    package let cluster: ClusterProcesses
    package let addresses: [LoadAddress]
    package let facts: Report.Facts
    package let loop: LoadLoop
    package let sampler: MachineSampler
    /// Nanoseconds of the loop's clock.
    package let start: UInt64
    /// One line that is written over.
    package let progress: @Sendable (String) -> Void
    /// Makes the run's client ids its own.
    package let token = String(UInt32.random(in: 0...UInt32.max), radix: 36) + "-"

    /// Runs a scenario while the machine is sampled; the report has the samples' plots.
    package static func run(
        facts: Report.Facts, cluster: ClusterProcesses, addresses: [LoadAddress],
        progress: @escaping @Sendable (String) -> Void,
        _ scenario: @Sendable (BenchSession) async throws -> Report
    ) async throws -> Report {
        let loop = LoadLoop()
        defer { loop.stop() }
        let start = LoadLoop.clock
        let sampler = MachineSampler(cluster.processes, start: start) { cluster.current }
        let session = BenchSession(
            cluster: cluster, addresses: addresses, facts: facts, loop: loop, sampler: sampler, start: start,
            progress: progress)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await sampler.run() }
            defer { tasks.cancelAll() }
            var report = try await scenario(session)
            report.draw(sampler.samples, processes: cluster.processes)
            report.correctness = report.correctness + (await loop.perform { loop.findings })
            return report
        }
    }

    package func register(_ count: Int) async throws -> [Account] {
        try await BenchAccounts.register(count, gateway: cluster.gateway) { progress("registered \($0) of \(count)") }
    }

    /// What came of connecting.
    package struct Connected: Sendable {
        package var connections: [LoadConnection]
        /// Of each from connecting to `synced`.
        package var latencies: LatencyRecorder
        /// While connections were under way; fetching tickets is left out.
        package var seconds: Double
        package var use: MachineUse
    }

    /// Connects an account each and waits until all are synced. Tickets are fetched before the clock runs, a batch at a time.
    package func connect(
        _ accounts: [Account], concurrency: Int = 64, handler: (any LoadHandler & Sendable)? = nil,
        batch: Int = 2000, expectingAll: Bool = false
    ) async throws -> Connected {
        let connector = Connector(loop: loop, concurrency: concurrency)
        await loop.perform { loop.add(connector) }
        var connections: [LoadConnection] = []
        var seconds = 0.0
        var use = MachineUse()
        for first in stride(from: 0, to: accounts.count, by: batch) {
            let members = Array(accounts[first..<min(accounts.count, first + batch)])
            progress("fetching tickets; \(first) of \(accounts.count) connected")
            let tickets = try await BenchAccounts.tickets(members)
            let before = await sampler.sample()
            let made = await loop.perform { [addresses, loop] in
                let jobs = members.indices.map { place in
                    let connection = LoadConnection(index: first + place, loop: loop)
                    connection.handler = handler
                    connection.expectsAll = expectingAll
                    // Neighbours sit on different nodes where there are several.
                    return Connector.Job(
                        connection, addresses[(first + place) % addresses.count], ticket: tickets[place])
                }
                connector.add(jobs)
                return (connections: jobs.map(\.connection), begun: LoadLoop.clock)
            }
            let areAll = try await connector.settle(within: .seconds(60)) {
                progress("connected \($0) of \(accounts.count)")
            }
            guard areAll else { throw BenchFailure("connections were not synced within a minute") }
            let (last, failure) = await loop.perform { (connector.lastSyncedAt, connector.failures.first?.failure) }
            if let failure { throw BenchFailure("a connection failed: \(failure)") }
            seconds += Double(last - made.begun) / 1e9
            use.add(self.use(from: before, to: await sampler.sample()))
            connections += made.connections
        }
        let latencies = await loop.perform { [loop] in
            loop.remove(connector)
            return connector.latencies
        }
        return Connected(connections: connections, latencies: latencies, seconds: seconds, use: use)
    }

    package func use(from start: MachineSample, to end: MachineSample) -> MachineUse {
        MachineUse(from: start, to: end, processes: cluster.processes)
    }

    /// Waits until the servers have done what a load leaves to be done behind it, such as the index of search, so that the
    /// next one doesn't pay for it.
    package func waitUntilQuiet(within limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        var before = await sampler.sample()
        while ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(500))
            let after = await sampler.sample()
            let use = use(from: before, to: after)
            if use.servers / use.seconds < 0.1 { return }
            progress("waiting for the servers, which still work: \(FigureUnit.cores.text(use.servers / use.seconds))")
            before = after
        }
    }

    package func close(_ connections: [LoadConnection]) async {
        await loop.perform { for connection in connections { connection.close() } }
    }

    /// Sleeps until a time of the loop's clock.
    package func sleep(until time: UInt64) async throws {
        let now = LoadLoop.clock
        if time > now { try await Task.sleep(for: .nanoseconds(Int64(time - now))) }
    }

    /// Waits until a condition on the loop's thread holds; false: it did not within the time.
    package func wait(
        within limit: Duration, every pause: Duration = .milliseconds(50), _ condition: @escaping @Sendable () -> Bool
    ) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            if await loop.perform(condition) { return true }
            if ContinuousClock.now > deadline { return false }
            try await Task.sleep(for: pause)
        }
    }
}

import Client

/// Many connections that do nothing: what the chat nodes hold for each, and how fast they come.
package struct IdleScenario: Sendable {
    package var connections: Int
    /// Each connection is a device's of one of them.
    package var accounts: Int
    package var concurrency: Int
    package var hold: Int
    /// After the hold each writes one message and gets one, of so many bytes; nil: they stay idle.
    package var burst: Int?

    package init(connections: Int, accounts: Int, concurrency: Int, hold: Int, burst: Int?) {
        (self.connections, self.accounts, self.concurrency) = (connections, accounts, concurrency)
        (self.hold, self.burst) = (hold, burst)
    }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let accounts = try await session.register(min(accounts, connections))
        // What registering left behind is not the connections'.
        let before = await session.sampler.sample()
        let people = (0..<connections).map { accounts[$0 % accounts.count] }
        let connected = try await session.connect(people, concurrency: concurrency)
        session.progress("\(connections) connected; holding for \(hold) s")
        try await Task.sleep(for: .seconds(hold))
        let held = await session.sampler.sample()

        var report = Report(facts: session.facts)
        let nodes = NodeMemory(session.cluster.processes)
        func perConnection(_ sample: MachineSample) -> Double {
            Double(nodes.growth(from: before, to: sample)) / Double(connections)
        }
        report.figures = [
            Report.Figure("connections", Double(connections), .count, note: "on \(nodes.count) chat nodes"),
            Report.Figure(
                "connected and synced", Double(connections) / connected.seconds, .perSecond,
                note: "\(concurrency) at once, tickets fetched before"),
            Report.Figure(
                "server CPU a connect", connected.use.servers / Double(connections) * 1e6, .microseconds,
                note: "tickets left out"),
            Report.Figure(
                "RssAnon growth", perConnection(held), .kibibytes,
                note: "a connection, after \(hold) s; all chat nodes: "
                    + FigureUnit.kibibytes.text(Double(nodes.growth(from: before, to: held)))),
        ]
        report.latencies = [connected.latencies.summary("connect to synced")]
        report.cores = Report.Cores(connected.use)
        report.warnings = Warnings.of(connected.use, cores: session.facts.cores, lagP99Ms: nil)
        if let burst {
            let sent = try await self.burst(bytes: burst, connected.connections, people, session)
            report.correctness = sent.correctness
            report.latencies.append(sent.ledger.deliveries.summary("burst: send to receive"))
            session.progress("a rest of \(hold) s")
            try await Task.sleep(for: .seconds(hold))
            report.figures.append(
                Report.Figure(
                    "RssAnon growth", perConnection(await session.sampler.sample()), .kibibytes,
                    note: "a connection, \(hold) s after each sent and got \(burst) bytes"))
        }
        await session.close(connected.connections)
        report.figures.append(try await kept(nodes, above: before, session))
        return report
    }

    private func burst(
        bytes: Int, _ connections: [LoadConnection], _ people: [Account], _ session: BenchSession
    ) async throws -> (correctness: Correctness, ledger: Ledger) {
        let load = await session.loop.perform { [loop = session.loop] in
            // An odd one out has nobody to write to.
            let senders = connections.indices.filter { $0 ^ 1 < connections.count }.map { place in
                MessageLoad.Sender(
                    connections[place],
                    [MessageTemplate(to: .user(people[place ^ 1].user), run: session.token, size: bytes)])
            }
            let load = MessageLoad(
                loop: loop, senders: senders, expected: 1, completion: .delivered, start: session.start)
            for connection in connections { connection.handler = load }
            loop.add(load)
            let start = LoadLoop.clock
            load.begin(
                .open(2000), start: start, window: start..<start + 3_600_000_000_000, most: senders.count)
            return load
        }
        for _ in 0..<60 {
            if try await session.wait(within: .seconds(1), { load.isDone && load.ledger.isSettled }) { break }
            session.progress("burst: \(await session.loop.perform { load.ledger.open.deliveries }) deliveries to come")
        }
        return await session.loop.perform { [loop = session.loop] in
            loop.remove(load)
            return (load.correctness, load.ledger)
        }
    }

    /// Waits for the memory to fall; what counts is the least within half a minute.
    private func kept(
        _ nodes: NodeMemory, above before: MachineSample, _ session: BenchSession
    ) async throws -> Report.Figure {
        let closed = LoadLoop.clock
        var least: (growth: Int, after: Double)?
        for second in 1...30 {
            session.progress("all left \(second) s ago")
            try await session.sleep(until: closed + UInt64(second) * 1_000_000_000)
            let growth = nodes.growth(from: before, to: await session.sampler.sample())
            if growth < least?.growth ?? .max { least = (growth, Double(LoadLoop.clock - closed) / 1e9) }
        }
        return Report.Figure(
            "after all left", Double(least?.growth ?? 0), .kibibytes,
            note: "above the start, all chat nodes; the least, after \(FigureUnit.seconds.text(least?.after ?? 0))")
    }
}

/// The chat nodes' anonymous memory in samples.
struct NodeMemory: Sendable {
    private let places: [Int]

    init(_ processes: [ClusterProcesses.Process]) { places = processes.indices.filter { processes[$0].role == "chat" } }

    var count: Int { places.count }

    /// KiB.
    func growth(from start: MachineSample, to end: MachineSample) -> Int {
        places.reduce(0) { $0 + end.anonymousKiB[$1] - start.anonymousKiB[$1] }
    }
}

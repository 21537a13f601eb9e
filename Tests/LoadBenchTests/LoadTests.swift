import Testing

@testable import LoadBench

/// The load against a server that keeps its promises, and against one that does not.
@Suite struct LoadTests {
    /// Two pairs who write for a second.
    private func run(
        _ fault: FakeChat.Fault, _ kind: MessagePlan.Kind = .rate(200)
    ) async throws -> (report: Report, received: [String: UInt64]) {
        let chat = try FakeChat(fault)
        defer { chat.stop() }
        let loop = LoadLoop()
        defer { loop.stop() }
        let address = try LoadAddress("ws://127.0.0.1:\(chat.port)")
        let cluster = ClusterProcesses(gateway: "", processes: [])
        let start = LoadLoop.clock
        let session = BenchSession(
            cluster: cluster, addresses: [address],
            facts: .init(
                label: "", scenario: "", date: "", version: "", options: [], cores: 2, kernel: "", processor: "",
                processes: []),
            loop: loop, sampler: MachineSampler([], start: start), start: start, progress: { _ in })
        let connector = Connector(loop: loop, concurrency: 2)
        let load = await loop.perform {
            loop.acknowledgeAfter = 10_000_000
            let connections = (0..<4).map { LoadConnection(index: $0, loop: loop) }
            let load = MessageLoad(
                loop: loop,
                senders: connections.map {
                    MessageLoad.Sender($0, [MessageTemplate(to: .user("\($0.index ^ 1)"), run: "r", size: 50)])
                }, expected: 1, completion: .delivered, start: start)
            for connection in connections { connection.handler = load }
            loop.add(connector)
            connector.add(connections.map { Connector.Job($0, address, ticket: "\($0.index)") })
            return load
        }
        #expect(try await connector.settle(within: .seconds(10)))
        #expect(await loop.perform { connector.synced } == 4)
        var report = try await MessageScenario(session: session, load: load, receivers: 1)
            .run(MessagePlan(kind, seconds: 1, warmup: 0))
        // What was delivered last is told a moment later.
        try await Task.sleep(for: .milliseconds(100))
        report.correctness = report.correctness + (await loop.perform { loop.findings })
        return (report, chat.received)
    }

    @Test func allArrivesAndIsAcknowledged() async throws {
        let (report, received) = try await run(.none)
        #expect(report.correctness == Correctness())
        #expect(report.latencies[0].count == 200)
        #expect(report.latencies[1].count == 200)
        // A hundred messages in each of the two conversations, both sides' together.
        #expect(received == ["0": 100, "1": 100, "2": 100, "3": 100])
    }

    @Test func closedLoop() async throws {
        let (report, _) = try await run(.none, .closed(window: 3))
        #expect(report.correctness == Correctness())
        #expect(report.latencies[0].count > 100)
    }

    @Test func searchGoesUpToTheEndOfTheRange() async throws {
        let (report, _) = try await run(.none, .search(50...100, p99: 5000))
        #expect(report.correctness == Correctness())
        #expect(report.steps.map(\.askedPerSecond) == [50, 100])
        #expect(report.steps.allSatisfy { $0.passed == true })
        #expect(report.figures.first?.value == 100)
    }

    @Test(.timeLimit(.minutes(1))) func whatIsNotDeliveredIsLost() async throws {
        let (report, _) = try await run(.drop(every: 50))
        #expect(report.correctness.lost == 4)
        #expect(report.correctness.repeated == 0)
        #expect(report.correctness.outOfOrder > 0)
    }

    @Test func whatComesTwiceIsRepeated() async throws {
        let (report, _) = try await run(.deliverTwice(every: 50))
        #expect(report.correctness.repeated == 4)
        #expect(report.correctness.lost == 0)
    }

    @Test(.timeLimit(.minutes(1))) func whatOvertakesIsOutOfOrder() async throws {
        let (report, _) = try await run(.swap(every: 60))
        #expect(report.correctness.outOfOrder > 0)
        #expect(report.correctness.repeated == 0)
        #expect(report.correctness.lost == 0)
    }

    @Test func whatIsRefusedIsAnError() async throws {
        let (report, _) = try await run(.refuse(every: 50))
        #expect(report.correctness.errors == 4)
        #expect(report.correctness.firstError == "forbidden: by the test")
        #expect(report.correctness.lost == 0)
    }

    @Test(.timeLimit(.minutes(1))) func aCutConnectionIsBroken() async throws {
        let (report, _) = try await run(.cut(at: 20))
        #expect(report.correctness.brokenConnections == 1)
        #expect(report.correctness.lost > 0)
    }

    /// No coordinated omission: the messages due during a stall are as late as it makes them.
    @Test func aStallShowsInAllThatWasDueMeanwhile() async throws {
        let (report, _) = try await run(.stall(at: 10, .seconds(1)))
        #expect(report.correctness == Correctness())
        // A quarter of the messages are this connection's, due over most of the second.
        #expect(report.latencies[0].p90Ms > 300)
        #expect(report.latencies[0].maxMs > 900)
    }
}

@Suite struct ConnectorTests {
    private func failure(_ address: LoadAddress, ticket: String) async throws -> LoadFailure? {
        let loop = LoadLoop()
        defer { loop.stop() }
        let connector = Connector(loop: loop, concurrency: 1)
        await loop.perform {
            loop.add(connector)
            connector.add([Connector.Job(LoadConnection(index: 0, loop: loop), address, ticket: ticket)])
        }
        #expect(try await connector.settle(within: .seconds(10)))
        return await loop.perform { connector.takeFailures().first?.failure }
    }

    @Test func aBadTicketIsRefused() async throws {
        let chat = try FakeChat()
        defer { chat.stop() }
        #expect(try await failure(LoadAddress("ws://127.0.0.1:\(chat.port)"), ticket: "bad") == .refused(status: 401))
        #expect(try await failure(LoadAddress("ws://127.0.0.1:\(chat.port)"), ticket: "good") == nil)
    }

    @Test func nobodyListens() async throws {
        let chat = try FakeChat()
        chat.stop()
        let failure = try await failure(LoadAddress("ws://127.0.0.1:\(chat.port)"), ticket: "x")
        guard case .unreachable = failure else { return #expect(Bool(false), "\(String(describing: failure))") }
    }

    @Test func eachHasItsTime() async throws {
        let chat = try FakeChat()
        defer { chat.stop() }
        let loop = LoadLoop()
        defer { loop.stop() }
        let address = try LoadAddress("ws://127.0.0.1:\(chat.port)")
        let connector = Connector(loop: loop, concurrency: .max)
        let start = LoadLoop.clock
        let connections = await loop.perform {
            let connections = (0..<3).map { LoadConnection(index: $0, loop: loop) }
            loop.add(connector)
            connector.add(
                connections.reversed().map {
                    Connector.Job($0, address, ticket: "\($0.index)", due: start + UInt64($0.index + 1) * 100_000_000)
                })
            return connections
        }
        #expect(try await connector.settle(within: .seconds(10)))
        for connection in connections {
            let began = await loop.perform { connection.startedAt } - start
            #expect(began >= UInt64(connection.index + 1) * 100_000_000)
        }
    }

    @Test(arguments: ["", "127.0.0.1:80", "ws://nowhere", "ws://127.0.0.1:99999"])
    func whatIsNoAddress(_ url: String) {
        #expect(throws: BenchFailure.self) { try LoadAddress(url) }
    }
}

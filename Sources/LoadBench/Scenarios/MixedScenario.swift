import Client

/// All that people do, in fixed shares at one rate: direct and room messages, reads, typing, history, coming and going.
package struct MixedScenario: Sendable {
    package var users: Int
    /// Of them those in one room.
    package var roomMembers: Int
    package var rate: Double
    package var seconds: Int
    package var warmup: Int
    package var size: Int
    package var mix = Mix.usual

    package init(users: Int, roomMembers: Int, rate: Double, seconds: Int, warmup: Int, size: Int) {
        (self.users, self.roomMembers, self.rate) = (users, roomMembers, rate)
        (self.seconds, self.warmup, self.size) = (seconds, warmup, size)
    }

    /// Users who come and go beside the others, at most so many connected at a time.
    private static let comers = 50

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let everybody = try await session.register(users + Self.comers)
        let people = Array(everybody.prefix(users))
        let comers = Array(everybody.suffix(Self.comers))
        let room = try await RoomScenario.makeRoom(Array(people.prefix(roomMembers)))
        let connected = try await session.connect(people)
        let (size, members, mix) = (size, roomMembers, mix)
        let (calls, asked) = AsyncStream<MixedLoad.Call>.makeStream()
        let load = await session.loop.perform {
            let users = connected.connections.indices.map { place in
                MixedLoad.User(
                    id: people[place].user, connection: connected.connections[place],
                    direct: MessageTemplate(to: .user(people[place ^ 1].user), run: session.token, size: size),
                    room: place < members
                        ? MessageTemplate(to: .conversation(room), run: session.token, size: size) : nil)
            }
            let load = MixedLoad(
                loop: session.loop, users: users, members: members, room: room, mix: mix, start: session.start,
                ask: { asked.yield($0) })
            for connection in connected.connections { connection.handler = load }
            session.loop.add(load)
            load.greet()
            return load
        }
        guard try await session.wait(within: .seconds(30), { load.isGreeted }) else {
            throw BenchFailure("the first messages of all pairs did not arrive")
        }
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            let desk = MixedDesk(people: people, comers: comers, load: load, session: session)
            tasks.addTask { await desk.serve(calls) }
            var report = try await measure(load, session)
            asked.finish()
            try await tasks.waitForAll()
            _ = try await session.wait(within: .seconds(10)) { load.isSettled }
            // The last signals may still be under way; others are dropped for good.
            _ = try await session.wait(within: .seconds(1)) { load.unanswered == 0 }
            let outcome = await session.loop.perform { [loop = session.loop] in
                loop.remove(load)
                return (load.correctness, load.latencies, load.timeline, load.unanswered, load.counts)
            }
            report.correctness = outcome.0
            report.latencies = outcome.1
            report.throughput = outcome.2.series
            report.figures += [
                Report.Figure(
                    "signals without effect", Double(outcome.3), .count, note: "reads and typing, best effort")
            ]
            report.figures += Mix.Kind.allCases.map { kind in
                Report.Figure(
                    "  \(kind.name)", Double(outcome.4[kind.rawValue]) / Double(seconds), .perSecond, note: "operations"
                )
            }
            await session.close(connected.connections)
            return report
        }
    }

    private func measure(_ load: MixedLoad, _ session: BenchSession) async throws -> Report {
        let start = LoadLoop.clock + 20_000_000
        let first = start + UInt64(warmup) * 1_000_000_000
        let window = first..<first + UInt64(seconds) * 1_000_000_000
        let rate = rate
        await session.loop.perform { load.begin(rate: rate, start: start, window: window) }
        try await session.sleep(until: window.lowerBound)
        let before = await session.sampler.sample()
        while LoadLoop.clock < window.upperBound {
            try await session.sleep(until: min(window.upperBound, LoadLoop.clock + 1_000_000_000))
            session.progress("\(await session.loop.perform { load.done }) operations")
        }
        let use = session.use(from: before, to: await session.sampler.sample())
        var report = Report(facts: session.facts)
        let operations = rate * Double(seconds)
        report.figures = [
            Report.Figure("operations", rate, .perSecond, note: "asked"),
            Report.Figure("server CPU an operation", use.servers / operations * 1e6, .microseconds),
            Report.Figure("generator CPU an operation", use.generator / operations * 1e6, .microseconds),
        ]
        report.cores = Report.Cores(use)
        let lag = await session.loop.perform { load.lag.milliseconds(at: 99) }
        report.warnings = Warnings.of(use, cores: session.facts.cores, lagP99Ms: lag)
        return report
    }
}

/// Does what needs REST: pages of history, and coming back with a fresh ticket.
struct MixedDesk: Sendable {
    let people: [Account]
    let comers: [Account]
    let load: MixedLoad
    let session: BenchSession

    func serve(_ calls: AsyncStream<MixedLoad.Call>) async {
        await withTaskGroup(of: Void.self) { tasks in
            for await call in calls {
                tasks.addTask {
                    do {
                        switch call.kind {
                        case .history(let user, let conversation): try await history(user, conversation)
                        case .connect(let turn): try await connect(turn)
                        }
                        await session.loop.perform { load.finished(call, now: LoadLoop.clock) }
                    } catch {
                        let problem = "\(error)"
                        await session.loop.perform { load.failed(problem) }
                    }
                }
            }
        }
    }

    private func history(_ user: Int, _ conversation: String) async throws {
        let answer = try await people[user].call(
            "GET", "/message-service/v1/conversations/\(conversation)/messages?limit=50")
        guard answer.status == 200 else { throw BenchFailure("history: HTTP \(answer.status)") }
    }

    /// From asking for a ticket to `synced`.
    private func connect(_ turn: Int) async throws {
        let ticket = try await comers[turn % comers.count].ticket()
        let (load, session) = (load, session)
        let failure = await withCheckedContinuation { (continuation: CheckedContinuation<LoadFailure?, Never>) in
            session.loop.execute {
                let connection = LoadConnection(index: -1, loop: session.loop)
                connection.handler = load
                load.welcome(connection)
                connection.connect(session.addresses[turn % session.addresses.count], ticket: ticket) {
                    continuation.resume(returning: $1)
                }
            }
        }
        if let failure { throw failure }
    }
}

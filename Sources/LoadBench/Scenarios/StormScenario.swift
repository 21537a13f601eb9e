import Client
import Foundation
import Glibc

/// Many clients lose their connection at once and come back, while a sample of users goes on getting messages.
package struct StormScenario: Sendable {
    package var connections: Int
    /// Users who share the connections.
    package var accounts: Int
    /// Users with a connection of their own who get a message a second all along.
    package var sample: Int
    /// Each waits a random time before it comes back, at most so many seconds.
    package var within: Double
    /// The name of a chat node that is killed; nil: the clients' network fails.
    package var killed: String?

    package init(connections: Int, accounts: Int, sample: Int, within: Double, killed: String?) {
        (self.connections, self.accounts, self.sample) = (connections, accounts, sample)
        (self.within, self.killed) = (within, killed)
    }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let victim = try killed.map { name in
            guard let node = session.cluster.chatNodes.first(where: { $0.name == name }) else {
                throw BenchFailure("no chat node \(name) in cluster.json")
            }
            return node
        }
        let accounts = try await session.register(min(accounts, connections) + 2 * sample)
        let writers = Array(accounts.suffix(sample))
        let readers = Array(accounts.dropLast(sample).suffix(sample))
        let crowd = Array(accounts.dropLast(2 * sample))
        let people = readers + (0..<connections).map { crowd[$0 % crowd.count] }
        let book = StormBook(start: session.start)
        let connected = try await session.connect(people, handler: book)
        await session.loop.perform { [sample] in
            for connection in connected.connections.prefix(sample) { connection.saysCursors = true }
        }

        let report = try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await write(from: writers, to: readers, book, session) }
            try await Task.sleep(for: .seconds(2))
            let report = try await storm(connected.connections, people, victim, book, session)
            try await Task.sleep(for: .seconds(2))
            await session.loop.perform { book.isClosed = true }
            try await tasks.waitForAll()
            return report
        }
        _ = try await session.wait(within: .seconds(15)) { book.ledger.isSettled }
        var outcome = report
        let (ledger, broken) = await session.loop.perform { (book.ledger, book.broken) }
        outcome.correctness.lost += ledger.lost
        outcome.correctness.repeated += ledger.repeated
        outcome.correctness.errors += ledger.errors
        outcome.correctness.brokenConnections += broken
        outcome.latencies.append(ledger.deliveries.summary("meanwhile: send to receive"))
        outcome.figures.append(
            Report.Figure(
                "messages meanwhile", Double(ledger.count), .count, note: "to \(sample) users who were among them"))
        outcome.throughput = await session.loop.perform { book.timeline.series }
        await session.close(connected.connections)
        return outcome
    }

    private func storm(
        _ connections: [LoadConnection], _ people: [Account], _ victim: ClusterProcesses.Process?, _ book: StormBook,
        _ session: BenchSession
    ) async throws -> Report {
        session.progress("fetching \(people.count) tickets")
        // They are for reconnecting, and good for half a minute.
        let tickets = try await BenchAccounts.tickets(people)
        let loop = session.loop
        let connector = Connector(loop: loop, concurrency: .max)
        let before = await session.sampler.sample()
        let begun = await loop.perform {
            connector.onSynced = { _ in book.timeline.count(StormBook.syncedKind, now: LoadLoop.clock) }
            loop.add(connector)
            book.expectsLoss = true
            let now = LoadLoop.clock
            if victim == nil {
                for connection in connections {
                    connection.cut()
                    book.isLost(connection, at: now)
                }
            }
            return now
        }
        if let victim { kill(victim.pid, SIGKILL) }
        let addresses = session.addresses.filter { victim?.http != $0.host }
        var (lost, retries) = (0, 0)
        let deadline = LoadLoop.clock + UInt64(within * 1e9) + 120_000_000_000
        var quietSince = LoadLoop.clock
        while true {
            let (gone, failures, isIdle) = await loop.perform { [within] in
                let gone = book.takeLost()
                connector.add(
                    gone.map { connection, at in
                        let wait = UInt64(Double.random(in: 0...within) * 1e9)
                        return Connector.Job(
                            connection, addresses[connection.index % addresses.count],
                            ticket: tickets[connection.index], due: at + wait)
                    })
                return (gone.count, connector.takeFailures(), connector.isIdle)
            }
            lost += gone
            retries += failures.count
            try await retry(failures, people, addresses, connector, session)
            if gone > 0 || !failures.isEmpty || !isIdle { quietSince = LoadLoop.clock }
            // A killed node's connections break within a moment of one another.
            if isIdle, lost > 0 || victim == nil, LoadLoop.clock - quietSince > 500_000_000 { break }
            guard LoadLoop.clock < deadline else { break }
            session.progress("\(lost) lost, \(await loop.perform { connector.synced }) are back")
            try await Task.sleep(for: .milliseconds(100))
        }
        let after = await session.sampler.sample()
        let (synced, last, latencies, busiest) = await loop.perform {
            loop.remove(connector)
            book.expectsLoss = false
            return (
                connector.synced, connector.lastSyncedAt, connector.latencies,
                book.timeline.counts[StormBook.syncedKind].max() ?? 0
            )
        }
        let use = session.use(from: before, to: after)
        let seconds = last > begun ? Double(last - begun) / 1e9 : 0
        var report = Report(facts: session.facts)
        report.figures = [
            Report.Figure("connections lost", Double(lost), .count),
            Report.Figure(
                "all back after", seconds, .seconds, note: "each waited at most \(FigureUnit.seconds.text(within))"),
            Report.Figure(
                "connected and synced", Double(synced) / max(seconds, 1e-9), .perSecond,
                note: "\(FigureUnit.perSecond.text(Double(busiest))) in the busiest second"),
            Report.Figure("failed attempts", Double(retries), .count),
            Report.Figure(
                "server CPU a connect", use.servers / Double(max(1, synced)) * 1e6, .microseconds,
                note: "all that the servers used meanwhile"),
        ]
        report.correctness.brokenConnections = max(0, lost - synced)
        report.latencies = [latencies.summary("due to synced")]
        report.cores = Report.Cores(use)
        report.warnings = Warnings.of(use, cores: session.facts.cores, lagP99Ms: nil)
        return report
    }

    /// A client whose attempt failed waits a moment; its ticket may have been used.
    private func retry(
        _ failures: [(job: Connector.Job, failure: LoadFailure)], _ people: [Account], _ addresses: [LoadAddress],
        _ connector: Connector, _ session: BenchSession
    ) async throws {
        guard !failures.isEmpty else { return }
        let owners = failures.map { people[$0.job.connection.index] }
        let tickets = try await BenchAccounts.tickets(owners)
        await session.loop.perform {
            let now = LoadLoop.clock
            connector.add(
                failures.indices.map { place in
                    var job = failures[place].job
                    job.ticket = tickets[place]
                    job.address = addresses.randomElement() ?? job.address
                    job.notBefore = now + UInt64.random(in: 100_000_000...1_000_000_000)
                    return job
                })
        }
    }

    /// A message a second to each, over REST, until the book is closed; what is booked is also sent.
    private func write(
        from writers: [Account], to readers: [Account], _ book: StormBook, _ session: BenchSession
    ) async throws {
        let start = LoadLoop.clock
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            var turn = 0
            while !writers.isEmpty, await !session.loop.perform({ book.isClosed }) {
                let due = start + UInt64(Double(turn) * 1e9 / Double(writers.count))
                try await session.sleep(until: due)
                let (writer, reader) = (writers[turn % writers.count], readers[turn % writers.count])
                tasks.addTask { try await Self.post(due: due, writer, reader, book, session) }
                turn += 1
            }
            try await tasks.waitForAll()
        }
    }

    /// Repeats a message with the same id until it is taken.
    private static func post(
        due: UInt64, _ writer: Account, _ reader: Account, _ book: StormBook, _ session: BenchSession
    ) async throws {
        let index = await session.loop.perform { book.send(due: due) }
        let text = MessageIndex.text(index)
        let message: JSONValue = [
            "to": .string(reader.user), "client_id": .string(session.token + text), "body": ["text": .string(text)],
        ]
        for _ in 0..<60 {
            do {
                _ = try await writer.json("POST", "/message-service/v1/messages", message)
                return await session.loop.perform { book.acknowledge(index) }
            } catch {
                try await Task.sleep(for: .milliseconds(500))
            }
        }
        await session.loop.perform { book.refuse(index) }
    }
}

/// Who lost a connection, and which of the messages came. On the loop's thread.
final class StormBook: LoadHandler, @unchecked Sendable {
    static let syncedKind = 0
    static let deliveredKind = 1

    private(set) var ledger = Ledger(base: 0, window: 0..<UInt64.max)
    var timeline: Timeline
    /// Connections are to break now.
    var expectsLoss = false
    /// No more messages are to be sent.
    var isClosed = false
    private(set) var broken = 0
    private var gone: [(LoadConnection, UInt64)] = []

    init(start: UInt64) { timeline = Timeline(start: start, names: ["synced", "delivered"]) }

    func send(due: UInt64) -> Int { ledger.send(due: due, now: LoadLoop.clock, expected: 1) }
    func acknowledge(_ index: Int) { ledger.acknowledge(index, now: LoadLoop.clock) }
    func refuse(_ index: Int) { ledger.refuse(index) }
    func isLost(_ connection: LoadConnection, at time: UInt64) { gone.append((connection, time)) }

    func takeLost() -> [(LoadConnection, UInt64)] {
        defer { gone = [] }
        return gone
    }

    func lost(_ connection: LoadConnection) {
        if expectsLoss { isLost(connection, at: LoadLoop.clock) } else { broken += 1 }
    }

    func received(_ event: EventView, by connection: LoadConnection, now: UInt64) {
        guard let index = event.index, ledger.holds(index) else { return }
        ledger.deliver(index, now: now)
        timeline.count(Self.deliveredKind, now: now)
    }

    func acknowledged(_ ack: AckView, to connection: LoadConnection, now: UInt64) {}
    func refused(_ error: ErrorView, to connection: LoadConnection) { broken += 1 }
}

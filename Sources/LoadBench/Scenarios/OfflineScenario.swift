import Client

/// Messages to users who are not connected, who then all come and drain them.
package struct OfflineScenario: Sendable {
    package var recipients: Int
    package var senders: Int
    package var messages: Int
    /// Messages under way for each sender.
    package var window: Int
    package var size: Int

    package init(recipients: Int, senders: Int, messages: Int, window: Int, size: Int) {
        (self.recipients, self.senders, self.messages) = (recipients, senders, messages)
        (self.window, self.size) = (window, size)
    }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let people = try await session.register(senders + recipients)
        let writers = try await session.connect(Array(people.prefix(senders)))
        let readers = Array(people.suffix(recipients))
        var report = Report(facts: session.facts)

        let (load, stored, storing) = try await store(writers.connections, readers, session)
        let acked = stored.acked
        report.figures = [
            Report.Figure(
                "stored", Double(acked) / storing.seconds, .perSecond,
                note: "\(FigureUnit.count.text(Double(acked))) acknowledged in "
                    + FigureUnit.seconds.text(storing.seconds)),
            Report.Figure("server CPU a message stored", storing.servers / Double(max(1, acked)) * 1e6, .microseconds),
            Report.Figure("generator CPU a message", storing.generator / Double(max(1, acked)) * 1e6, .microseconds),
        ]
        report.latencies = [stored.acks.summary("send to ack")]
        report.cores = Report.Cores(storing)

        let drain = DrainBook(stored, timeline: await session.loop.perform { load.timeline })
        let before = await session.sampler.sample()
        let connected = try await session.connect(
            readers, concurrency: 256, handler: drain, batch: 20_000, expectingAll: true)
        _ = try await session.wait(within: .seconds(60)) { drain.open == 0 }
        let draining = session.use(from: before, to: await session.sampler.sample())
        let (outcome, begun) = await session.loop.perform {
            (drain.outcome, connected.connections.map(\.startedAt).min() ?? 0)
        }
        let seconds = begun < outcome.last ? Double(outcome.last - begun) / 1e9 : 0
        report.figures += [
            Report.Figure(
                "drained", Double(outcome.drained) / max(seconds, 1e-9), .perSecond,
                note: "\(FigureUnit.count.text(Double(outcome.drained))) in \(FigureUnit.seconds.text(seconds)), "
                    + "from the first connect to the last event"),
            Report.Figure("logins", Double(recipients) / connected.seconds, .perSecond, note: "with their drains"),
            Report.Figure(
                "server CPU a message drained", draining.servers / Double(max(1, outcome.drained)) * 1e6,
                .microseconds, note: "tickets and logins among it"),
        ]
        report.latencies.append(connected.latencies.summary("connect to drained"))
        report.correctness = await session.loop.perform { load.correctness }
        report.correctness.lost += outcome.lost
        report.correctness.repeated += outcome.repeated
        report.correctness.brokenConnections += outcome.broken
        report.throughput = outcome.timeline.series
        report.warnings = Warnings.of(storing, cores: session.facts.cores, lagP99Ms: nil, where: "storing")
        report.warnings += Warnings.of(draining, cores: session.facts.cores, lagP99Ms: nil, where: "draining")
        await session.close(writers.connections + connected.connections)
        return report
    }

    /// Each recipient hears from one sender, so that there is an order to keep.
    private func store(
        _ writers: [LoadConnection], _ readers: [Account], _ session: BenchSession
    ) async throws -> (MessageLoad, Ledger, MachineUse) {
        let (loop, size, messages, window) = (session.loop, size, messages, window)
        let before = await session.sampler.sample()
        let load = await loop.perform {
            let senders = writers.indices.map { place in
                let mine = stride(from: place, to: readers.count, by: writers.count)
                return MessageLoad.Sender(
                    writers[place],
                    mine.map { MessageTemplate(to: .user(readers[$0].user), run: session.token, size: size) })
            }
            let load = MessageLoad(
                loop: loop, senders: senders.filter { !$0.templates.isEmpty }, expected: 0,
                completion: .acknowledged, start: session.start)
            for connection in writers { connection.handler = load }
            loop.add(load)
            let start = LoadLoop.clock
            load.begin(
                .closed(window: window), start: start, window: start..<start + 3_600_000_000_000, most: messages)
            return load
        }
        var (last, still) = (-1, 0)
        while true {
            if try await session.wait(within: .seconds(1), { load.isDone && load.ledger.isSettled }) { break }
            let acked = await loop.perform { load.ledger.acked }
            session.progress("stored \(acked) of \(messages)")
            still = acked == last ? still + 1 : 0
            last = acked
            // What is not acknowledged by now counts as lost.
            if still == 20 { break }
        }
        let use = session.use(from: before, to: await session.sampler.sample())
        return await loop.perform {
            loop.remove(load)
            return (load, load.ledger, use)
        }
    }
}

/// Which of the stored messages came out again. On the loop's thread.
final class DrainBook: LoadHandler, @unchecked Sendable {
    struct Outcome: Sendable {
        var drained = 0
        var lost = 0
        var repeated = 0
        var broken = 0
        var last: UInt64 = 0
        var timeline: Timeline
    }

    private let base: Int
    private var seen: [Bool]
    private var result: Outcome

    /// - Parameter stored: the books of the messages; those that were acknowledged have to come.
    init(_ stored: Ledger, timeline: Timeline) {
        base = stored.base
        seen = Array(repeating: false, count: stored.count)
        result = Outcome(lost: stored.acked, timeline: timeline)
    }

    var open: Int { result.lost }
    var outcome: Outcome { result }

    func received(_ event: EventView, by connection: LoadConnection, now: UInt64) {
        guard let index = event.index, index >= base, index - base < seen.count else { return }
        if seen[index - base] {
            result.repeated += 1
            return
        }
        seen[index - base] = true
        result.drained += 1
        result.lost -= 1
        result.last = now
        result.timeline.count(MessageLoad.deliveredKind, now: now)
    }

    func acknowledged(_ ack: AckView, to connection: LoadConnection, now: UInt64) {}
    func refused(_ error: ErrorView, to connection: LoadConnection) { result.broken += 1 }
    func lost(_ connection: LoadConnection) { result.broken += 1 }
}

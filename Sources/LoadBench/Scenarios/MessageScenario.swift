import Foundation

/// How messages are to be sent, in a scenario whose load is messages.
package struct MessagePlan: Sendable {
    package enum Kind: Sendable {
        case rate(Double)
        case closed(window: Int)
        /// The highest rate whose p99 is below so many milliseconds.
        case search(ClosedRange<Int>, p99: Double)
    }

    package var kind: Kind
    package var seconds: Int
    package var warmup: Int

    package init(_ kind: Kind, seconds: Int, warmup: Int) {
        (self.kind, self.seconds, self.warmup) = (kind, seconds, warmup)
    }
}

/// Runs a `MessageLoad` by a plan, step by step, and says what it found.
package struct MessageScenario: Sendable {
    let session: BenchSession
    let load: MessageLoad
    /// How many must get each message.
    let receivers: Int

    /// What a step measured.
    struct Measured: Sendable {
        var step: Report.Step
        var use: MachineUse
        var deliveries: LatencyRecorder
        var acks: LatencyRecorder
        var lag: LatencyRecorder
        var sent: Int
        var delivered: Int
        /// Of the window in which messages were counted.
        var seconds: Double
        /// What CPU is reckoned by.
        var operations: Int

        /// CPU seconds of the samples' time as microseconds an operation: samples are a little longer than the window.
        func microseconds(_ used: Double) -> Double {
            used / use.seconds * seconds / Double(max(1, operations)) * 1e6
        }
    }

    package init(session: BenchSession, load: MessageLoad, receivers: Int) {
        (self.session, self.load, self.receivers) = (session, load, receivers)
    }

    package func run(_ plan: MessagePlan) async throws -> Report {
        let (loop, load) = (session.loop, load)
        await loop.perform { loop.add(load) }
        var report = Report(facts: session.facts)
        var steps: [Measured] = []
        switch plan.kind {
        case .rate(let rate):
            steps = [try await step(.open(rate), asked: rate, plan)]
        case .closed(let window):
            steps = [try await step(.closed(window: window), asked: nil, plan)]
        case .search(let range, let limit):
            var search = RateSearch(range: range)
            while let rate = search.next {
                if !steps.isEmpty { try await session.waitUntilQuiet(within: .seconds(30)) }
                var measured = try await step(.open(Double(rate)), asked: Double(rate), plan)
                let passed = measured.step.p99Ms < limit && measured.step.lost == 0
                measured.step.passed = passed
                session.progress("\(rate)/s: p99 \(FigureUnit.milliseconds.text(measured.step.p99Ms))")
                search.record(passed: passed)
                steps.append(measured)
            }
            report.figures.append(
                Report.Figure(
                    "highest rate", Double(search.best ?? 0), .perSecond,
                    note: "messages, with p99 below \(FigureUnit.milliseconds.text(limit))"))
            report.steps = steps.map(\.step)
        }
        for measured in steps {
            report.warnings += Warnings.of(
                measured.use, cores: session.facts.cores, lagP99Ms: measured.step.lagP99Ms,
                where: steps.count > 1 ? measured.step.name : "")
        }
        // Of a search, the figures are those of the best step.
        if let chosen = steps.last(where: { $0.step.passed != false }) ?? steps.last {
            describe(chosen, &report)
        }
        let (timeline, correctness) = await loop.perform {
            loop.remove(load)
            return (load.timeline, load.correctness)
        }
        report.throughput = timeline.series
        report.correctness = correctness
        return report
    }

    private func describe(_ chosen: Measured, _ report: inout Report) {
        let each = receivers > 1 ? "a delivery" : "a message"
        report.figures += [
            Report.Figure("sent", Double(chosen.sent) / chosen.seconds, .perSecond),
            Report.Figure(
                "delivered", Double(chosen.delivered) / chosen.seconds, .perSecond, note: "in the measured window"),
            Report.Figure("server CPU \(each)", chosen.step.serverUsEach, .microseconds),
        ]
        report.figures += chosen.use.byRole.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { Report.Figure("  \($0.key)", chosen.microseconds($0.value), .microseconds) }
            .filter { $0.value >= 0.05 }
        report.figures.append(Report.Figure("generator CPU \(each)", chosen.step.generatorUsEach, .microseconds))
        report.latencies = [
            chosen.deliveries.summary("send to receive"), chosen.acks.summary("send to ack"),
        ]
        if chosen.step.lagP99Ms != nil { report.latencies.append(chosen.lag.summary("send lag")) }
        report.cores = Report.Cores(chosen.use)
    }

    private func step(_ pace: MessageLoad.Pace, asked: Double?, _ plan: MessagePlan) async throws -> Measured {
        let (load, loop) = (load, session.loop)
        let start = LoadLoop.clock + 20_000_000
        let first = start + UInt64(plan.warmup) * 1_000_000_000
        let window = first..<first + UInt64(plan.seconds) * 1_000_000_000
        await loop.perform { load.begin(pace, start: start, window: window) }
        let name = asked.map { "\(FigureUnit.perSecond.text($0))" } ?? "closed loop"
        try await session.sleep(until: window.lowerBound)
        let before = await session.sampler.sample()
        while LoadLoop.clock < window.upperBound {
            try await session.sleep(until: min(window.upperBound, LoadLoop.clock + 1_000_000_000))
            let (count, open) = await loop.perform { (load.ledger.count, load.ledger.open.deliveries) }
            session.progress("\(name): sent \(count), \(open) deliveries under way")
        }
        let after = await session.sampler.sample()
        _ = try await session.wait(within: .seconds(10)) { load.isDone && load.ledger.isSettled }
        let use = session.use(from: before, to: after)
        return await loop.perform { [receivers] in
            let ledger = load.ledger
            var measured = Measured(
                step: Report.Step(
                    name: name, askedPerSecond: asked,
                    perSecond: Double(ledger.counted.delivered) / Double(plan.seconds),
                    p50Ms: ledger.deliveries.milliseconds(at: 50), p99Ms: ledger.deliveries.milliseconds(at: 99),
                    lagP99Ms: asked == nil ? nil : ledger.lag.milliseconds(at: 99), serverUsEach: 0, generatorUsEach: 0,
                    othersCores: use.others / use.seconds, lost: ledger.lost,
                    latency: ledger.deliveries.summary(name)),
                use: use, deliveries: ledger.deliveries, acks: ledger.acks, lag: ledger.lag,
                sent: ledger.counted.sent, delivered: ledger.counted.delivered, seconds: Double(plan.seconds),
                operations: receivers > 1 ? ledger.counted.delivered : ledger.counted.sent)
            measured.step.serverUsEach = measured.microseconds(use.servers)
            measured.step.generatorUsEach = measured.microseconds(use.generator)
            return measured
        }
    }
}

import Client
import Foundation

/// One long conversation, read and searched while others write.
package struct HistoryScenario: Sendable {
    package var messages: Int
    /// A group's conversation instead of a direct one.
    package var isGroup: Bool
    /// Messages a second that others write meanwhile.
    package var load: Int
    package var pairs: Int
    package var seconds: Int

    package init(messages: Int, isGroup: Bool, load: Int, pairs: Int, seconds: Int) {
        (self.messages, self.isGroup, self.load) = (messages, isGroup, load)
        (self.pairs, self.seconds) = (pairs, seconds)
    }

    private var prefix: String { isGroup ? "/group-message-service/v1" : "/message-service/v1" }

    @Sendable package func run(_ session: BenchSession) async throws -> Report {
        let people = try await session.register(2 + pairs * 2)
        let reader = people[1]
        let connected = try await session.connect([people[0]] + people[2...])
        let conversation = try await fill(people[0], connected.connections[0], reader, session)

        let background = await session.loop.perform {
            let others = Array(people[2...])
            let senders = others.indices.map { place in
                MessageLoad.Sender(
                    connected.connections[place + 1],
                    (0..<8).map { _ in
                        MessageTemplate(
                            to: .user(others[place ^ 1].user), run: session.token, text: " " + Vocabulary.text())
                    })
            }
            let load = MessageLoad(
                loop: session.loop, senders: senders, expected: 1, completion: .delivered, start: session.start)
            for connection in connected.connections.dropFirst() { connection.handler = load }
            session.loop.add(load)
            return load
        }
        let (rate, seconds) = (Double(load), seconds)
        if pairs > 0, load > 0 {
            await session.loop.perform {
                let start = LoadLoop.clock
                background.begin(.open(rate), start: start, window: start..<start + UInt64(seconds) * 1_000_000_000)
            }
        }
        let before = await session.sampler.sample()
        let calls = calls(conversation)
        let results = try await measure(calls, by: reader, session)
        let use = session.use(from: before, to: await session.sampler.sample())
        _ = try await session.wait(within: .seconds(10)) { background.isDone && background.ledger.isSettled }

        var report = Report(facts: session.facts)
        let count = results.reduce(0) { $0 + $1.count }
        report.figures = [
            Report.Figure("calls", Double(count), .count, note: "one after the other"),
            Report.Figure(
                "server CPU a call", use.servers / Double(max(1, count)) * 1e6, .microseconds,
                note: "the others' messages among it"),
        ]
        report.latencies = zip(calls, results).map { $1.summary($0.name) }
        let (ledger, correctness, timeline) = await session.loop.perform {
            (background.ledger, background.correctness, background.timeline)
        }
        report.latencies.append(ledger.deliveries.summary("meanwhile: to receive"))
        report.correctness = correctness
        report.throughput = timeline.series
        report.cores = Report.Cores(use)
        report.warnings = Warnings.of(
            use, cores: session.facts.cores, lagP99Ms: ledger.lag.milliseconds(at: 99))
        await session.close(connected.connections)
        return report
    }

    private struct Call: Sendable {
        var name: String
        var path: @Sendable () -> String
    }

    private func calls(_ conversation: String) -> [Call] {
        let path = "\(prefix)/conversations/\(conversation)/messages?limit=50"
        let (prefix, messages) = (prefix, messages)
        return [
            Call(name: "newest page") { path },
            Call(name: "page before") { "\(path)&before=\(Int.random(in: 51...max(51, messages)))" },
            Call(name: "page after") { "\(path)&after=\(Int.random(in: 0...max(0, messages - 51)))" },
            Call(name: "search") { "\(prefix)/search?q=\(Vocabulary.word())&conversation=\(conversation)" },
            Call(name: "search everywhere") { "\(prefix)/search?q=\(Vocabulary.word())%20\(Vocabulary.word())" },
        ]
    }

    /// Writes the conversation, and waits until a search finds its end.
    private func fill(
        _ writer: Account, _ connection: LoadConnection, _ reader: Account, _ session: BenchSession
    ) async throws -> String {
        let conversation: String?
        if isGroup {
            conversation = try await writer.createGroup("Bench", members: [reader.user])["id"].string
        } else {
            conversation = try await writer.json(
                "POST", "\(prefix)/messages",
                ["to": .string(reader.user), "client_id": "first", "body": ["text": "first"]])["conversation"].string
        }
        guard let conversation else { throw BenchFailure("no conversation was made") }
        let count = messages
        let load = await session.loop.perform { [loop = session.loop] in
            let templates = (0..<min(1000, count)).map { _ in
                MessageTemplate(
                    to: .conversation(conversation), run: session.token + "f", text: " " + Vocabulary.text())
            }
            let load = MessageLoad(
                loop: loop, senders: [MessageLoad.Sender(connection, templates)], expected: 0,
                completion: .acknowledged, start: session.start)
            connection.handler = load
            loop.add(load)
            let start = LoadLoop.clock
            load.begin(.closed(window: 32), start: start, window: start..<start + 3_600_000_000_000, most: count)
            return load
        }
        while try await !session.wait(within: .seconds(1), { load.isDone && load.ledger.isSettled }) {
            session.progress("wrote \(await session.loop.perform { load.ledger.acked }) of \(count)")
        }
        let errors = await session.loop.perform { [loop = session.loop] in
            loop.remove(load)
            return load.correctness
        }
        guard errors.errors == 0 else { throw BenchFailure("a message was refused: \(errors.firstError ?? "")") }
        let last = "last\(UInt32.random(in: 0...UInt32.max))"
        _ = try await writer.json(
            "POST", "\(prefix)/messages",
            ["conversation": .string(conversation), "client_id": "last", "body": ["text": .string(last)]])
        let deadline = ContinuousClock.now + .seconds(120)
        session.progress("waiting until the end is found")
        while try await reader.json("GET", "\(prefix)/search?q=\(last)")["items"].array?.isEmpty != false {
            guard ContinuousClock.now < deadline else { throw BenchFailure("the end is not found after two minutes") }
            try await Task.sleep(for: .milliseconds(100))
        }
        return conversation
    }

    private func measure(
        _ calls: [Call], by reader: Account, _ session: BenchSession
    ) async throws -> [LatencyRecorder] {
        var results = calls.map { _ in LatencyRecorder() }
        let deadline = LoadLoop.clock + UInt64(seconds) * 1_000_000_000
        while LoadLoop.clock < deadline {
            for (index, call) in calls.enumerated() {
                let started = LoadLoop.clock
                let answer = try await reader.call("GET", call.path())
                results[index].record(nanoseconds: LoadLoop.clock - started)
                guard answer.status == 200 else { throw BenchFailure("\(call.name): HTTP \(answer.status)") }
            }
            session.progress("\(results[0].count) rounds of calls")
        }
        return results
    }
}

/// Words that messages are made of: a message has ten of two thousand.
enum Vocabulary {
    private static let syllables = ["ba", "do", "ki", "lu", "me", "na", "po", "ra", "si", "tu", "ve", "zo"]

    static func word() -> String {
        var number = Int.random(in: 0..<2000)
        var word = "w"
        for _ in 0..<4 {
            word += syllables[number % syllables.count]
            number /= syllables.count
        }
        return word
    }

    static func text() -> String { (0..<10).map { _ in word() }.joined(separator: " ") }
}

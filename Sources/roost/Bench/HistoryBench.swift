import ArgumentParser
import Client
import Foundation
import Histogram
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol

/// One long conversation, read and searched while others write.
struct HistoryBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Pages of history and searches of a long conversation beside a running load.",
        discussion: """
            Fills a conversation, then asks for pages at random places and for words in it over REST, one call after the \
            other, while pairs of other users write to each other.
            """)

    @OptionGroup var target: BenchTarget
    @Option(help: "Messages in the conversation.") var messages = 10_000
    @Flag(help: "A group's conversation instead of a direct one.") var group = false
    @Option(help: "Messages a second that others write meanwhile.") var load = 500
    @Option(name: .shortAndLong, help: "Pairs of others.") var pairs = 50
    @Option(name: .shortAndLong, help: "Seconds measured.") var seconds = 15

    private var prefix: String { group ? "/group-message-service/v1" : "/message-service/v1" }

    func run() async throws {
        let cluster = try ClusterProcesses.read(dataDirectory: target.dataDir)
        let addresses = try target.addresses(cluster)
        let loops = MultiThreadedEventLoopGroup(numberOfThreads: target.loops)
        let people = try await BenchAccounts.register(2 + pairs * 2, gateway: cluster.gateway) {
            progressLine("registered \($0)")
        }
        let conversation = try await fill(people[0], people[1], url: addresses[0], on: loops)
        let background = try await BackgroundLoad.connect(Array(people[2...]), addresses: addresses, on: loops)
        let reader = people[1]
        let path = "\(prefix)/conversations/\(conversation)/messages?limit=50"
        let messages = messages
        let prefix = prefix
        let calls: [(String, @Sendable () -> String)] = [
            ("newest page", { path }),
            ("page before", { "\(path)&before=\(Int.random(in: 51...messages))" }),
            ("page after", { "\(path)&after=\(Int.random(in: 0...(messages - 51)))" }),
            ("search", { "\(prefix)/search?q=\(Vocabulary.word())&conversation=\(conversation)" }),
            ("search everywhere", { "\(prefix)/search?q=\(Vocabulary.word())%20\(Vocabulary.word())" }),
        ]
        let results = try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await background.run(rate: load) }
            defer { tasks.cancelAll() }
            return try await measure(calls, by: reader)
        }
        for ((name, _), histogram) in zip(calls, results) {
            func milliseconds(_ percentile: Double) -> String {
                (Double(histogram.valueAtPercentile(percentile)) / 1000).formatted(2)
            }
            print(
                "\(name.padding(toLength: 18, withPad: " ", startingAt: 0)) \(histogram.totalCount) calls, "
                    + "p50 \(milliseconds(50)) ms, p99 \(milliseconds(99)) ms, max \(milliseconds(100)) ms")
        }
        let (acknowledged, errors) = (background.acknowledged, background.errors)
        print("meanwhile          \(load)/s asked, \(acknowledged) acknowledged, \(errors) errors")
        background.close()
        try await loops.shutdownGracefully()
    }

    /// Writes the conversation, and waits until a search finds its end.
    private func fill(
        _ writer: Account, _ reader: Account, url: String, on loops: MultiThreadedEventLoopGroup
    ) async throws -> String {
        let conversation: String?
        if group {
            conversation = try await writer.json(
                "POST", "/group-service/v1/groups",
                ["name": "Bench", "visibility": "private", "members": [.string(reader.user)]])["id"].string
        } else {
            conversation = try await writer.json(
                "POST", "\(prefix)/messages",
                ["to": .string(reader.user), "client_id": "first", "body": ["text": "first"]])["conversation"].string
        }
        guard let conversation else { throw BenchFailure("no conversation was made") }
        let answers = NIOLockedValueBox((acknowledged: 0, error: String?.none))
        let connection = BenchConnection(
            account: writer, loop: loops.next(),
            onAnswer: { _, error in
                answers.withLockedValue { $0 = ($0.acknowledged + (error == nil ? 1 : 0), $0.error ?? error) }
            })
        try await connection.connect(url: url + "?ticket=\(try await writer.ticket())")
        let last = "last\(UInt32.random(in: 0...UInt32.max))"
        for number in 1...messages {
            var body = ClientBody()
            body.text = number == messages ? last : Vocabulary.text()
            connection.send(ref: "fill-\(number)", to: "", conversation: conversation, body: body)
            while number - answers.withLockedValue(\.acknowledged) > 32 || number == messages {
                let (acknowledged, error) = answers.withLockedValue { $0 }
                if let error { throw BenchFailure("a message was refused: \(error)") }
                if acknowledged == messages { break }
                try await Task.sleep(for: .milliseconds(1))
            }
            if number % 500 == 0 { progressLine("wrote \(number)") }
        }
        connection.close()
        let deadline = ContinuousClock.now + .seconds(120)
        while try await reader.json("GET", "\(prefix)/search?q=\(last)")["items"].array?.isEmpty != false {
            guard ContinuousClock.now < deadline else { throw BenchFailure("the end is not found after two minutes") }
            try await Task.sleep(for: .milliseconds(100))
        }
        progressLine("the conversation is written and indexed", last: true)
        return conversation
    }

    private func measure(
        _ calls: [(String, @Sendable () -> String)], by reader: Account
    ) async throws -> [Histogram<UInt32>] {
        var results = calls.map { _ in
            Histogram<UInt32>(highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: .three)
        }
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            for (index, (name, path)) in calls.enumerated() {
                let started = ContinuousClock.now
                let answer = try await reader.call("GET", path())
                results[index].record(UInt64((ContinuousClock.now - started).seconds * 1e6))
                guard answer.status == 200 else { throw BenchFailure("\(name): HTTP \(answer.status)") }
            }
        }
        return results
    }
}

/// Words that messages are made of: a message has ten of two thousand.
private enum Vocabulary {
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

/// Pairs of users who write to each other at a fixed rate.
private final class BackgroundLoad: Sendable {
    private let people: [Account]
    private let connections: [BenchConnection]
    private let counts: NIOLockedValueBox<(acknowledged: Int, errors: Int)>

    private init(
        people: [Account], connections: [BenchConnection],
        counts: NIOLockedValueBox<(acknowledged: Int, errors: Int)>
    ) {
        (self.people, self.connections, self.counts) = (people, connections, counts)
    }

    static func connect(
        _ people: [Account], addresses: [String], on loops: MultiThreadedEventLoopGroup
    ) async throws -> BackgroundLoad {
        let counts = NIOLockedValueBox((acknowledged: 0, errors: 0))
        var connections: [BenchConnection] = []
        for (index, account) in people.enumerated() {
            let connection = BenchConnection(
                account: account, loop: loops.next(),
                onAnswer: { _, error in
                    counts.withLockedValue { if error == nil { $0.acknowledged += 1 } else { $0.errors += 1 } }
                })
            try await connection.connect(
                url: addresses[index % addresses.count] + "?ticket=\(try await account.ticket())")
            connections.append(connection)
        }
        return BackgroundLoad(people: people, connections: connections, counts: counts)
    }

    var acknowledged: Int { counts.withLockedValue(\.acknowledged) }
    var errors: Int { counts.withLockedValue(\.errors) }

    /// Writes until cancelled.
    func run(rate: Int) async throws {
        guard !connections.isEmpty, rate > 0 else { return }
        let start = ContinuousClock.now
        var sent = 0
        while !Task.isCancelled {
            let due = Int((ContinuousClock.now - start).seconds * Double(rate))
            while sent < due {
                let index = sent % connections.count
                var body = ClientBody()
                body.text = Vocabulary.text()
                connections[index].send(
                    ref: "load-\(sent)", to: people[index ^ 1].user, conversation: nil, body: body)
                sent += 1
            }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    func close() { for connection in connections { connection.close() } }
}

import ArgumentParser
import Client
import Foundation
import Histogram
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol

/// Pairs of users who write to each other: durable messages, end to end.
struct DirectBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "direct",
        abstract: "Direct messages at a fixed rate: latency from the intended send to the receiver's read.",
        discussion: """
            Open loop: sends keep to their schedule whatever the server does, and latency counts from the time a send \
            was due, so that a stall is not hidden (no coordinated omission).
            """)

    @OptionGroup var target: BenchTarget
    @Option(name: .shortAndLong, help: "Pairs of users.") var pairs = 250
    @Option(name: .shortAndLong, help: "Messages a second in all.") var rate = 2000
    @Option(name: .shortAndLong, help: "Seconds measured.") var seconds = 15
    @Option(help: "Seconds before that, not measured.") var warmup = 3
    @Option(help: "Bytes of text in a message.") var size = 100

    func run() async throws {
        let cluster = try ClusterProcesses.read(dataDirectory: target.dataDir)
        let addresses = try target.addresses(cluster)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: target.loops)
        let people = try await BenchAccounts.register(pairs * 2, gateway: cluster.gateway) {
            progressLine("registered \($0)")
        }
        let recorder = DirectRecorder()
        var connections: [BenchConnection] = []
        for (index, account) in people.enumerated() {
            let connection = BenchConnection(
                account: account, loop: group.next(), onEvent: { recorder.received($0, by: account.user) },
                onAnswer: { ref, error in recorder.answered(ref, error: error) },
                onClose: { _ in recorder.closed() })
            // A pair's two sides sit on different nodes where there are several.
            try await connection.connect(
                url: addresses[index % addresses.count] + "?ticket=\(try await account.ticket())")
            connections.append(connection)
            if index % 50 == 0 { progressLine("connected \(index)") }
        }
        recorder.expectClosing(false)

        let text = String(repeating: "x", count: size)
        let interval = 1.0 / Double(rate)
        let start = ContinuousClock.now
        // Beside the sending: reading /proc takes long enough to make sends late.
        async let sampled = Self.usage(of: cluster, at: start + .seconds(warmup))
        var sent = 0
        var second = 0
        let total = (warmup + seconds) * rate
        while sent < total {
            let elapsed = (ContinuousClock.now - start).seconds
            let due = min(total, Int(elapsed / interval))
            while sent < due {
                let sender = sent % connections.count
                let receiver = people[sender ^ 1]
                var body = ClientBody()
                body.text = text
                let dueAt = start + .seconds(Double(sent) * interval)
                let ref = recorder.sending(dueAt: dueAt, measured: sent >= warmup * rate)
                connections[sender].send(ref: ref, to: receiver.user, conversation: nil, body: body)
                sent += 1
            }
            if sent / rate > second {
                second = sent / rate
                progressLine("sent \(sent) of \(total)")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        let before = await sampled
        let after = cluster.usage()
        let settled = await recorder.settle(within: .seconds(10))
        progressLine("sent \(sent)", last: true)
        recorder.expectClosing(true)
        report(recorder, cpu: after.cpuSeconds(since: before), settled: settled)
        for connection in connections { connection.close() }
        try await group.shutdownGracefully()
        if !settled { throw ExitCode.failure }
    }

    @concurrent private static func usage(
        of cluster: ClusterProcesses, at time: ContinuousClock.Instant
    ) async -> ClusterProcesses.Usage {
        try? await Task.sleep(until: time)
        return cluster.usage()
    }

    private func report(_ recorder: DirectRecorder, cpu: [String: Double], settled: Bool) {
        let result = recorder.result
        print("rate               \(rate)/s asked, \(result.received / max(1, seconds))/s received in the window")
        print(
            "send to receive    p50 \(result.delivery(50)) ms, p99 \(result.delivery(99)) ms, max \(result.delivery(100)) ms"
        )
        print("send to ack        p50 \(result.ack(50)) ms, p99 \(result.ack(99)) ms")
        print(
            "lost \(result.missing), duplicates \(result.duplicates), errors \(result.errors), broken connections \(result.closed)"
        )
        let messages = Double(seconds * rate)
        let roles = cpu.sorted { $0.value > $1.value }.map { "\($0.key) \(($0.value / messages * 1e6).formatted(0))" }
        let all = cpu.values.reduce(0, +) / messages * 1e6
        print("server CPU         \(all.formatted(0)) us a message: \(roles.joined(separator: ", "))")
        if let error = result.firstError { print("first error        \(error)") }
    }
}

/// Keeps the books of a run: what was sent, when it was due, what came.
private final class DirectRecorder: Sendable {
    struct Sent {
        var dueAt: ContinuousClock.Instant
        var measured: Bool
        var received = false
        var answered = false
    }

    struct Result {
        var deliveries = Histogram<UInt32>(highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: .three)
        var acks = Histogram<UInt32>(highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: .three)
        var received = 0
        var missing = 0
        var duplicates = 0
        var errors = 0
        var closed = 0
        var firstError: String?

        func delivery(_ percentile: Double) -> String { Self.milliseconds(deliveries, percentile) }
        func ack(_ percentile: Double) -> String { Self.milliseconds(acks, percentile) }

        private static func milliseconds(_ histogram: Histogram<UInt32>, _ percentile: Double) -> String {
            (Double(histogram.valueAtPercentile(percentile)) / 1000).formatted(2)
        }
    }

    private struct State {
        var sent: [Sent] = []
        var open = 0
        var result = Result()
        var closingExpected = true
    }

    private let state = NIOLockedValueBox(State())
    private let token = String(UInt32.random(in: 0...UInt32.max), radix: 36)

    var result: Result { state.withLockedValue(\.result) }

    func sending(dueAt: ContinuousClock.Instant, measured: Bool) -> String {
        let index = state.withLockedValue { state in
            state.sent.append(Sent(dueAt: dueAt, measured: measured))
            state.open += 1
            return state.sent.count - 1
        }
        return "\(token)-\(index)"
    }

    private func index(_ ref: String) -> Int? {
        guard ref.hasPrefix(token), let dash = ref.lastIndex(of: "-") else { return nil }
        return Int(ref[ref.index(after: dash)...])
    }

    func answered(_ ref: String, error: String?) {
        guard let index = index(ref) else { return }
        let now = ContinuousClock.now
        state.withLockedValue { state in
            if let error {
                state.result.errors += 1
                state.result.firstError = state.result.firstError ?? error
            } else if !state.sent[index].answered {
                state.sent[index].answered = true
                if state.sent[index].measured { state.result.acks.record(Self.micros(now - state.sent[index].dueAt)) }
            }
        }
    }

    /// The receiver does not see the client_id, so a message is told by its place: events of a pair come in order.
    func received(_ event: ClientEvent, by user: String) {
        guard event.kind == "message" else { return }
        let now = ContinuousClock.now
        if event.sender == user {
            // The sender's own copy says which place in the log its message got.
            guard let index = index(event.clientID) else { return }
            match(event.id, at: now, sent: index)
        } else {
            match(event.id, at: now, sent: nil)
        }
    }

    /// Joins the two sightings of an event: the sender's (which message it is) and the receiver's (when it came).
    private func match(_ event: String, at now: ContinuousClock.Instant, sent: Int?) {
        sightings.withLockedValue { sightings in
            if let sent {
                guard let seen = sightings.arrivals.removeValue(forKey: event) else {
                    sightings.sends[event] = sent
                    return
                }
                arrived(sent, at: seen)
            } else {
                guard let sent = sightings.sends.removeValue(forKey: event) else {
                    sightings.arrivals[event] = now
                    return
                }
                arrived(sent, at: now)
            }
        }
    }

    private struct Sightings {
        var sends: [String: Int] = [:]
        var arrivals: [String: ContinuousClock.Instant] = [:]
    }
    private let sightings = NIOLockedValueBox(Sightings())

    private func arrived(_ index: Int, at now: ContinuousClock.Instant) {
        state.withLockedValue { state in
            guard !state.sent[index].received else {
                state.result.duplicates += 1
                return
            }
            state.sent[index].received = true
            state.open -= 1
            if state.sent[index].measured {
                state.result.received += 1
                state.result.deliveries.record(Self.micros(now - state.sent[index].dueAt))
            }
        }
    }

    func closed() { state.withLockedValue { if !$0.closingExpected { $0.result.closed += 1 } } }
    func expectClosing(_ expected: Bool) { state.withLockedValue { $0.closingExpected = expected } }

    /// Waits for stragglers; what has not come by then counts as lost.
    func settle(within limit: Duration) async -> Bool {
        let deadline = ContinuousClock.now + limit
        while state.withLockedValue({ $0.open }) > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        return state.withLockedValue { state in
            state.result.missing = state.open
            return state.open == 0
        }
    }

    private static func micros(_ duration: Duration) -> UInt64 { UInt64(max(0, duration.seconds * 1e6)) }
}

import ArgumentParser
import LoadBench

/// Pairs of users who write to each other: durable messages, end to end.
struct DirectBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "direct",
        abstract: "Direct messages: latency from the intended send to the receiver's read.",
        discussion: MessageOptions.discussion)

    @OptionGroup var target: BenchTarget
    @Option(name: .shortAndLong, help: "Pairs of users.") var pairs = 250
    @Option(name: .shortAndLong, help: "Messages a second in all.") var rate = 2000
    @OptionGroup var message: MessageOptions
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = DirectScenario(pairs: pairs, size: message.size, plan: try message.plan(rate: Double(rate)))
        try await output.run(
            "direct", on: target,
            options: [("pairs", "\(pairs)")] + message.described(rate: "\(rate)/s"), scenario.run)
    }
}

/// How messages are to be sent: at a rate, one after the other, or in search of the highest rate.
struct MessageOptions: ParsableArguments {
    static let discussion = """
        Open loop (--rate): sends keep to their schedule whatever the server does, and latency counts from the time a send \
        was due, so that a stall is not hidden (no coordinated omission). Closed loop (--closed): each sender has so many \
        messages under way and sends the next when one has arrived. --search LO:HI looks for the highest rate in open loop \
        whose p99 is below --p99.
        """

    @Flag(help: "Closed loop instead of a rate.") var closed = false
    @Option(help: "Messages under way for each sender in a closed loop.") var window = 1
    @Option(help: "Look for the highest rate between two, as 1000:20000.") var search: String?
    @Option(help: "Milliseconds that p99 must stay below in a search.") var p99 = 100.0
    @Option(name: .shortAndLong, help: "Seconds measured; of a search, in each step.") var seconds = 15
    @Option(help: "Seconds before that, not measured.") var warmup = 3
    @Option(help: "Bytes of text in a message, at least 10.") var size = 100

    func plan(rate: Double) throws -> MessagePlan {
        MessagePlan(try kind(rate: rate), seconds: seconds, warmup: warmup)
    }

    private func kind(rate: Double) throws -> MessagePlan.Kind {
        if closed { return .closed(window: window) }
        guard let search else { return .rate(rate) }
        let bounds = search.split(separator: ":").compactMap { Int($0) }
        guard bounds.count == 2, bounds[0] > 0, bounds[0] <= bounds[1] else {
            throw ValidationError("--search takes two rates, as 1000:20000")
        }
        return .search(bounds[0]...bounds[1], p99: p99)
    }

    func described(rate: String) -> [(String, String)] {
        let pace = closed ? "closed loop, window \(window)" : search.map { "search \($0), p99 \(p99) ms" } ?? rate
        return [("pace", pace), ("seconds", "\(seconds)"), ("warm-up", "\(warmup) s"), ("size", "\(size) bytes")]
    }

    func validate() throws {
        guard seconds > 0, warmup >= 0, window > 0, size >= 10, p99 > 0 else {
            throw ValidationError("seconds, window and p99 must be above 0, size at least 10")
        }
        if closed, search != nil { throw ValidationError("--search is for an open loop") }
    }
}

import ArgumentParser
import LoadBench

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
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = HistoryScenario(
            messages: messages, isGroup: group, load: load, pairs: pairs, seconds: seconds)
        try await output.run(
            "history", on: target,
            options: [
                ("messages", "\(messages)"), ("conversation", group ? "group" : "direct"), ("load", "\(load)/s"),
                ("pairs", "\(pairs)"), ("seconds", "\(seconds)"),
            ], scenario.run)
    }

    func validate() throws {
        guard messages > 0, load >= 0, pairs >= 0, seconds > 0 else {
            throw ValidationError("messages and seconds must be above 0, load and pairs at least 0")
        }
    }
}

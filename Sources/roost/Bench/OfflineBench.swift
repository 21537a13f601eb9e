import ArgumentParser
import LoadBench

/// Messages for users who are away, and their return.
struct OfflineBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "offline",
        abstract: "Messages to users who are not connected, who then log in and drain: stored/s, drained/s.",
        discussion: "Ends with status 1 if a message was lost, came twice or out of order.")

    @OptionGroup var target: BenchTarget
    @Option(help: "Users who are away; each hears from one sender.") var recipients = 1000
    @Option(help: "Users who write.") var senders = 50
    @Option(help: "Messages in all.") var messages = 50_000
    @Option(help: "Messages under way for each sender.") var window = 10
    @Option(help: "Bytes of text in a message, at least 10.") var size = 100
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = OfflineScenario(
            recipients: recipients, senders: min(senders, recipients), messages: messages, window: window, size: size)
        try await output.run(
            "offline", on: target,
            options: [
                ("recipients", "\(recipients)"), ("senders", "\(senders)"), ("messages", "\(messages)"),
                ("window", "\(window)"), ("size", "\(size) bytes"),
            ], scenario.run)
    }

    func validate() throws {
        guard recipients > 0, senders > 0, messages > 0, window > 0, size >= 10 else {
            throw ValidationError("all numbers must be above 0, size at least 10")
        }
    }
}

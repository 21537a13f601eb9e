import ArgumentParser
import LoadBench

/// A large group, all of it connected.
struct RoomBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "room",
        abstract: "Messages to a group whose members are connected over all nodes: deliveries a second and their cost.",
        discussion: MessageOptions.discussion)

    @OptionGroup var target: BenchTarget
    @Option(help: "Members, all connected.") var members = 1000
    @Option(help: "Of them those who write.") var senders = 10
    @Option(name: .shortAndLong, help: "Messages a second in all; each has as many deliveries as there are others.")
    var rate = 10.0
    @OptionGroup var message: MessageOptions
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = RoomScenario(
            members: members, senders: senders, size: message.size, plan: try message.plan(rate: rate))
        try await output.run(
            "room", on: target,
            options: [("members", "\(members)"), ("senders", "\(senders)")] + message.described(rate: "\(rate)/s"),
            scenario.run)
    }

    func validate() throws {
        guard members > 1, members <= 10_000, senders > 0, rate > 0 else {
            throw ValidationError("a room has 2 to 10,000 members, some senders and a rate")
        }
    }
}

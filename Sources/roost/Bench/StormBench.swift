import ArgumentParser
import LoadBench

/// Many clients who come back at once.
struct StormBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storm",
        abstract: "All connections are lost at once and come back: how long until all are synced.",
        discussion: """
            The clients' network fails, or with --kill-node one chat node is killed and its clients go to the others. A \
            sample of users gets a message a second all along, each of which must arrive once.
            """)

    @OptionGroup var target: BenchTarget
    @Option(name: .shortAndLong, help: "Connections.") var connections = 5000
    @Option(help: "Accounts that share them.") var accounts = 500
    @Option(help: "Users beside them who get a message a second.") var sample = 50
    @Option(help: "Each waits a random time before it comes back, at most so many seconds.") var within = 5.0
    @Option(help: ArgumentHelp("Kill this chat node of cluster.json, as chat-1.", valueName: "name"))
    var killNode: String?
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = StormScenario(
            connections: connections, accounts: accounts, sample: sample, within: within, killed: killNode)
        try await output.run(
            "storm", on: target,
            options: [
                ("connections", "\(connections)"), ("accounts", "\(accounts)"), ("sample", "\(sample)"),
                ("within", "\(within) s"), ("killed node", killNode ?? "none"),
            ], scenario.run)
    }

    func validate() throws {
        guard connections > 0, accounts > 0, sample >= 0, within >= 0 else {
            throw ValidationError("connections and accounts must be above 0, sample and within at least 0")
        }
    }
}

import ArgumentParser

/// Load generator and report. Each scenario is a subcommand.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Load a running cluster and report what it did.",
        discussion: """
            Start a cluster for it with rate limits off and cheap password hashes, for example
              ROOST_SCRYPT_LOG_N=4 roost up --no-limits --direct --port 8080
            Client and servers share the machine: compare CPU per message and ratios, not wall figures.
            """,
        subcommands: [IdleBench.self, DirectBench.self, HistoryBench.self, RPCBench.self])
}

/// What the scenarios on a cluster have in common.
struct BenchTarget: ParsableArguments {
    @Option(help: "The cluster's data directory; its cluster.json names the gateway and the processes.")
    var dataDir = ".roost"

    @Flag(help: "Connect straight to the chat nodes, past the gateway.")
    var direct = false

    @Option(help: "Event loops of the generator.")
    var loops = 1

    /// WebSocket addresses without a ticket, used in turn.
    func addresses(_ cluster: ClusterProcesses) throws -> [String] {
        guard direct else { return ["ws" + cluster.gateway.dropFirst("http".count) + "/chat-service/v1/ws"] }
        let nodes = cluster.processes.filter { $0.role == "chat" }.compactMap(\.http)
        guard !nodes.isEmpty else { throw BenchFailure("cluster.json lists no chat node with an http address") }
        return nodes.map { "ws://\($0)/chat-service/v1/ws" }
    }
}

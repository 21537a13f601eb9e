import ArgumentParser

/// Load generator and report. Each scenario is a subcommand; what they do is in `Sources/LoadBench`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Load a running cluster and report what it did.",
        discussion: """
            Start a cluster for it with rate limits off and cheap password hashes, for example
              ROOST_SCRYPT_LOG_N=4 roost up --no-limits --direct --port 8080
            Client and servers share the machine: compare CPU per message and ratios, not wall figures. The exit status is \
            1 if anything was lost, repeated, out of order or refused, or a connection broke.
            """,
        subcommands: [
            IdleBench.self, DirectBench.self, RoomBench.self, OfflineBench.self, StormBench.self, MixedBench.self,
            HistoryBench.self, RPCBench.self,
        ])
}

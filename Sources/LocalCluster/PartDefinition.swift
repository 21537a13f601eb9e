/// One process of the cluster: how it is started, how it is known to work, and how it is stopped.
package struct PartDefinition: Sendable {
    /// Unique in the cluster: `chat-1`, `postgres`.
    package var name: String
    /// What it is: `chat`, `postgres`.
    package var role: String
    /// The program's absolute path, then its arguments.
    package var command: [String]
    /// Set on top of this process' environment.
    package var environment: [String: String] = [:]
    /// Where it runs: a folder of its own in the data directory.
    package var directory: String
    /// The signal that asks it to end in good order.
    package var stopSignal: Int32
    /// How long it may take over that before it is killed.
    package var stopPatience: Duration = .seconds(10)
    /// What tells that it does its work.
    package var probe: Probe
    /// Where it serves RPC, `host:port`.
    package var rpc: String?
    /// Where it serves HTTP, or its own protocol if it is a server that isn't ours, `host:port`.
    package var http: String?
    /// Makes the folder ready, each time before it is spawned.
    package var prepare: (@Sendable () async throws -> Void)?
}

package import Cluster
package import Hummingbird
package import RPCTransport

/// What a service module exports: one of Roost's roles, to be hosted by a process alone or with others.
///
/// A process makes it, retries `prepare` until that works, then calls `run`, registers it in ZooKeeper and publishes its
/// load. On SIGTERM it is deregistered first; then REST and RPC are drained; then `run` ends.
package protocol Role: Sendable {
    /// `users`: its znode's folder, its RPC pool, `--roles`.
    static var name: String { get }
    /// Whether it has an HTTP listener of its own, which then also serves `/livez`, `/readyz` and `/metrics`
    /// (`ServiceContext.operations`) and whose address is `httpAddress`. Default: no, it uses the process's.
    static var servesOwnHTTP: Bool { get }
    /// Whether `run` ends by itself on graceful shutdown, taking its time. Default: no, it is cancelled then.
    static var drainsItself: Bool { get }

    /// Builds it; no I/O yet.
    init(context: ServiceContext) async throws

    /// What it answers over RPC. Calls come only while it is registered, that is after `prepare`.
    var rpcServices: [any RPCService] { get }
    /// Adds its REST routes, by their full paths. Default: none.
    func routes(_ router: Router<RoostRequestContext>)
    /// What must be done before it can serve: migrations, keys. Called again with back-off until it works; `/readyz` says
    /// why it doesn't.
    func prepare() async throws
    /// Why it can't do its work now; empty: it can. Called by `/readyz`.
    func readiness() async -> [String]
    /// Its background work, until cancelled. Returning early or throwing ends the process.
    func run() async throws
    /// Where its own listener is, `host:port`; waits until it is bound. nil: it has none.
    var httpAddress: String? { get async }
    /// What it carries and could carry; 0 of 0 where that means nothing. Read several times a second.
    var load: (connections: Int, capacity: Int) { get }
    /// Whether it takes new clients. Read several times a second.
    var state: NodeRecord.State { get }
}

extension Role {
    package static var servesOwnHTTP: Bool { false }
    package static var drainsItself: Bool { false }
    package var rpcServices: [any RPCService] { [] }
    package func routes(_ router: Router<RoostRequestContext>) {}
    package func prepare() async throws {}
    package func readiness() async -> [String] { [] }
    package var httpAddress: String? { get async { nil } }
    package var load: (connections: Int, capacity: Int) { (0, 0) }
    package var state: NodeRecord.State { .serving }
}

/// The names of all roles that a cluster can have.
package enum RoleNames {
    package static let all = [
        "chat", "discovery", "relay", "last-seen", "users", "groups", "messages", "group-messages", "sessions", "media",
        "notifications",
    ]

    /// Where the nodes of a role register.
    package static func path(_ role: String) -> String { "/roost/v1/nodes/\(role)" }
}

/// The version of Roost, as nodes state it.
package enum RoostVersion {
    package static let current = "0.1.0"
}

/// Waits until the task is cancelled: the `run` of a role without background work.
///
/// - Throws: `CancellationError`, always.
package func untilCancelled() async throws {
    while true { try await Task.sleep(for: .seconds(3600)) }
}

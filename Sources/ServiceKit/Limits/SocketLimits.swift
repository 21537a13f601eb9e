/// What clients may send over WebSockets; each chat node counts for itself.
package struct SocketLimits: Sendable, Equatable {
    /// A rate and how much at once.
    package struct Rule: Sendable, Equatable {
        package var rate: Int
        package var burst: Int
    }

    /// Of one connection: frames that have work done for them (a `read`, `received`, `typing` or `ping` is a tenth of one),
    /// and bytes.
    package var connectionFrames = Rule(rate: 100, burst: 400)
    package var connectionBytes = Rule(rate: 512 * 1024, burst: 2 * 1024 * 1024)
    /// Of all connections that a user has to a node.
    package var userFrames = Rule(rate: 100, burst: 400)
    package var userBytes = Rule(rate: 512 * 1024, burst: 2 * 1024 * 1024)
    /// Connections of one user to a node.
    package var connections = 50
    /// Typing signals of a connection in a second; more are passed over.
    package var typing = 5

    package init() {}

    private static let rules: [(name: String, path: any WritableKeyPath<SocketLimits, Rule> & Sendable)] = [
        ("connection_frames", \.connectionFrames), ("connection_bytes", \.connectionBytes),
        ("user_frames", \.userFrames), ("user_bytes", \.userBytes),
    ]

    /// The keys of the configuration that `init(values:)` reads.
    static let keys =
        rules.flatMap { ["limit_\($0.name)_rate", "limit_\($0.name)_burst"] }
        + ["limit_connections", "limit_typing_rate"]

    /// - Throws: `ConfigurationError` naming the first key that is wrong.
    init(values: ConfigurationValues) throws(ConfigurationError) {
        for (name, path) in Self.rules {
            let (rate, burst) = ("limit_\(name)_rate", "limit_\(name)_burst")
            if let value = try values.integer(rate, in: 1...1_000_000_000) { self[keyPath: path].rate = value }
            if let value = try values.integer(burst, in: 1...1_000_000_000) { self[keyPath: path].burst = value }
        }
        connections = try values.integer("limit_connections", in: 1...1_000_000) ?? connections
        typing = try values.integer("limit_typing_rate", in: 0...1000) ?? typing
    }
}

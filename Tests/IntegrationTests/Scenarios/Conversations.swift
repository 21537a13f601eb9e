import Client
import Foundation

/// People for a test, with names that no other test uses.
enum People {
    static func register(_ cluster: TestCluster, _ name: String) async throws -> Account {
        let token = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        return try await Account.register(cluster.rest, username: "\(name)-\(token)")
    }

    static func two(_ cluster: TestCluster) async throws -> (Account, Account) {
        async let ada = register(cluster, "ada")
        async let bob = register(cluster, "bob")
        return try await (ada, bob)
    }
}

/// What a client must be able to rely on, checked on what came over a connection.
enum Promise {
    struct Broken: Error, CustomStringConvertible { var description: String }

    /// Events of a conversation are `first`, `first`+1, … without a gap or a repeat.
    static func inOrder(_ events: [JSONValue], from first: Int) throws {
        let seqs = events.map { $0["seq"].int ?? -1 }
        guard seqs == Array(first..<(first + seqs.count)) else {
            throw Broken(description: "seqs \(seqs) are not \(first), \(first + 1), …")
        }
    }

    static func texts(_ events: [JSONValue]) -> [String] { events.map { $0["body"]["text"].string ?? "" } }
}

/// Tries until it works: for what heals after a fault.
func eventually<R: Sendable>(
    within limit: Duration = .seconds(30), _ attempt: @Sendable () async throws -> R
) async throws -> R {
    let deadline = ContinuousClock.now + limit
    while true {
        do {
            return try await attempt()
        } catch {
            if ContinuousClock.now >= deadline { throw error }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

struct NotYet: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

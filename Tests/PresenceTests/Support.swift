import ChatModel
import Logging
import Protocol
import RPC
import Redis
import TestServers

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A Redis of its own and a client of it.
func withRedis(_ body: (RedisServer, RedisClient) async throws -> Void) async throws {
    try await RedisServer.withServer { server in
        let client = RedisClient(configuration: RedisConfiguration(address: server.address), logger: quiet)
        try await withThrowingTaskGroup { group in
            group.addTask { await client.run() }
            // On a busy machine that takes longer than a command waits.
            try await eventually("a connection") { client.isConnected }
            try await body(server, client)
            group.cancelAll()
        }
    }
}

struct NeverHappened: Error, CustomStringConvertible {
    var description: String
}

/// Waits until the condition holds.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(20)
    while ContinuousClock.now < end {
        if (try? await condition()) == true { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    throw NeverHappened(description: what)
}

/// What a node reports, made as a node would.
struct ReportingNode {
    var name: String
    var incarnation: UInt64
    var epoch: Int64
    var revision: UInt64 = 0
    var connections: [UInt32: RosterEntry] = [:]
    private var nextHandle: UInt32 = 1

    init(_ name: String, incarnation: UInt64 = 1, epoch: Int64 = 10) {
        self.name = name
        self.incarnation = incarnation
        self.epoch = epoch
    }

    private func update() -> RosterUpdate {
        var update = RosterUpdate()
        update.node = name
        update.incarnation = incarnation
        update.epoch = epoch
        update.base = revision
        update.revision = revision
        return update
    }

    func heartbeat() -> RosterUpdate { update() }

    func snapshot() -> RosterUpdate {
        var update = update()
        update.snapshot = true
        update.joined = connections.values.sorted { $0.handle < $1.handle }
        return update
    }

    mutating func join(_ users: [(user: UInt64, device: UInt64)]) -> RosterUpdate {
        var update = update()
        for (user, device) in users {
            var entry = RosterEntry()
            entry.handle = nextHandle
            entry.user = user
            entry.device = device
            entry.sinceMs = 1_700_000_000_000 + Int64(nextHandle)
            nextHandle += 1
            connections[entry.handle] = entry
            update.joined.append(entry)
        }
        revision += 1
        update.revision = revision
        return update
    }

    mutating func leave(_ handles: [UInt32]) -> RosterUpdate {
        var update = update()
        update.left = handles
        for handle in handles { connections[handle] = nil }
        revision += 1
        update.revision = revision
        return update
    }
}

import ChatModel
import LastSeen
import NIOConcurrencyHelpers
import Protocol
import RPC
import Redis
import Roster
import TestServers
import Testing

@Suite struct PresenceStoreTests {
    private func store(
        _ redis: RedisClient, lease: Duration = .seconds(5), grace: Duration = .seconds(1)
    ) -> PresenceStore {
        var configuration = LeasedRoster.Configuration(prefix: "test", tracksUsers: true)
        configuration.lease = lease
        return PresenceStore(roster: LeasedRoster(configuration: configuration, redis: redis), grace: grace)
    }

    private func isOnline(_ store: PresenceStore, _ user: UInt64) async throws -> Bool {
        try await store.presences(of: [UserID(rawValue: user)])[0].online
    }

    /// Collects what is published while the body runs.
    private func withChanges(
        _ redis: RedisClient, _ body: (NIOLockedValueBox<[Presence]>) async throws -> Void
    ) async throws {
        let changes = NIOLockedValueBox<[Presence]>([])
        let ready = NIOLockedValueBox(false)
        try await withThrowingTaskGroup { group in
            group.addTask {
                for await message in redis.subscribe(["test:changes"]) {
                    switch message {
                    case .message(channel: _, let payload):
                        changes.withLockedValue { $0 += Presence.changes(in: payload) }
                    case .reconnected: ready.withLockedValue { $0 = true }
                    }
                }
            }
            try await eventually("the subscription") { ready.withLockedValue { $0 } }
            try await body(changes)
            group.cancelAll()
        }
    }

    @Test func offlineOnlyWhenTheLastConnectionHasLeft() async throws {
        try await withRedis { _, redis in
            try await withChanges(redis) { changes in
                let store = store(redis)
                var (first, second) = (ReportingNode("chat-1"), ReportingNode("chat-2"))
                #expect(try await store.apply(first.snapshot()) == .applied)
                #expect(try await store.apply(second.snapshot()) == .applied)
                #expect(try await store.presences(of: [UserID(rawValue: 1)]) == [Presence(user: UserID(rawValue: 1))])
                #expect(try await store.apply(first.join([(1, 11)])) == .applied)
                #expect(try await store.apply(second.join([(1, 12)])) == .applied)
                #expect(try await isOnline(store, 1))

                #expect(try await store.apply(first.leave([1])) == .applied)
                try await Task.sleep(for: .milliseconds(1_100))
                try await store.depart()
                #expect(try await isOnline(store, 1))

                #expect(try await store.apply(second.leave([1])) == .applied)
                try await store.depart()
                #expect(try await isOnline(store, 1), "the grace is not over")
                try await eventually("offline") {
                    try await store.depart()
                    return try await !isOnline(store, 1)
                }
                #expect(try await store.presences(of: [UserID(rawValue: 1)])[0].lastSeen > 1_700_000_000_000)
                try await eventually("both changes") { changes.withLockedValue { $0.map(\.online) } == [true, false] }
            }
        }
    }

    @Test func aQuickReconnectIsNoChange() async throws {
        try await withRedis { _, redis in
            try await withChanges(redis) { changes in
                let store = store(redis, grace: .milliseconds(100))
                var (first, second) = (ReportingNode("chat-1"), ReportingNode("chat-2"))
                _ = first.join([(1, 11)])
                #expect(try await store.apply(first.snapshot()) == .applied)
                #expect(try await store.apply(second.snapshot()) == .applied)
                #expect(try await store.apply(first.leave([1])) == .applied)
                #expect(try await store.apply(second.join([(1, 11)])) == .applied)
                try await Task.sleep(for: .milliseconds(150))
                try await store.depart()
                #expect(try await isOnline(store, 1))
                #expect(changes.withLockedValue { $0.map(\.online) } == [true])
            }
        }
    }

    @Test func aDeadNodesUsersGoOfflineOnceHoweverManyLook() async throws {
        try await withRedis { _, redis in
            try await withChanges(redis) { changes in
                let store = store(redis, grace: .milliseconds(50))
                var node = ReportingNode("chat-1")
                _ = node.join((1...1_200).map { (user: UInt64) -> (user: UInt64, device: UInt64) in (user, 1) })
                #expect(try await store.apply(node.snapshot()) == .applied)
                #expect(try await isOnline(store, 1_200))
                let dying = self.store(redis, lease: .milliseconds(1))
                #expect(try await dying.apply(node.heartbeat()) == .applied)
                try await eventually("all are offline") {
                    // Three instances at once.
                    try await withThrowingTaskGroup { group in
                        for _ in 0..<3 {
                            group.addTask {
                                try await store.roster.sweep()
                                try await store.settle()
                                try await store.depart()
                            }
                        }
                        try await group.waitForAll()
                    }
                    return changes.withLockedValue { $0.count { !$0.online } } >= 1_200
                }
                #expect(changes.withLockedValue { $0.count { !$0.online } } == 1_200)
                #expect(changes.withLockedValue { $0.count { $0.online } } == 1_200)
            }
        }
    }

    @Test func aNodeThatLeftIsNotWaitedFor() async throws {
        try await withRedis { _, redis in
            let store = store(redis, lease: .seconds(60), grace: .milliseconds(1))
            var node = ReportingNode("chat-1", epoch: 7)
            _ = node.join([(1, 11)])
            #expect(try await store.apply(node.snapshot()) == .applied)
            try await store.roster.end(node: "chat-1", epoch: 7)
            try await eventually("offline") {
                try await store.roster.sweep()
                try await store.settle()
                try await store.depart()
                return try await !isOnline(store, 1)
            }
        }
    }

    @Test func whoseReportWasCutShortIsLookedAtLater() async throws {
        try await withRedis { _, redis in
            let store = store(redis)
            var node = ReportingNode("chat-1")
            _ = node.join([(1, 11)])
            // The instance dies after the roster has it and before it derived anything.
            #expect(try await store.roster.apply(node.snapshot()) == .applied)
            #expect(try await !isOnline(store, 1))
            try await store.settle()
            #expect(try await isOnline(store, 1))
        }
    }
}

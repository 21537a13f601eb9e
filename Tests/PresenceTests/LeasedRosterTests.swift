import ChatModel
import Protocol
import Redis
import Roster
import TestServers
import Testing

@Suite struct LeasedRosterTests {
    private func roster(_ redis: RedisClient, lease: Duration = .seconds(5), tracks: Bool = false) -> LeasedRoster {
        var configuration = LeasedRoster.Configuration(prefix: "test", tracksUsers: tracks)
        configuration.lease = lease
        configuration.chunk = 100
        return LeasedRoster(configuration: configuration, redis: redis)
    }

    private func user(_ id: UInt64) -> UserID { UserID(rawValue: id) }

    @Test func changesAreOnTopOfASnapshot() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis)
            var node = ReportingNode("chat-1")
            #expect(try await roster.apply(node.join([(1, 11)])) == .snapshotNeeded)
            #expect(try await roster.apply(node.snapshot()) == .applied)
            let joined = node.join([(1, 12), (2, 21)])
            #expect(try await roster.apply(joined) == .applied)
            #expect(try await roster.apply(joined) == .applied, "a repeated report is done already")
            #expect(try await roster.apply(node.heartbeat()) == .applied)

            let found = try await roster.connections(of: user(1))
            #expect(found.map(\.device.rawValue) == [11, 12])
            #expect(found.map(\.handle) == [1, 2])
            #expect(found.allSatisfy { $0.node == "chat-1" && $0.incarnation == 1 && $0.epoch == 10 })
            #expect(found.first?.since == 1_700_000_000_001)

            #expect(try await roster.apply(node.leave([1, 3])) == .applied)
            #expect(try await roster.connections(of: user(1)).map(\.handle) == [2])
            #expect(try await roster.connections(of: user(2)).isEmpty)
            #expect(try await redis.send("EXISTS", "test:user:2").int == 0, "nothing is left of who has gone")

            // One that was missed.
            _ = node.join([(3, 31)])
            #expect(try await roster.apply(node.join([(4, 41)])) == .snapshotNeeded)
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(3)).count == 1)
            #expect(try await roster.connections(of: user(4)).count == 1)
        }
    }

    @Test func aLargeSnapshotReplacesAtOnce() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis)
            var node = ReportingNode("chat-1")
            _ = node.join(
                (0..<2_500).map { (index: UInt64) -> (user: UInt64, device: UInt64) in (index / 2 + 1, index + 1) })
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(7)).count == 2)
            // Pages of a node, in the order of handles.
            var seen: [UInt32] = []
            while true {
                let page = try await roster.connections(on: "chat-1", after: seen.last, limit: 700)
                if page.isEmpty { break }
                seen += page.map(\.handle)
            }
            #expect(seen == Array(1...2_500))

            let gone = Array(UInt32(1)...1_300)
            for handle in gone { node.connections[handle] = nil }
            node.revision += 5
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(7)).isEmpty)
            #expect(try await roster.connections(of: user(1000)).count == 2)
            #expect(try await roster.sweep() == 2_500, "the old view is removed")
            #expect(try await roster.connections(of: user(1000)).count == 2)
            #expect(try await redis.send("EXISTS", "test:user:7").int == 0)
            #expect(try await roster.nodes() == ["chat-1"])

            // A large change is applied in chunks as well.
            let many = (0..<450).map { (index: UInt64) -> (user: UInt64, device: UInt64) in (9_000, index + 1) }
            #expect(try await roster.apply(node.join(many)) == .applied)
            #expect(try await roster.connections(of: user(9_000)).count == 450)
            #expect(try await roster.apply(node.leave(Array(UInt32(2_501)...2_750))) == .applied)
            #expect(try await roster.connections(of: user(9_000)).count == 200)
        }
    }

    @Test func whatADeadNodeHeldIsVoidAfterItsLease() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis, tracks: true)
            var node = ReportingNode("chat-1")
            _ = node.join([(1, 11), (2, 21)])
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(1)).count == 1)
            #expect(try await self.roster(redis, lease: .milliseconds(1)).apply(node.heartbeat()) == .applied)
            try await eventually("the lease ends") { try await roster.connections(of: user(1)).isEmpty }
            #expect(try await roster.connections(on: "chat-1", after: nil, limit: 10).isEmpty)
            #expect(try await roster.holder(of: "chat-1") == nil)
            _ = try await redis.send("DEL", "test:touched")
            #expect(try await roster.sweep() == 2)
            #expect(try await roster.sweep() == 0)
            #expect(try await redis.send("SCARD", "test:touched").int == 2, "their users are looked at again")
            #expect(try await redis.send("KEYS", "test:user:*").array?.isEmpty == true)
            #expect(try await redis.send("KEYS", "test:entries:*").array?.isEmpty == true)

            // It lives after all.
            #expect(try await roster.apply(node.heartbeat()) == .snapshotNeeded)
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(1)).count == 1)
        }
    }

    @Test func aReplacedProcessCannotComeBack() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis)
            var old = ReportingNode("chat-1", incarnation: 1, epoch: 10)
            _ = old.join([(1, 11)])
            #expect(try await roster.apply(old.snapshot()) == .applied)

            var new = ReportingNode("chat-1", incarnation: 2, epoch: 20)
            #expect(try await roster.apply(new.heartbeat()) == .snapshotNeeded)
            _ = new.join([(2, 21)])
            #expect(try await roster.apply(new.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(1)).isEmpty, "the old process' entries are void at once")
            #expect(try await roster.connections(of: user(2)).map(\.incarnation) == [2])

            #expect(try await roster.apply(old.snapshot()) == .stale)
            #expect(try await roster.apply(old.join([(3, 31)])) == .stale)
            #expect(try await roster.connections(of: user(3)).isEmpty)
            let holder = try await roster.holder(of: "chat-1")
            #expect(holder?.incarnation == 2 && holder?.epoch == 20)

            // One without a registration doesn't replace a living one that has one.
            let without = ReportingNode("chat-1", incarnation: 3, epoch: 0)
            #expect(try await roster.apply(without.snapshot()) == .stale)
            // The same process registered anew, even where ZooKeeper began anew.
            new.epoch = 5
            #expect(try await roster.apply(new.heartbeat()) == .applied)
        }
    }

    @Test func anEndedLeaseNeedsASnapshot() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis)
            var node = ReportingNode("chat-1", epoch: 10)
            _ = node.join([(1, 11)])
            #expect(try await roster.apply(node.snapshot()) == .applied)
            try await roster.end(node: "chat-1", epoch: 9)
            #expect(try await roster.connections(of: user(1)).count == 1, "an earlier registration's end is no news")
            try await roster.end(node: "chat-1", epoch: 10)
            #expect(try await roster.connections(of: user(1)).isEmpty)
            #expect(try await roster.apply(node.heartbeat()) == .snapshotNeeded)
        }
    }

    @Test func anEmptiedRedisIsFilledAgain() async throws {
        try await withRedis { server, redis in
            let roster = roster(redis)
            var node = ReportingNode("chat-1")
            _ = node.join([(1, 11)])
            #expect(try await roster.apply(node.snapshot()) == .applied)
            await server.kill()
            await #expect(throws: RedisError.self) { try await roster.apply(node.heartbeat()) }
            try await server.start()
            try await eventually("Redis answers") {
                try await roster.apply(node.heartbeat()) == .snapshotNeeded
            }
            #expect(try await roster.connections(of: user(1)).isEmpty)
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.connections(of: user(1)).count == 1)
        }
    }

    @Test func identifiersOf63BitsStayExact() async throws {
        try await withRedis { _, redis in
            let roster = roster(redis)
            let (large, device) = (UInt64(Int64.max), UInt64(Int64.max) - 1)
            var node = ReportingNode("chat-1.example", incarnation: UInt64.max, epoch: Int64.max)
            node.revision = UInt64.max - 2
            _ = node.join([(large, device)])
            #expect(try await roster.apply(node.snapshot()) == .applied)
            #expect(try await roster.apply(node.join([(large - 1, device)])) == .applied)
            let found = try await roster.connections(of: user(large))
            #expect(found.map(\.device.rawValue) == [device])
            #expect(found.first?.incarnation == UInt64.max && found.first?.epoch == Int64.max)
            #expect(try await roster.connections(of: user(large - 1)).count == 1)
        }
    }

    @Test func aNameThatIsNoNodesIsRefused() async throws {
        try await withRedis { _, redis in
            for name in ["", "a/b", "a|b", "a b", String(repeating: "x", count: 200)] {
                let outcome = try await roster(redis).apply(ReportingNode(name).snapshot())
                #expect(outcome == .stale)
            }
        }
    }
}

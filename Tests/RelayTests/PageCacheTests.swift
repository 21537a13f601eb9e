import Logging
import NIOConcurrencyHelpers
import Postgres
import Protocol
import RPC
import Redis
import Relay
import TestServers
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct PageCacheTests {
        @Test func aPageIsFoundAtItsHeadAndNeverAtAnother() async throws {
            try await run { bench, redis, _ in
                try await bench.group(11, [1, 2])
                let scribe = Scribe(bench)
                for index in 1...60 { try await bench.send(11, from: 1, "m\(index)") }
                let fresh = try await bench.history(11, user: 2)
                try await eventually { try await redis.fields(11) == ["60"] }
                // From Redis: the log can't have it any more.
                _ = try await bench.database.query("UPDATE relay.events SET body = NULL")
                #expect(try await bench.history(11, user: 2) == fresh)
                #expect(fresh.messages.count == 50 && fresh.more)
                #expect(fresh.messages.allSatisfy { $0.event.clientID.isEmpty && $0.event.hasBody })
                #expect(try await bench.history(11, user: 1).messages.first?.event.clientID == "m60")
                #expect(try await bench.history(11, user: 1, limit: 100).messages.first?.event.hasBody == false)
                await expectFailure(.forbidden) { try await bench.history(11, user: 3) }
                // Whoever joins sees nothing from before, and their joining is a new head.
                try await scribe.change(11, 3, .joined)
                try await bench.send(11, from: 1, "m61")
                #expect(try await bench.history(11, user: 3).messages.map(\.event.seq) == [62])
                try await eventually { try await redis.fields(11) == ["62"] }
                #expect(try await bench.history(11, user: 3).messages.map(\.event.seq) == [62])
                let changes = try await bench.history(11, user: 3, changes: true)
                #expect(changes.messages.map(\.event.seq) == [62, 61])
                try await eventually { try await redis.fields(11) == ["62", "62+"] }
                #expect(try await bench.history(11, user: 3, changes: true) == changes)
                // Who was removed reads up to there.
                try await scribe.change(11, 3, .removed)
                try await bench.send(11, from: 1, "m62")
                #expect(try await bench.history(11, user: 1).messages.first?.event.seq == 64)
                #expect(try await bench.history(11, user: 3).messages.map(\.event.seq) == [62])
            }
        }

        /// Whatever changes what a page shows, the next one has it.
        @Test func whatWasCommittedIsSeenAtOnce() async throws {
            try await run(relays: 2) { bench, redis, _ in
                let id = try await bench.direct(1, 2)
                let scribe = Scribe(bench)
                try await bench.send(id, from: 1, "m1", text: "0")
                let committed = NIOLockedValueBox(0)
                try await withThrowingTaskGroup { group in
                    for reader in 0..<4 {
                        group.addTask {
                            while true {
                                let before = committed.withLockedValue { $0 }
                                let page = try await bench.history(id, user: 2, on: reader % 2)
                                let text = page.messages.first?.event.body.text ?? ""
                                #expect((Int(text) ?? -1) >= before)
                                if before == 150 { return }
                            }
                        }
                    }
                    for version in 1...150 {
                        try await scribe.edit(id, 1, by: 1, "\(version)")
                        committed.withLockedValue { $0 = version }
                    }
                    try await group.waitForAll()
                }
                try await eventually {
                    _ = try await bench.history(id, user: 2)
                    return try await redis.fields(id) == ["151"]
                }
                try await scribe.react(id, 1, by: 2, "👍")
                #expect(try await bench.history(id, user: 1).messages.first?.reactions.map(\.users) == [[2]])
                try await scribe.react(id, 1, by: 2, "👍", removed: true)
                #expect(try await bench.history(id, user: 1).messages.first?.reactions.isEmpty == true)
                try await scribe.delete(id, 1, by: 1)
                #expect(try await bench.history(id, user: 1).messages.first?.deleted == true)
            }
        }

        /// A deleted text is not only not shown: it isn't there.
        @Test func whatIsTakenBackLeavesRedis() async throws {
            try await run { bench, redis, _ in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "m1", text: "a secret")
                _ = try await bench.history(id, user: 2)
                try await eventually { try await redis.text(id).contains("a secret") }
                let late = try #require(try await Self.page(bench, id))
                try await bench.amend(id, 1, from: 1, .delete)
                try await eventually { try await !redis.text(id).contains("a secret") }
                // Who read it before and keeps it late is refused.
                let cache = PageCache(redis: redis.client, logger: redis.logger)
                try await withThrowingTaskGroup { group in
                    group.addTask { await cache.run() }
                    defer { group.cancelAll() }
                    cache.keep(late, changes: false)
                    let other = CachedPage(conversation: 5, head: 1, activeAt: 1, messages: [])
                    cache.keep(other, changes: false)
                    try await eventually { try await redis.fields(5) == ["1"] }
                }
                #expect(try await !redis.text(id).contains("a secret"))
            }
        }

        @Test func historyGoesOnWhateverRedisDoes() async throws {
            try await run { bench, redis, server in
                let id = try await bench.direct(1, 2)
                for index in 1...5 { try await bench.send(id, from: 1, "m\(index)") }
                let expected = try await bench.history(id, user: 2)
                try await eventually { try await redis.fields(id) == ["5"] }
                // What is there is not a page, or not even a hash.
                let key = RedisArgument("roost:v1:page:\(id)")
                try await redis.client.send("HSET", key, "5", "nonsense")
                #expect(try await bench.history(id, user: 2) == expected)
                try await eventually { try await redis.text(id) != "nonsense" }
                try await redis.client.send("SET", key, "nonsense")
                #expect(try await bench.history(id, user: 2) == expected)
                try await eventually { (try? await redis.fields(id)) == ["5"] }
                try await redis.client.send("HSET", key, "other", "nonsense")
                try await bench.send(id, from: 1, "m6")
                #expect(try await bench.history(id, user: 2).messages.count == 6)
                try await eventually { try await redis.fields(id) == ["6"] }

                // It hangs: one request waits for it, the others don't.
                server.pause()
                let clock = ContinuousClock()
                let start = clock.now
                #expect(try await bench.history(id, user: 2).messages.count == 6)
                #expect(clock.now - start < .milliseconds(1000))
                for _ in 0..<5 {
                    let start = clock.now
                    #expect(try await bench.history(id, user: 2).messages.count == 6)
                    #expect(clock.now - start < .milliseconds(100))
                }
                // What is deleted meanwhile is taken out as soon as it goes on.
                try await bench.amend(id, 1, from: 1, .delete)
                server.resume()
                try await eventually { (try? await redis.fields(id)) == ["7"] }
                #expect(try await bench.history(id, user: 2).messages.last?.deleted == true)

                await server.kill()
                for _ in 0..<5 { #expect(try await bench.history(id, user: 2).messages.count == 6) }
                try await server.start()
                try await eventually {
                    _ = try await bench.history(id, user: 2)
                    return (try? await redis.fields(id)) == ["7"]
                }
            }
        }

        private static func page(_ bench: Bench, _ id: UInt64) async throws -> CachedPage? {
            guard
                case .seen((_, let page)) = try await bench.relay.store.newest(
                    conversation: id, user: 1, limit: CachedPage.capacity, changes: false)
            else { return nil }
            return page
        }

        private func run(
            relays: Int = 1, _ body: (Bench, Reader, RedisServer) async throws -> Void
        ) async throws {
            try await RedisServer.withServer { server in
                let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
                let client = RedisClient(configuration: RedisConfiguration(address: server.address), logger: logger)
                try await withThrowingTaskGroup { group in
                    group.addTask { await client.run() }
                    defer { group.cancelAll() }
                    try await Bench.run(relays: relays, redis: server.address) { bench in
                        // Each relay's own connection, too.
                        for relay in bench.relays { try await eventually { relay.pages?.isUsable == true } }
                        try await body(bench, Reader(client: client, logger: logger), server)
                    }
                }
            }
        }

        /// What is in Redis.
        struct Reader: Sendable {
            var client: RedisClient
            var logger: Logger

            func fields(_ conversation: UInt64) async throws -> [String] {
                try await client.send("HKEYS", RedisArgument("roost:v1:page:\(conversation)")).array?
                    .compactMap(\.string).sorted() ?? []
            }

            func text(_ conversation: UInt64) async throws -> String {
                try await client.send("HVALS", RedisArgument("roost:v1:page:\(conversation)")).array?
                    .compactMap(\.string).joined() ?? ""
            }
        }
    }
}

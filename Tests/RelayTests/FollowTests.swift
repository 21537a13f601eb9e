import NIOCore
import Postgres
import Protocol
import RPC
import Relay
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct FollowTests {
        @Test func everyEventComesOnceWhateverTheShards() async throws {
            try await Bench.run { bench in
                let ids = try await conversations(bench, 6)
                for round in 0..<10 {
                    for id in ids { try await bench.send(id, from: 1, "\(id)-\(round)", text: "\(round)") }
                }
                for shards in [UInt32(0), 1, 3] {
                    var seen: [[UInt64]] = []
                    for shard in 0..<max(shards, 1) {
                        var after = RelayLogPosition()
                        while true {
                            let page = try await follow(bench, after, shards: shards, shard: shard, limit: 7)
                            #expect(page.events.count <= 7)
                            if shards > 0 {
                                #expect(page.events.allSatisfy { ($0.conversation >> 1) % UInt64(shards) == shard })
                            }
                            seen += page.events.map { [$0.conversation, $0.seq] }
                            after = page.next
                            if !page.more { break }
                        }
                        let rest = try await follow(bench, after, shards: shards, shard: shard)
                        #expect(rest.events.isEmpty && !rest.more)
                    }
                    #expect(seen.count == 60 && Set(seen).count == 60)
                    for id in ids { #expect(seen.filter { $0[0] == id }.map { $0[1] } == Array(1...10)) }
                }
                // Several at once.
                var request = RelayFollowRequest()
                request.shardCount = 3
                request.shards = [0, 2]
                let some = try await bench.relay.follow(request, context: bench.context(deadline: nil)).events
                #expect(some.count == 10 * ids.filter { ($0 >> 1) % 3 != 1 }.count)
                #expect(some.allSatisfy { ($0.conversation >> 1) % 3 != 1 })
            }
        }

        /// The first transaction to begin is the last to commit: what the later one wrote is not handed out before it.
        @Test func whatCommitsLateIsNotSkipped() async throws {
            try await Bench.run { bench in
                let ids = try await conversations(bench, 2)
                try await bench.send(ids[0], from: 1, "before")
                let before = try await follow(bench, RelayLogPosition()).next
                let late = try await bench.database.withConnection { connection in
                    _ = try await connection.query("BEGIN")
                    _ = try await connection.query(Self.insert, [.int8(Int64(ids[0]))])
                    // Younger, and committed.
                    try await bench.send(ids[1], from: 1, "after")
                    let meanwhile = try await follow(bench, before)
                    #expect(meanwhile.events.isEmpty && !meanwhile.more)
                    let after = meanwhile.next
                    // Who asks before it ends waits for it.
                    async let woken = follow(bench, after, wait: 10_000)
                    try await Task.sleep(for: .milliseconds(50))
                    _ = try await connection.query("COMMIT")
                    return try await woken
                }
                #expect(late.events.map(\.conversation) == [ids[0], ids[1]])
                #expect(late.events.map(\.seq) == [2, 1])
                #expect(try await follow(bench, late.next).events.isEmpty)
            }
        }

        /// A transaction that is taken back holds up what is younger no longer than it lasts.
        @Test func whatIsRolledBackIsNeverHandedOut() async throws {
            try await Bench.run { bench in
                let ids = try await conversations(bench, 2)
                try await bench.database.withConnection { connection in
                    _ = try await connection.query("BEGIN")
                    _ = try await connection.query(Self.insert, [.int8(Int64(ids[0]))])
                    try await bench.send(ids[1], from: 1, "after")
                    #expect(try await follow(bench, RelayLogPosition()).events.isEmpty)
                    _ = try await connection.query("ROLLBACK")
                }
                let found = try await follow(bench, RelayLogPosition())
                #expect(found.events.map(\.conversation) == [ids[1]])
            }
        }

        @Test func aFollowerIsWokenByACommitHereAndElsewhere() async throws {
            try await Bench.run(relays: 2) { bench in
                let id = try await conversations(bench, 1)[0]
                var after = try await follow(bench, RelayLogPosition()).next
                for relay in 0..<2 {
                    let start = ContinuousClock.now
                    let place = after
                    async let found = follow(bench, place, wait: 10_000)
                    try await Task.sleep(for: .milliseconds(30))
                    try await bench.send(id, from: 1, "\(relay)", on: relay)
                    let page = try await found
                    #expect(page.events.map(\.seq) == [UInt64(relay + 1)])
                    #expect(ContinuousClock.now - start < .seconds(5))
                    after = page.next
                }
                // Nothing comes: the wait ends, also when the caller's time does.
                let start = ContinuousClock.now
                #expect(try await follow(bench, after, wait: 300).events.isEmpty)
                #expect(ContinuousClock.now - start >= .milliseconds(300))
                let end = NIODeadline.now() + .milliseconds(600)
                #expect(try await follow(bench, after, wait: 10_000, deadline: end).events.isEmpty)
                #expect(NIODeadline.now() < end)
            }
        }

        /// What other shards had is not looked at again.
        @Test func anIdleShardMovesOn() async throws {
            try await Bench.run { bench in
                let ids = try await conversations(bench, 1)
                let shard = UInt32(ids[0] >> 1 & 1)
                for index in 0..<50 { try await bench.send(ids[0], from: 1, "\(index)") }
                let idle = try await follow(bench, RelayLogPosition(), shards: 2, shard: 1 - shard)
                #expect(idle.events.isEmpty && !idle.more && idle.next.transaction > 0)
                let newest = try await follow(bench, RelayLogPosition(), shards: 2, shard: shard).next
                #expect(idle.next.transaction >= newest.transaction)
                // Much of others' in between: in steps.
                var steps = 0
                var after = RelayLogPosition()
                while true {
                    let page = try await follow(bench, after, shards: 2, shard: 1 - shard, limit: 5)
                    steps += 1
                    after = page.next
                    #expect(page.events.isEmpty)
                    if !page.more { break }
                }
                #expect(steps > 1)
            }
        }

        @Test func itIsThePresentStateThatIsHandedOut() async throws {
            try await Bench.run { bench in
                let id = try await conversations(bench, 1)[0]
                let scribe = Scribe(bench)
                try await bench.send(id, from: 1, "1", text: "first")
                try await bench.send(id, from: 1, "2", text: "second")
                try await scribe.edit(id, 1, by: 1, "edited")
                try await scribe.delete(id, 2, by: 1)
                let events = try await follow(bench, RelayLogPosition()).events
                #expect(events.map(\.kind) == [.message, .message, .edit, .delete])
                #expect(events[0].body.text == "edited")
                #expect(events[1].deleted && !events[1].hasBody)
                await expectFailure(.invalid) { try await follow(bench, RelayLogPosition(), shards: 2, shard: 2) }
            }
        }

        private static let insert: Statement = """
            WITH moved AS (
                UPDATE relay.conversations SET head = head + 1, ordinal = ordinal + 1 WHERE id = $1
                RETURNING id, head, ordinal
            )
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind)
            SELECT id, head, ordinal, 1, now(), 1 FROM moved
            """

        private func conversations(_ bench: Bench, _ count: UInt64) async throws -> [UInt64] {
            var ids: [UInt64] = []
            for peer in 2..<(2 + count) { ids.append(try await bench.direct(1, peer)) }
            return ids
        }

        private func follow(
            _ bench: Bench, _ after: RelayLogPosition, shards: UInt32 = 0, shard: UInt32 = 0, limit: UInt32 = 0,
            wait: UInt32 = 0, deadline: NIODeadline? = nil
        ) async throws -> RelayFollowResponse {
            var request = RelayFollowRequest()
            request.after = after
            request.shardCount = shards
            if shards > 0 { request.shards = [shard] }
            request.limit = limit
            request.waitMs = wait
            return try await bench.relay.follow(request, context: bench.context(deadline: deadline))
        }
    }
}

import Postgres
import Relay
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct PlanTests {
        /// Every statement, on filled tables, reaches its rows by the condition of an index.
        @Test func everyStatementUsesIndexes() async throws {
            try await Bench.run { bench in
                for fill in Self.fill { _ = try await bench.database.query(fill) }
                let ids = PostgresValue.int8s([5, 6])
                let texts = PostgresValue.textArray(["a", nil])
                let now = PostgresValue.timestamp(milliseconds: 1_800_000_000_000)
                let statements: [(Statement, [PostgresValue])] = [
                    (LogStatements.lock, [ids]),
                    (
                        LogStatements.append,
                        [
                            ids, ids, texts, .bytesArray([[1], nil]), now,
                        ]
                    ),
                    (
                        LogStatements.appendKnown,
                        [
                            ids, ids, ids, ids, ids, .timestampArray([1, 2]), ids, ids, ids, ids,
                            .timestampArray([1, 2]), texts, .bytesArray([[1], nil]), ids, ids, ids, ids, ids, ids,
                            .boolArray([true, false]),
                        ]
                    ),
                    (
                        LogStatements.amend,
                        [
                            ids, ids, texts, .int2Array([1, 2]), .bytesArray([[1], nil]), .int8Array([nil, 1]), texts,
                            .boolArray([false, false]), ids, .textArray(["{}", "{1,2}"]), now,
                        ]
                    ),
                    (LogStatements.makeGroup, [.int8(1), now]),
                    (
                        LogStatements.changeGroup,
                        [
                            .int8(1), .int8(2), .text("c"), .bytes([]), .bool(true), ids, .int2Array([1, 2]),
                            .int2Array([1, 1]), .bytesArray([[], []]), now,
                        ]
                    ),
                    (LogStatements.members, [ids, ids]),
                    (LogStatements.refused, [.int8(1), .int8(2)]),
                    (LogStatements.refuse, [.int8(1), .int8(2), .bool(true)]),
                    (LogStatements.addDevice, [.int8(1), .int8(2), .int8(100)]),
                    (LogStatements.findDirect, [.int8(1), .int8(2)]),
                    (LogStatements.makeDirect, [.int8(1), .int8(2), .int8(3), now]),
                    (ReadStatements.positionsOfAll, [ids, ids, .textArray(["{}", "{1,2}"])]),
                    (ReadStatements.positionsOfSome, [.int8(1), ids]),
                    (ReadStatements.ranges, [ids, ids, ids]),
                    (ReadStatements.window, [.int8(1), .int8(2)]),
                    (ReadStatements.before, [.int8(1), .int8(2), .int8(100), .int8(10), .bool(false), .bool(true)]),
                    (ReadStatements.after, [.int8(1), .int8(2), .int8(1), .int8(10), .bool(false), .bool(true)]),
                    (ReadStatements.newest, [.int8(1), .int8(2), .int8(51), .bool(true)]),
                    (ReadStatements.lookup, [.int8(1), ids, ids]),
                    (ReadStatements.conversations, [.int8(1), .int8(2), .int2(1), .int8(10), now, .int8(3)]),
                    (ReadStatements.pendingConversations, [.int8(1), .int8(2), .int2(1), .int8(10), now, .int8(3)]),
                    (ReadStatements.windows, [.int8(1), .int2(2)]),
                    (ReadStatements.windowOfOne, [.int8(1), .int8(2)]),
                    (ReadStatements.contacts, [.int8(1), ids]),
                    (
                        ReadStatements.follow,
                        [.text("1"), .int8(1), .int8(1), .int8(8), ids, .int8(100), .int8(1000)]
                    ),
                    (ReadStatements.conversation, [.int8(1), .int8(2), .int8(3)]),
                    (ReadStatements.receipts, [.int8(1), .int8(2)]),
                    (LogStatements.lockMembers, [ids, ids]),
                    (LogStatements.acknowledge, [ids, ids, ids, ids, ids]),
                    (LogStatements.mute, [.int8(1), .int8(2), now]),
                ]
                for (statement, parameters) in statements {
                    let plan = try await bench.relay.store.reads.query(
                        Statement("EXPLAIN (COSTS OFF) " + statement.sql), parameters)
                    let lines = try plan.rows.map { try $0.text(0) }
                    let text = lines.joined(separator: "\n")
                    #expect(!text.contains("Seq Scan"), "\(text)")
                    let scans = lines.filter { $0.contains("Index Scan") || $0.contains("Index Only Scan") }.count
                    #expect(scans == lines.filter { $0.contains("Index Cond") }.count, "\(text)")
                    #expect(!text.contains("Hash Join") && !text.contains("Merge Join"), "\(text)")
                }
            }
        }

        private static let fill: [Statement] = [
            """
            INSERT INTO relay.conversations (id, kind, head, ordinal, created_at, active_at)
            SELECT n, 1, 20, 20, now(), now() + n * interval '1 ms' FROM generate_series(1, 2000) n
            """,
            "INSERT INTO relay.members (conversation, user_id) SELECT n, n % 100 FROM generate_series(1, 2000) n",
            "INSERT INTO relay.members (conversation, user_id) SELECT n, 100 + n % 99 FROM generate_series(1, 2000) n",
            "INSERT INTO relay.directs SELECT n, 10000 + n, n FROM generate_series(1, 2000) n",
            """
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind, client_id, body)
            SELECT n, s, s, n % 100, now(), 1, n || '-' || s, '\\x00' FROM generate_series(1, 2000) n, generate_series(1, 20) s
            """,
            """
            INSERT INTO relay.events (conversation, seq, ordinal, sender, sent_at, kind, target, emoji)
            SELECT n, s, 20, n % 100, now(), 4, s - 20, 'x' FROM generate_series(1, 2000) n, generate_series(21, 25) s
            """,
            "INSERT INTO relay.sends SELECT sender, conversation, seq, client_id FROM relay.events WHERE kind = 1",
            "INSERT INTO relay.cursors SELECT n % 100, 1, n, 5 FROM generate_series(1, 2000) n",
            """
            INSERT INTO relay.reactions SELECT n, s, u, s, false, 'x'
            FROM generate_series(1, 200) n, generate_series(1, 20) s, generate_series(1, 5) u
            """,
            "INSERT INTO relay.mentions SELECT n, n % 100, s FROM generate_series(1, 2000) n, generate_series(1, 3) s",
            """
            ANALYZE relay.conversations, relay.members, relay.directs, relay.events, relay.sends, relay.cursors,
                relay.reactions, relay.mentions
            """,
        ]
    }
}

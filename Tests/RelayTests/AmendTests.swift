import NIOCore
import Postgres
import Protocol
import RPC
import Relay
import SwiftProtobuf
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct AmendTests {
        @Test func anEditChangesItsTargetAndCountsOnce() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.attach("a", [1])
                try await bench.attach("b", [2])
                try await bench.send(id, from: 1, "1", text: "first")
                try await bench.send(id, from: 2, "1")
                let edit = try await bench.amend(id, 1, from: 1, .edit, ref: "r", text: "second")
                #expect(edit.seq == 3 && !edit.duplicate)
                let again = try await bench.amend(id, 1, from: 1, .edit, ref: "r", text: "second")
                #expect(again.seq == 3 && again.duplicate && again.sentAtMs == edit.sentAtMs)
                // Refs start again in a client that does: another text is another edit.
                #expect(try await bench.amend(id, 1, from: 1, .edit, ref: "r", text: "third").seq == 4)
                // Without one only what changes nothing is a repetition.
                #expect(try await bench.amend(id, 1, from: 1, .edit, text: "second").seq == 5)
                #expect(try await bench.amend(id, 1, from: 1, .edit, text: "second").duplicate)
                #expect(try await bench.amend(id, 1, from: 1, .edit, text: "third").seq == 6)
                #expect(try await text(bench, id, 1) == "third")
                #expect(try await text(bench, id, 4) == "third")
                await expectFailure(.forbidden) { try await bench.amend(id, 1, from: 2, .edit, text: "mine") }
                await expectFailure(.forbidden) { try await bench.amend(id, 1, from: 3, .edit, text: "mine") }
                await expectFailure(.notFound) { try await bench.amend(id, 9, from: 1, .edit, text: "x") }
                await expectFailure(.notFound) { try await bench.amend(id, 3, from: 1, .edit, text: "x") }
                await expectFailure(.notFound) { try await bench.amend(77, 3, from: 1, .edit, text: "x") }
                await expectFailure(.invalid) { try await bench.amend(id, 0, from: 1, .edit, text: "x") }
                try await eventually { bench.pushed.deliveries("b").map(\.event.seq).contains(6) }
                let pushed = try #require(bench.pushed.deliveries("b").first { $0.event.seq == 3 }?.event)
                #expect(pushed.kind == .edit && pushed.target == 1 && pushed.body.text == "second")
                #expect(pushed.clientID.isEmpty)
                #expect(bench.pushed.deliveries("a").first { $0.event.seq == 3 }?.event.clientID == "r")
                // Only messages are counted.
                #expect(try await value(bench, "SELECT ordinal FROM relay.conversations") == 2)
                #expect(try await value(bench, "SELECT count(*) FROM relay.sends") == 2)
                try await expectNoGaps(bench)
            }
        }

        @Test func anOldMessageCanNoLongerBeEdited() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "1")
                #expect(try await bench.amend(id, 1, from: 1, .edit, ref: "r", text: "a", within: 60_000).seq == 2)
                _ = try await bench.database.query("UPDATE relay.events SET sent_at = sent_at - interval '2 min'")
                await expectFailure(.forbidden) {
                    try await bench.amend(id, 1, from: 1, .edit, ref: "s", text: "b", within: 60_000)
                }
                // What was done in time is answered in time.
                #expect(
                    try await bench.amend(id, 1, from: 1, .edit, ref: "r", text: "a", within: 60_000).duplicate)
                #expect(try await bench.amend(id, 1, from: 1, .edit, ref: "s", text: "b").seq == 3)
            }
        }

        @Test func whatIsDeletedIsGoneEverywhere() async throws {
            try await Bench.run { bench in
                try await bench.change(
                    11, "make", create: true, name: "g",
                    [(1, .joined, .owner), (2, .joined, .admin), (3, .joined, .member), (4, .joined, .member)])
                try await bench.send(11, from: 3, "1", text: "secret", mentions: [4])
                try await bench.amend(11, 6, from: 3, .edit, ref: "r", text: "secret too", mentions: [4])
                try await bench.amend(11, 6, from: 4, .reaction, emoji: "👍")
                await expectFailure(.forbidden) { try await bench.amend(11, 6, from: 4, .delete) }
                let deletion = try await bench.amend(11, 6, from: 2, .delete)
                #expect(deletion.seq == 9)
                let again = try await bench.amend(11, 6, from: 3, .delete)
                #expect(again.seq == 9 && again.duplicate)
                #expect(
                    try await value(
                        bench,
                        """
                        SELECT count(*) FROM relay.events WHERE seq IN (6, 7) AND body IS NULL AND deleted_at IS NOT NULL
                        """) == 2)
                #expect(try await value(bench, "SELECT count(*) FROM relay.reactions") == 0)
                #expect(try await value(bench, "SELECT count(*) FROM relay.mentions") == 0)
                await expectFailure(.conflict) { try await bench.amend(11, 6, from: 3, .edit, text: "back") }
                await expectFailure(.conflict) { try await bench.amend(11, 6, from: 4, .reaction, emoji: "👍") }
                // In a direct conversation there are no admins.
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "d")
                await expectFailure(.forbidden) { try await bench.amend(id, 1, from: 2, .delete) }
                #expect(try await bench.amend(id, 1, from: 1, .delete).seq == 2)
            }
        }

        @Test func reactionsAreSetAndTakenBack() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "1")
                #expect(try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍").seq == 2)
                #expect(try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍").duplicate)
                #expect(try await bench.amend(id, 1, from: 2, .reaction, emoji: "🎉").seq == 3)
                #expect(try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍", removed: true).seq == 4)
                let again = try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍", removed: true)
                #expect(again.seq == 4 && again.duplicate)
                await expectFailure(.notFound) {
                    try await bench.amend(id, 1, from: 1, .reaction, emoji: "👍", removed: true)
                }
                #expect(try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍").seq == 5)
                #expect(try await value(bench, "SELECT count(*) FROM relay.reactions WHERE NOT removed") == 2)
                await expectFailure(.invalid) { try await bench.amend(id, 1, from: 1, .reaction) }
                try await expectNoGaps(bench)
            }
        }

        @Test func mentionsAreOfOtherMembersAndAnEditReplacesThem() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2, 3, 4])
                try await bench.send(11, from: 1, "1", mentions: [1, 2, 3, 9, 2])
                #expect(try await mentioned(bench) == [2, 3])
                #expect(try await bench.send(11, from: 1, "1", mentions: [4]).duplicate)
                #expect(try await mentioned(bench) == [2, 3])
                try await bench.amend(11, 1, from: 1, .edit, text: "x", mentions: [3, 4])
                #expect(try await mentioned(bench) == [3, 4])
                try await bench.amend(11, 1, from: 1, .edit, text: "y")
                #expect(try await mentioned(bench) == [])
                #expect(try await value(bench, "SELECT count(*) FROM relay.mentions WHERE seq <> 1") == 0)
            }
        }

        /// A hundred requests for one message that arrive together are one batch or a few: they are done one after the other
        /// all the same.
        @Test func editsAndDeletesInOneBatchKeepTheirOrder() async throws {
            try await Bench.run(relays: 2) { bench in
                let id = try await bench.direct(1, 2)
                for round in UInt64(0)..<10 {
                    let target = try await bench.send(id, from: 1, "\(round)").seq
                    let conflicts = try await withThrowingTaskGroup(of: Int.self) { group in
                        for index in 0..<40 {
                            group.addTask {
                                do {
                                    switch index {
                                    case 20, 30:
                                        try await bench.amend(id, target, from: 1, .delete, on: index % 2)
                                    case 5..<15:
                                        try await bench.amend(
                                            id, target, from: 2, .reaction, emoji: "\(index % 3)",
                                            removed: index % 2 == 0, on: index % 2)
                                    default:
                                        try await bench.amend(
                                            id, target, from: 1, .edit, ref: "\(round)-\(index)", text: "\(index)",
                                            on: index % 2)
                                    }
                                    return 0
                                } catch let error as RPCError {
                                    #expect(error.code == .conflict || error.code == .notFound)
                                    return 1
                                }
                            }
                        }
                        return try await group.reduce(0, +)
                    }
                    // One deletion counts, whatever came before it is gone, and nothing comes after it.
                    let result = try await bench.database.query(
                        """
                        SELECT count(*) FILTER (WHERE kind = 3), count(*) FILTER (WHERE body IS NOT NULL),
                            max(seq) FILTER (WHERE kind = 3) = max(seq), count(*)
                        FROM relay.events WHERE seq = $1 OR target = $1
                        """, [.int8(Int64(target))])
                    let row = try #require(result.rows.first)
                    #expect(try row.int8(0) == 1)
                    #expect(try row.int8(1) == 0)
                    #expect(try row.bool(2))
                    #expect(try row.int8(3) >= 2 && conflicts >= 0)
                }
                #expect(try await value(bench, "SELECT count(*) FROM relay.reactions") == 0)
                try await expectNoGaps(bench)
            }
        }

        @Test func whatTheSameCommitDeletesIsPushedWithoutItsText() async throws {
            var requests: [RelayAppendRequest] = []
            for kind in [LogEventKind.edit, .reaction, .delete, .message] {
                var request = RelayAppendRequest()
                request.conversation = 2
                request.sender = 1
                request.kind = kind
                if kind != .message { request.target = 1 }
                if kind == .edit || kind == .message { request.body.text = "text" }
                if kind == .reaction { request.emoji = "👍" }
                requests.append(request)
            }
            let batch = AppendBatch(requests)
            // A user's last message stays behind what they did before it.
            #expect(batch.rounds == [[], [0], [1], [2, 3]])
            let outcomes = (UInt64(2)...5).map {
                AppendOutcome(verdict: .stored, conversation: 2, seq: $0, sentAt: 1, membership: 1)
            }
            let events = batch.pushes(outcomes).stored.map(\.event)
            #expect(events.map(\.seq) == [2, 3, 4, 5])
            #expect(events[0].deleted && !events[0].hasBody)
            #expect(!events[3].deleted && events[3].body.text == "text")
        }

        @Test func whoIsRefusedCannotWriteButTakeBack() async throws {
            try await Bench.run { bench in
                try await bench.attach("a", [1, 2])
                try await bench.block(1, 2)
                let id = try await bench.direct(1, 2)
                await expectFailure(.forbidden) { try await bench.send(id, from: 2, "1") }
                try await bench.send(id, from: 1, "1")
                await expectFailure(.forbidden) { try await bench.amend(id, 1, from: 2, .reaction, emoji: "👍") }
                await expectFailure(.forbidden) { try await bench.send(id, from: 2, "2", mentions: [1]) }
                try await bench.block(1, 2, false)
                try await bench.send(id, from: 2, "1", text: "mine")
                try await bench.amend(id, 2, from: 2, .reaction, emoji: "👍")
                try await bench.block(1, 2)
                // What was said before is still known as said.
                #expect(try await bench.send(id, from: 2, "1").duplicate)
                await expectFailure(.forbidden) { try await bench.amend(id, 2, from: 2, .edit, text: "x") }
                try await bench.amend(id, 2, from: 2, .reaction, emoji: "👍", removed: true)
                try await bench.amend(id, 2, from: 2, .delete)
                var typing = RelayTypingRequest()
                typing.conversation = id
                typing.user = 2
                typing.active = true
                _ = try await bench.relay.typing(typing, context: bench.context())
                typing.user = 1
                _ = try await bench.relay.typing(typing, context: bench.context())
                try await eventually { !bench.pushed.typings("a").isEmpty }
                #expect(bench.pushed.typings("a").map(\.user) == [1])
                await expectFailure(.invalid) { try await bench.block(1, 1) }
                // Nothing is made to unblock a stranger.
                try await bench.block(7, 8, false)
                #expect(try await value(bench, "SELECT count(*) FROM relay.directs") == 1)
            }
        }

        private func text(_ bench: Bench, _ conversation: UInt64, _ seq: UInt64) async throws -> String? {
            let result = try await bench.database.query(
                "SELECT body FROM relay.events WHERE conversation = $1 AND seq = $2",
                [.int8(Int64(conversation)), .int8(Int64(seq))])
            guard let bytes = try result.rows.first?.optionalBytes(0) else { return nil }
            return try LogBody(serializedBytes: bytes).text
        }

        private func mentioned(_ bench: Bench) async throws -> [Int64] {
            try await bench.database.query("SELECT user_id FROM relay.mentions ORDER BY user_id").rows.map {
                try $0.int8(0)
            }
        }
    }
}

func value(_ bench: Bench, _ query: Statement) async throws -> Int64? {
    try await bench.database.query(query).rows.first?.int8(0)
}

/// What holds of every log: seq without gaps, and ordinals that count messages.
func expectNoGaps(_ bench: Bench) async throws {
    let wrong = try await bench.database.query(
        """
        SELECT c.id FROM relay.conversations c
        JOIN (
            SELECT conversation, max(seq) AS high, count(*) AS n, max(ordinal) AS ordinal, bool_and(ordinal = messages) AS counted
            FROM (
                SELECT *, count(*) FILTER (WHERE kind = 1) OVER (PARTITION BY conversation ORDER BY seq) AS messages
                FROM relay.events
            ) e
            GROUP BY conversation
        ) e ON e.conversation = c.id
        WHERE c.head <> e.high OR e.n <> e.high OR c.ordinal <> e.ordinal OR NOT e.counted
        """)
    #expect(wrong.rows.isEmpty)
}

import Glibc
import NIOConcurrencyHelpers
import NIOCore
import Postgres
import Protocol
import RPC
import Relay
import TestServers
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct AppendTests {
        @Test func sixtyFourAppendersOnTwoRelaysLeaveNoGap() async throws {
            try await Bench.run(relays: 2) { bench in
                let conversations: [UInt64] = [11, 12, 13, 14]
                for conversation in conversations { try await bench.group(conversation, Array(1...64)) }
                let each = 25
                let seqs = NIOLockedValueBox<[UInt64: [UInt64]]>([:])
                try await withThrowingTaskGroup { group in
                    for appender in UInt64(1)...64 {
                        group.addTask {
                            let conversation = conversations[Int(appender) % conversations.count]
                            var last: UInt64 = 0
                            for index in 0..<each {
                                let answer = try await bench.send(
                                    conversation, from: appender, "m\(index)", on: (Int(appender) + index) % 2)
                                // A sender's messages keep their order: the next is sent after the ack of the last.
                                #expect(answer.seq > last)
                                #expect(!answer.duplicate)
                                last = answer.seq
                                seqs.withLockedValue { $0[conversation, default: []].append(answer.seq) }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                for conversation in conversations {
                    let answered = seqs.withLockedValue { $0[conversation] ?? [] }.sorted()
                    #expect(answered == Array(1...UInt64(16 * each)))
                }
                try await expectSound(bench, events: 64 * each)
            }
        }

        @Test func oneClientIDOnTwoRelaysAtOnceMakesOneEvent() async throws {
            try await Bench.run(relays: 2) { bench in
                try await bench.group(11, [1])
                try await bench.group(12, [1])
                for round in 0..<100 {
                    // Every third pair races in two different conversations: there no row lock orders them.
                    let other: UInt64 = round % 3 == 0 ? 12 : 11
                    async let one = bench.send(11, from: 1, "r\(round)", text: "one", on: 0)
                    async let two = bench.send(other, from: 1, "r\(round)", text: "two", on: 1)
                    let (first, second) = try await (one, two)
                    #expect(first.seq == second.seq)
                    #expect(first.conversation == second.conversation)
                    #expect(first.sentAtMs == second.sentAtMs)
                    #expect([first.duplicate, second.duplicate].filter { $0 }.count == 1)
                }
                try await expectSound(bench, events: 100)
            }
        }

        @Test func whoMayNotDoesNotFailTheOthers() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                async let good = bench.send(11, from: 1, "a")
                async let stranger: Void = expectFailure(.forbidden) { try await bench.send(11, from: 9, "a") }
                async let nowhere: Void = expectFailure(.notFound) { try await bench.send(77, from: 1, "b") }
                async let also = bench.send(11, from: 2, "a")
                #expect(try await Set([good.seq, also.seq]) == [1, 2])
                _ = await (stranger, nowhere)
                var request = RelayAppendRequest()
                request.conversation = 11
                request.sender = 1
                request.clientID = "\0"
                request.kind = .message
                let broken = request
                await expectFailure(.invalid) { try await bench.relay.append(broken, deadline: nil) }
                try await expectSound(bench, events: 2)
            }
        }

        @Test func directConversationsAreMadeOnce() async throws {
            try await Bench.run(relays: 2) { bench in
                let ids = try await withThrowingTaskGroup(of: UInt64.self) { group in
                    for index in 0..<40 {
                        group.addTask {
                            var request = RelayOpenDirectRequest()
                            request.user = index % 4 < 2 ? 5 : 6
                            request.peer = index % 4 < 2 ? 6 : 5
                            return try await bench.relays[index % 2].openDirect(request, context: bench.context())
                                .conversation
                        }
                    }
                    return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
                }
                #expect(ids.count == 1)
                let notes = try await bench.direct(5, 5)
                #expect(!ids.contains(notes))
                try await bench.send(notes, from: 5, "n")
                let rows = try await bench.database.query("SELECT count(*) FROM relay.members").rows
                #expect(try rows.first?.int8(0) == 3)
            }
        }

        @Test func killedPostgresLosesNothingAnsweredAndDoublesNothing() async throws {
            try await Bench.run(relays: 2, ownServer: true) { bench in
                try await bench.group(11, Array(1...16))
                let answered = NIOLockedValueBox<[String: UInt64]>([:])
                let refused = NIOLockedValueBox(0)
                let isOver = NIOLockedValueBox(false)
                try await withThrowingTaskGroup { group in
                    for appender in UInt64(1)...16 {
                        group.addTask {
                            var index = 0
                            while !isOver.withLockedValue({ $0 }) {
                                index += 1
                                // As a client does: the same client_id until there is an answer.
                                while true {
                                    do {
                                        let answer = try await bench.send(
                                            11, from: appender, "\(index)", on: (Int(appender) + index) % 2,
                                            within: .seconds(2))
                                        answered.withLockedValue { $0["\(appender)-\(index)"] = answer.seq }
                                        break
                                    } catch let error as RPCError {
                                        #expect(error.code == .unavailable || error.code == .deadlineExceeded)
                                        refused.withLockedValue { $0 += 1 }
                                        try await Task.sleep(for: .milliseconds(20))
                                    }
                                }
                            }
                        }
                    }
                    for _ in 0..<2 {
                        let before = answered.withLockedValue { $0.count }
                        try await eventually { answered.withLockedValue { $0.count } > before + 200 }
                        let refusedBefore = refused.withLockedValue { $0 }
                        await bench.server.kill()
                        // Away for longer than anyone waits: what can't be stored is refused, not kept waiting.
                        try await eventually(within: .seconds(20)) { refused.withLockedValue { $0 } > refusedBefore }
                        try await bench.server.start()
                    }
                    let before = answered.withLockedValue { $0.count }
                    try await eventually(within: .seconds(20)) { answered.withLockedValue { $0.count } > before + 200 }
                    isOver.withLockedValue { $0 = true }
                    try await group.waitForAll()
                }
                let stored = try await eventuallyRead(bench)
                let known = answered.withLockedValue { $0 }
                for (id, seq) in known { #expect(stored[id] == seq) }
                try await expectSound(bench, events: stored.count)
            }
        }

        /// A backend that hangs with a message that it was sent: nobody knows whether it is still going to store it.
        @Test func aCommitThatNobodyKnowsOfIsSettledBeforeTheNodesReadAgain() async throws {
            var configuration = RelayConfiguration()
            configuration.appendTimeout = .milliseconds(200)
            try await Bench.run(configuration: configuration) { bench in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "1")
                let backends: Statement = """
                    SELECT pid FROM pg_stat_activity
                    WHERE application_name LIKE 'roost-relay-append-%' AND datname = current_database()
                    """
                let hung = try #require(try await bench.database.query(backends).rows.first).int4(0)
                try await bench.attach("a", [2])
                kill(hung, SIGSTOP)
                defer { kill(hung, SIGCONT) }
                await #expect(throws: RPCError.self) { try await bench.send(id, from: 1, "2") }
                // The connection is given up; on another one the relay has asked for the end of the first, and was told no.
                try await eventually {
                    try await bench.database.query(
                        """
                        SELECT pid FROM pg_stat_activity
                        WHERE application_name LIKE 'roost-relay-append-%' AND datname = current_database()
                            AND query LIKE '%pg_terminate_backend%' AND state = 'idle'
                        """
                    ).rows.contains { try $0.int4(0) != hung }
                }
                #expect(bench.relay.pusher.counts.nodes == 1)
                kill(hung, SIGCONT)
                try await eventually { bench.relay.pusher.counts.nodes == 0 }
                #expect(try await !bench.database.query(backends).rows.contains { try $0.int4(0) == hung })
                // From now on it is there or it is not: what would store it has ended.
                let before = try await eventuallyRead(bench).count
                #expect(try await eventuallyRead(bench).count == before)
                let answer = try await bench.send(id, from: 1, "2")
                #expect(answer.seq == 2 && answer.duplicate == (before == 2))
                try await expectSound(bench, events: 2)
            }
        }

        /// sender-client_id → seq.
        private func eventuallyRead(_ bench: Bench) async throws -> [String: UInt64] {
            let result = try await bench.database.query("SELECT sender, client_id, seq FROM relay.events")
            var stored: [String: UInt64] = [:]
            for row in result.rows {
                let key = "\(try row.int8(0))-\(try row.text(1))"
                #expect(stored[key] == nil)
                stored[key] = UInt64(try row.int8(2))
            }
            return stored
        }
    }
}

/// The log's invariants: no gaps, ordinals that count messages, heads that are heads, each client_id once.
func expectSound(_ bench: Bench, events: Int) async throws {
    let counts = try await bench.database.query(
        """
        SELECT count(*), count(DISTINCT (sender, client_id)), (SELECT count(*) FROM relay.sends) FROM relay.events
        """)
    let row = try #require(counts.rows.first)
    #expect(try row.int8(0) == Int64(events))
    #expect(try row.int8(1) == Int64(events))
    #expect(try row.int8(2) == Int64(events))
    let wrong = try await bench.database.query(
        """
        SELECT c.id FROM relay.conversations c
        LEFT JOIN (
            SELECT conversation, min(seq) AS low, max(seq) AS high, count(*) AS n, max(ordinal) AS ordinal,
                bool_and(ordinal = seq) AS counted
            FROM relay.events GROUP BY conversation
        ) e ON e.conversation = c.id
        WHERE c.head <> coalesce(e.high, 0) OR coalesce(e.low, 1) <> 1 OR coalesce(e.n, 0) <> coalesce(e.high, 0)
            OR c.ordinal <> coalesce(e.ordinal, 0) OR NOT coalesce(e.counted, true)
        """)
    #expect(wrong.rows.isEmpty)
}

func expectFailure(_ code: RPCError.Code, _ body: () async throws -> some Any) async {
    do {
        _ = try await body()
        Issue.record("it succeeded")
    } catch let error as RPCError {
        #expect(error.code == code)
    } catch {
        Issue.record(error)
    }
}

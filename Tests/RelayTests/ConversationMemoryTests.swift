import Postgres
import Protocol
import RPC
import Relay
import ServiceKit
import Testing

@Suite struct ConversationMemoryTests {
    private func message(
        _ conversation: UInt64, from sender: UInt64, _ clientID: String, mentions: [UInt64] = []
    ) -> RelayAppendRequest {
        var request = RelayAppendRequest()
        request.conversation = conversation
        request.sender = sender
        request.clientID = clientID
        request.kind = .message
        request.body.text = "hello"
        request.body.mentions = mentions
        return request
    }

    private func stored(
        _ conversation: UInt64, _ seq: UInt64, at sentAt: Int64 = 1000, membership: Int64 = 1
    ) -> AppendOutcome {
        AppendOutcome(
            verdict: .stored, conversation: conversation, seq: seq, sentAt: sentAt, membership: membership,
            ordinal: Int64(seq))
    }

    /// What knows that the user 1 has said "a" in conversation 11, its seventh message.
    private func taught(membership: Int64 = 1) -> ConversationMemory {
        var memory = ConversationMemory(limit: 10)
        memory.stored(AppendBatch([message(11, from: 1, "a")]), [stored(11, 7, membership: membership)])
        return memory
    }

    @Test func whoIsNotKnownIsNotNumbered() {
        var memory = taught()
        #expect(memory.plan(AppendBatch([message(12, from: 1, "b")]), now: 0) == nil)
        #expect(memory.plan(AppendBatch([message(11, from: 2, "b")]), now: 0) == nil)
        #expect(memory.plan(AppendBatch([message(11, from: 1, "")]), now: 0) == nil)
        #expect(memory.plan(AppendBatch([message(11, from: 1, "b")]), now: 0) != nil)
    }

    @Test func messagesAreNumberedInTheirOrderAndNeverDatedBack() throws {
        var memory = taught()
        let batch = AppendBatch([message(11, from: 1, "b"), message(12, from: 1, "c"), message(11, from: 1, "d")])
        let planned = memory.plan(batch, now: 500)
        let plan = try #require(planned)
        #expect(plan.outcomes.map(\.row) == [0, 2])
        #expect(plan.outcomes.map(\.outcome.seq) == [8, 9])
        #expect(plan.outcomes.map(\.outcome.ordinal) == [8, 9])
        #expect(plan.outcomes.allSatisfy { $0.outcome.sentAt == 1000 && $0.outcome.verdict == .stored })
        let later = memory.plan(batch, now: 2000)?.outcomes ?? []
        #expect(later.count == 2)
        #expect(later.allSatisfy { $0.outcome.sentAt == 2000 })
    }

    /// A message of who is known must not take the place of one that the database numbers in the same commit.
    @Test func oneConversationIsNumberedInOnePlace() {
        var memory = taught()
        let strangers = AppendBatch([message(11, from: 1, "b"), message(11, from: 2, "c")])
        #expect(memory.plan(strangers, now: 0) == nil)
        let mention = AppendBatch([message(11, from: 1, "b"), message(11, from: 1, "c", mentions: [2])])
        #expect(memory.plan(mention, now: 0) == nil)
    }

    @Test func aRepeatIsLeftToTheDatabase() {
        var memory = taught()
        #expect(memory.plan(AppendBatch([message(11, from: 1, "a")]), now: 0) == nil)
    }

    @Test func anotherMembershipMeansThatNobodyIsKnown() {
        var memory = taught(membership: 1)
        memory.stored(AppendBatch([message(11, from: 2, "b")]), [stored(11, 8, membership: 2)])
        #expect(memory.plan(AppendBatch([message(11, from: 1, "c")]), now: 0) == nil)
        #expect(memory.plan(AppendBatch([message(11, from: 2, "c")]), now: 0) != nil)
    }

    @Test func whatIsForgottenOrAmendedIsNotKnown() {
        var memory = taught()
        memory.forget([11])
        #expect(memory.plan(AppendBatch([message(11, from: 1, "b")]), now: 0) == nil)
        memory = taught()
        let mention = AppendBatch([message(11, from: 1, "b", mentions: [2])])
        memory.stored(mention, [stored(11, 8)])
        #expect(memory.plan(AppendBatch([message(11, from: 1, "c")]), now: 0) == nil)
    }

    @Test func whatWasRefusedTeachesNothing() {
        var memory = ConversationMemory(limit: 10)
        let outcome = AppendOutcome(verdict: .refused, conversation: 11, seq: 0, sentAt: 0, membership: 1)
        memory.stored(AppendBatch([message(11, from: 1, "a")]), [outcome])
        #expect(memory.plan(AppendBatch([message(11, from: 1, "b")]), now: 0) == nil)
    }
}

@Suite struct AppendLockTests {
    /// Locks of a batch of two conversations, as (statement, conversations of it, sorted).
    private func locks(isAllKnown: Bool, statements: Int) -> [(sql: String, conversations: [Int64])] {
        let rows = AppendBatch(
            [UInt64](arrayLiteral: 12, 11, 12).enumerated().map { index, conversation in
                var request = RelayAppendRequest()
                request.conversation = conversation
                request.sender = UInt64(index + 1)
                request.clientID = "c"
                request.kind = .message
                return request
            }
        ).rows
        return LogStore.locks(rows, isAllKnown: isAllKnown, statements: statements).map { step in
            guard case .int8s(let conversations)? = step.parameters.first else { return (step.statement.sql, []) }
            return (step.statement.sql, conversations.sorted())
        }
    }

    /// What is partly known takes two statements, which must not take the locks of members one after the other's.
    @Test func severalStatementsLockAllThatAnyOfThemChanges() {
        let mixed = locks(isAllKnown: false, statements: 2)
        #expect(mixed.map(\.sql) == [LogStatements.lock.sql, LogStatements.lockMembers.sql])
        #expect(mixed.map(\.conversations) == [[11, 12], [11, 12, 12]])
    }

    @Test func oneStatementLocksItsMembersItself() {
        #expect(locks(isAllKnown: false, statements: 1).map(\.sql) == [LogStatements.lock.sql])
        #expect(locks(isAllKnown: true, statements: 2).isEmpty)
    }
}

extension DatabaseTests {
    @Suite(.serialized) struct KnownAppendTests {
        /// What the log holds after a history of everything that moves a conversation, and how much of it was known.
        private func log(remembering limit: Int, seed: UInt64) async throws -> (log: [String], known: Int) {
            var configuration = RelayConfiguration()
            configuration.rememberedConversations = limit
            var lines: [String] = []
            let metrics = MetricsRegistry()
            try await Bench.run(configuration: configuration, metrics: RelayMetrics(factory: metrics)) { bench in
                var generator = SplitMix(seed: seed)
                let users: [UInt64] = [1, 2, 3, 4]
                try await bench.group(11, users)
                try await bench.group(12, users)
                var heads: [UInt64: UInt64] = [11: 0, 12: 0]
                for step in 0..<250 {
                    let conversation: UInt64 = Bool.random(using: &generator) ? 11 : 12
                    let user = users.randomElement(using: &generator)!
                    let head = heads[conversation]!
                    switch Int.random(in: 0..<20, using: &generator) {
                    case 0 where head > 0:
                        try await bench.acknowledge(
                            conversation, user: user, device: 10 * user,
                            read: UInt64.random(in: 1...head, using: &generator))
                    case 1 where head > 0:
                        try await bench.acknowledge(conversation, user: user, device: 10 * user, delivered: head)
                    case 2:
                        heads[conversation] = try await bench.send(
                            conversation, from: user, "m\(step)", mentions: [users[0]]
                        ).seq
                    case 3 where head > 0:
                        _ = try? await bench.amend(conversation, head, from: user, .reaction, emoji: "👍")
                        heads[conversation] = try await self.head(of: conversation, bench)
                    case 4:
                        // Said again: by now it is known, or not.
                        _ = try await bench.send(conversation, from: user, "m\(step)")
                        let again = try await bench.send(conversation, from: user, "m\(step)")
                        #expect(again.duplicate)
                        heads[conversation] = max(head, again.seq)
                    case 5:
                        try await bench.change(conversation, "c\(step)", [(user: user, change: .role, role: .admin)])
                        heads[conversation] = try await self.head(of: conversation, bench)
                    default:
                        let answer = try await bench.send(conversation, from: user, "m\(step)")
                        #expect(!answer.duplicate && answer.seq == head + 1)
                        heads[conversation] = answer.seq
                    }
                }
                for query: Statement in [
                    "SELECT concat_ws(' ', id, head, ordinal) FROM relay.conversations ORDER BY id",
                    """
                    SELECT concat_ws(' ', conversation, user_id, delivered_seq, read_seq, read_ordinal, own_ahead)
                    FROM relay.members ORDER BY conversation, user_id
                    """,
                    """
                    SELECT concat_ws(' ', conversation, seq, ordinal, sender, kind, client_id, encode(body, 'hex'))
                    FROM relay.events ORDER BY conversation, seq
                    """,
                    "SELECT concat_ws(' ', sender, client_id, conversation, seq) FROM relay.sends ORDER BY 1",
                ] {
                    lines += try await bench.database.query(query).rows.map { try $0.text(0) }
                }
            }
            let name = "roost_relay_appends_known_total "
            let line = metrics.render().split(separator: "\n").first { $0.hasPrefix(name) }
            return (lines, line.flatMap { Int($0.dropFirst(name.count)) } ?? 0)
        }

        private func head(of conversation: UInt64, _ bench: Bench) async throws -> UInt64 {
            let result = try await bench.database.query(
                "SELECT head FROM relay.conversations WHERE id = $1", [.int8(Int64(conversation))])
            return UInt64(try result.rows[0].int8(0))
        }

        @Test(arguments: [1, 2]) func theLogIsTheSameWhetherItIsRememberedOrLookedUp(_ seed: UInt64) async throws {
            let looked = try await log(remembering: 0, seed: seed)
            let remembered = try await log(remembering: 100, seed: seed)
            #expect(looked.known == 0)
            #expect(remembered.known > 50)
            #expect(looked.log == remembered.log)
        }

        @Test func whoWasBlockedOrRemovedMayNotBecauseTheyCouldBefore() async throws {
            try await Bench.run { bench in
                let direct = try await bench.direct(1, 2)
                for index in 0..<3 { try await bench.send(direct, from: 2, "a\(index)") }
                try await bench.block(1, 2)
                await expectFailure(.forbidden) { try await bench.send(direct, from: 2, "b") }
                try await bench.block(1, 2, false)
                #expect(try await bench.send(direct, from: 2, "c").seq == 4)

                try await bench.change(21, "made", create: true, [(1, .joined, .owner), (2, .joined, .member)])
                for index in 0..<3 { try await bench.send(21, from: 2, "d\(index)") }
                try await bench.change(21, "removed", [(2, .removed, .unspecified)])
                await expectFailure(.forbidden) { try await bench.send(21, from: 2, "e") }
            }
        }

        /// What another relay has said in between is seen, and nothing is stored twice for it.
        @Test func anotherRelaysMessagesAreFound() async throws {
            try await Bench.run(relays: 2) { bench in
                try await bench.group(11, [1, 2])
                for round in 0..<20 {
                    let first = try await bench.send(11, from: 1, "a\(round)", on: 0)
                    let second = try await bench.send(11, from: 1, "b\(round)", on: 0)
                    let third = try await bench.send(11, from: 2, "c\(round)", on: 1)
                    let start = UInt64(round * 3)
                    #expect([first.seq, second.seq, third.seq] == [start + 1, start + 2, start + 3])
                    #expect(![first, second, third].contains { $0.duplicate })
                }
            }
        }
    }
}

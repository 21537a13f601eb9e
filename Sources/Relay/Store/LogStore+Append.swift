package import ChatModel
package import Postgres
import Protocol

extension LogStore {
    /// Stores a batch in one transaction and one round trip; an outcome for each row.
    ///
    /// - Parameters:
    ///   - known: those of its rows whose places are known already. Throws `divisionByZero` where they are not what they were
    ///     taken for.
    ///   - now: Unix milliseconds; an event is never dated before the one before it.
    package func append(
        _ batch: AppendBatch, known: KnownAppends? = nil, now: Int64, timeout: Duration
    ) async throws(PostgresError) -> [AppendOutcome] {
        let rows = batch.rows
        var outcomes = [AppendOutcome?](repeating: nil, count: rows.count)
        for (row, outcome) in known?.outcomes ?? [] { outcomes[row] = outcome }
        let rounds = batch.rounds.enumerated()
            .map { (number: $0.offset, rows: $0.element.filter { outcomes[$0] == nil }) }
            .filter { !$0.rows.isEmpty }
        var steps = Self.locks(
            rows, isAllKnown: rounds.isEmpty, statements: batch.rounds.count + (known == nil ? 0 : 1))
        if let known { steps.append(Self.append(known)) }
        let before = steps.count
        for (number, round) in rounds {
            let rows = round.map { rows[$0] }
            steps.append(number == 0 ? Self.append(rows, now: now) : Self.amend(rows, now: now))
        }
        let results = try await commit(steps, timeout: timeout)
        for ((number, round), result) in zip(rounds, results[before...]) {
            for row in result.rows {
                let position = Int(try row.int8(0)) - 1
                guard round.indices.contains(position), let verdict = AppendOutcome.Verdict(rawValue: try row.int4(1))
                else {
                    throw PostgresError(.decoding, "an outcome for no row", attempted: "append")
                }
                outcomes[round[position]] = AppendOutcome(
                    verdict: verdict, conversation: UInt64(column: try row.int8(2)),
                    seq: UInt64(column: try row.int8(3)), sentAt: try row.timestampMilliseconds(4),
                    membership: try row.int8(5), ordinal: number == 0 ? try row.optionalInt8(6) : nil)
            }
        }
        let complete = outcomes.compactMap(\.self)
        guard complete.count == rows.count else {
            throw PostgresError(.decoding, "no outcome for a row", attempted: "append")
        }
        return complete
    }

    /// On `executor` it is sent before the task lets go of the thread. What was sent is waited for, also when the task is
    /// cancelled.
    private func commit(
        _ steps: [PostgresPool.Step], timeout: Duration
    ) async throws(PostgresError) -> [PostgresResult] {
        let result = await withUnsafeContinuation { continuation in
            appends.submit(steps, timeout: timeout) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// What a batch locks before its statements, for all of its rows together: several statements would take the locks of
    /// conversations and members in no order, and so wait for an acknowledgement that waits for them.
    ///
    /// - Parameters:
    ///   - isAllKnown: the places of all rows are known: one statement, which locks in order what it changes.
    ///   - statements: how many there may be.
    package static func locks(_ rows: [AppendRow], isAllKnown: Bool, statements: Int) -> [PostgresPool.Step] {
        if isAllKnown { return [] }
        let conversations = rows.map(\.conversation)
        var steps: [PostgresPool.Step] = [(LogStatements.lock, [.int8s(Array(Set(conversations)))])]
        if statements > 1 {
            steps.append((LogStatements.lockMembers, [.int8s(conversations), .int8s(rows.map(\.sender))]))
        }
        return steps
    }

    private static func append(_ known: KnownAppends) -> PostgresPool.Step {
        let (events, senders) = (known.events, known.senders)
        return (
            LogStatements.appendKnown,
            [
                .int8s(known.conversations), .int8s(known.oldHeads), .int8s(known.memberships), .int8s(known.heads),
                .int8s(known.ordinals), .timestampArray(known.activeAts),
                .int8s(events.map(\.row.conversation)), .int8s(events.map(\.seq)), .int8s(events.map(\.ordinal)),
                .int8s(events.map(\.row.sender)), .timestampArray(events.map(\.sentAt)),
                .textArray(events.map(\.row.clientID)), .bytesArray(events.map(\.row.body)),
                .int8s(senders.map(\.conversation)), .int8s(senders.map(\.user)), .int8s(senders.map(\.before)),
                .int8s(senders.map(\.last)), .int8s(senders.map(\.ordinal)), .int8s(senders.map(\.messages)),
                .boolArray(senders.map(\.isRun)),
            ]
        )
    }

    private static func append(_ rows: [AppendRow], now: Int64) -> PostgresPool.Step {
        (
            LogStatements.append,
            [
                .int8s(rows.map(\.conversation)), .int8s(rows.map(\.sender)), .textArray(rows.map(\.clientID)),
                .bytesArray(rows.map(\.body)), .timestamp(milliseconds: now),
            ]
        )
    }

    private static func amend(_ rows: [AppendRow], now: Int64) -> PostgresPool.Step {
        (
            LogStatements.amend,
            [
                .int8s(rows.map(\.conversation)), .int8s(rows.map(\.sender)), .textArray(rows.map(\.clientID)),
                .int2Array(rows.map(\.kind)), .bytesArray(rows.map(\.body)), .int8Array(rows.map(\.target)),
                .textArray(rows.map(\.emoji)), .boolArray(rows.map(\.removed)), .int8s(rows.map(\.within)),
                .textArray(rows.map { "{" + $0.mentions.map { String($0.column) }.joined(separator: ",") + "}" }),
                .timestamp(milliseconds: now),
            ]
        )
    }

    /// Changes a group in a transaction of its own.
    package func change(
        _ change: GroupChange, now: Int64, timeout: Duration
    ) async throws(PostgresError) -> GroupChangeOutcome {
        let request = change.request
        let conversation = PostgresValue.int8(request.conversation.column)
        var steps: [PostgresPool.Step] = []
        if request.create { steps.append((LogStatements.makeGroup, [conversation, .timestamp(milliseconds: now)])) }
        steps.append((LogStatements.lock, [.int8s([request.conversation.column])]))
        steps.append(
            (
                LogStatements.lockMembers,
                [.int8s(change.users.map { _ in request.conversation.column }), .int8s(change.users)]
            ))
        steps.append(
            (
                LogStatements.changeGroup,
                [
                    conversation, .int8(request.sender.column), .text(request.changeID), .optional(change.info),
                    .bool(request.group.deleted), .int8s(change.users), .int2Array(change.changes),
                    .int2Array(change.roles), .bytesArray(change.bodies), .timestamp(milliseconds: now),
                ]
            ))
        let results = try await commit(steps, timeout: timeout)
        var outcome = GroupChangeOutcome(verdict: .notFound, seq: 0, first: 0, events: [])
        for row in results[steps.count - 1].rows {
            let position = Int(try row.int8(0))
            let seq = UInt64(column: try row.int8(2))
            if position < 0 {
                guard let verdict = AppendOutcome.Verdict(rawValue: try row.int4(1)) else {
                    throw PostgresError(.decoding, "an outcome of no kind", attempted: "change a group")
                }
                outcome.verdict = verdict
                outcome.seq = seq
                outcome.first = UInt64(column: try row.optionalInt8(5) ?? 0)
            } else {
                let sentAt = try row.timestampMilliseconds(3)
                guard let event = change.event(at: position, seq: seq, sentAt: sentAt) else {
                    throw PostgresError(.decoding, "an event for no change", attempted: "change a group")
                }
                outcome.events.append(CommittedEvent(event: event, membership: try row.int8(4)))
            }
        }
        outcome.events.sort { $0.event.seq < $1.event.seq }
        return outcome
    }

    /// The members of conversations, and who left them at `since` or later; conversations that don't exist are left out.
    package func members(
        of conversations: [(conversation: UInt64, since: UInt64)]
    ) async throws(PostgresError) -> [UInt64: MembershipCache.Members] {
        let result = try await reads.query(
            LogStatements.members,
            [.int8s(conversations.map(\.conversation.column)), .int8s(conversations.map(\.since.column))])
        var found: [UInt64: MembershipCache.Members] = [:]
        for row in result.rows {
            let conversation = UInt64(column: try row.int8(0))
            let member = MembershipCache.Member(
                user: UInt64(column: try row.int8(3)), after: UInt64(column: try row.int8(4)),
                until: try row.optionalInt8(5).map(UInt64.init(column:)) ?? .max)
            if found[conversation] == nil {
                found[conversation] = .init(version: try row.int8(1), kind: try row.int2(2), members: [])
            }
            found[conversation]?.members.append(member)
        }
        return found
    }

    /// Whether a user of a direct conversation is refused there. True of who isn't in it.
    package func isRefused(conversation: UInt64, user: UInt64) async throws(PostgresError) -> Bool {
        let result = try await reads.query(
            LogStatements.refused, [.int8(conversation.column), .int8(user.column)])
        guard let row = result.rows.first else { return true }
        return try row.bool(0)
    }

    /// Refuses, or no longer refuses, what a user says in a conversation.
    package func refuse(
        conversation: UInt64, user: UInt64, _ isRefused: Bool
    ) async throws(PostgresError) {
        _ = try await reads.pipeline([
            (LogStatements.lock, [.int8s([conversation.column])]),
            (LogStatements.refuse, [.int8(conversation.column), .int8(user.column), .bool(isRefused)]),
        ])
    }

    /// The direct conversation of two users, or nil where there is none.
    package func findDirect(_ user: UserID, _ peer: UserID) async throws(PostgresError) -> ConversationID? {
        let result = try await reads.query(
            LogStatements.findDirect, [.int8(min(user, peer).column), .int8(max(user, peer).column)])
        guard let row = result.rows.first else { return nil }
        return ConversationID(column: try row.int8(0))
    }

    /// The direct conversation of two users (or of one with themself), made when there is none.
    ///
    /// - Parameters:
    ///   - now: Unix milliseconds.
    ///   - makeID: draws an id; drawn again should it be taken.
    package func openDirect(
        _ user: UserID, _ peer: UserID, now: Int64, makeID: () -> ConversationID = { .randomDirect() }
    ) async throws(PostgresError) -> ConversationID {
        var attempts = 0
        while true {
            let known = try await findDirect(user, peer)
            if let known { return known }
            do {
                let made = try await reads.query(
                    LogStatements.makeDirect,
                    [
                        .int8(min(user, peer).column), .int8(max(user, peer).column), .int8(makeID().column),
                        .timestamp(milliseconds: now),
                    ])
                if let made = made.rows.first { return ConversationID(column: try made.int8(0)) }
            } catch {
                attempts += 1
                guard error.sqlState == .uniqueViolation, attempts < 5 else { throw error }
            }
        }
    }
}

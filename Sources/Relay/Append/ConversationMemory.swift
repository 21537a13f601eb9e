import ServiceKit

/// What the relay remembers of the conversations that it appends to, so that a message of somebody who has written there
/// before is numbered here and not by the database. A value.
///
/// Nothing here has to be true: `LogStatements.appendKnown` stores a message only where the conversation still is what was
/// remembered, and does nothing at all where one isn't. What other relays do meanwhile, and what is known only to the
/// database (a `client_id` used before), then goes through `LogStatements.append`, which looks everything up.
package struct ConversationMemory: Sendable {
    /// A conversation after an event.
    private struct Conversation: Sendable {
        var head: Int64
        var ordinal: Int64
        /// Unix milliseconds.
        var activeAt: Int64
        var membership: Int64
        /// Who has written as of this membership, and so may.
        var senders: [Int64]
    }

    private var conversations: GenerationCache<Int64, Conversation>
    /// Hashes of (sender, client_id) of what was stored lately: most repeats come soon, and needn't fail first.
    private var sent: GenerationCache<Int, Void>

    /// Senders remembered of one conversation.
    private static let senders = 256

    private let isUsed: Bool

    /// - Parameter limit: conversations remembered, in one of two generations; 0: none.
    package init(limit: Int) {
        isUsed = limit > 0
        conversations = GenerationCache(limit: limit)
        sent = GenerationCache(limit: limit * 4)
    }

    /// Numbers the rows of a batch that it can; nil: none.
    ///
    /// - Parameter now: Unix milliseconds.
    package mutating func plan(_ batch: AppendBatch, now: Int64) -> KnownAppends? {
        guard isUsed else { return nil }
        let rows = batch.rows
        var candidates: [Int64: [Int]] = [:]
        candidates.reserveCapacity(batch.rounds[0].count)
        for index in batch.rounds[0] { candidates[rows[index].conversation, default: []].append(index) }
        // In one conversation either all is numbered here or nothing is.
        for round in batch.rounds.dropFirst() {
            for index in round { candidates[rows[index].conversation] = nil }
        }
        var known = KnownAppends()
        for (id, indices) in candidates.sorted(by: { $0.key < $1.key }) {
            guard let conversation = conversations[id], indices.allSatisfy({ isKnown(rows[$0], conversation) }) else {
                continue
            }
            known.add(
                indices.map { ($0, rows[$0]) }, to: id, head: conversation.head, ordinal: conversation.ordinal,
                at: max(now, conversation.activeAt), membership: conversation.membership)
        }
        return known.outcomes.isEmpty ? nil : known
    }

    private mutating func isKnown(_ row: AppendRow, _ conversation: Conversation) -> Bool {
        guard let source = Self.source(row) else { return false }
        return conversation.senders.contains(row.sender) && sent[source] == nil
    }

    private static func source(_ row: AppendRow) -> Int? {
        guard let clientID = row.clientID else { return nil }
        var hasher = Hasher()
        hasher.combine(row.sender)
        hasher.combine(clientID)
        return hasher.finalize()
    }

    /// Takes note of what a commit has stored.
    ///
    /// - Parameter outcomes: of each row.
    package mutating func stored(_ batch: AppendBatch, _ outcomes: [AppendOutcome]) {
        guard isUsed else { return }
        for index in batch.rounds[0] {
            let (row, outcome) = (batch.rows[index], outcomes[index])
            guard outcome.verdict == .stored, let ordinal = outcome.ordinal else { continue }
            if let source = Self.source(row) { sent[source] = () }
            var conversation =
                conversations[row.conversation]
                ?? Conversation(head: 0, ordinal: 0, activeAt: 0, membership: outcome.membership, senders: [])
            let seq = outcome.seq.column
            if seq > conversation.head {
                conversation.head = seq
                conversation.ordinal = ordinal
                conversation.activeAt = outcome.sentAt
            }
            if conversation.membership != outcome.membership {
                conversation.membership = outcome.membership
                conversation.senders = []
            }
            if !conversation.senders.contains(row.sender), conversation.senders.count < Self.senders {
                conversation.senders.append(row.sender)
            }
            conversations[row.conversation] = conversation
        }
        // These conversations have gone on after their last message of round 0.
        for round in batch.rounds.dropFirst() {
            for index in round { conversations[batch.rows[index].conversation] = nil }
        }
    }

    /// Nobody knows any more what became of these.
    package mutating func forget(_ ids: some Sequence<Int64>) {
        for id in ids { conversations[id] = nil }
    }
}

/// Messages that were numbered by what the relay remembers, as the columns of `LogStatements.appendKnown`. A value.
package struct KnownAppends: Sendable {
    /// What becomes of each row, by its index in the batch, if the statement succeeds.
    package private(set) var outcomes: [(row: Int, outcome: AppendOutcome)] = []

    // A conversation each, by id.
    private(set) var conversations: [Int64] = []
    private(set) var oldHeads: [Int64] = []
    private(set) var memberships: [Int64] = []
    private(set) var heads: [Int64] = []
    private(set) var ordinals: [Int64] = []
    private(set) var activeAts: [Int64] = []
    // An event each.
    private(set) var events: [(row: AppendRow, seq: Int64, ordinal: Int64, sentAt: Int64)] = []
    // A sender of a conversation each, by conversation and user: what they have read of it if they had read all before
    // their first message here, and nobody else's came in between.
    private(set) var senders: [Sender] = []

    struct Sender {
        var conversation: Int64
        var user: Int64
        /// The event before their first.
        var before: Int64
        var last: Int64
        var ordinal: Int64
        var messages: Int64
        /// Whether theirs follow one another.
        var isRun: Bool { last - before == messages }
    }

    /// Conversations come by id.
    mutating func add(
        _ rows: [(index: Int, row: AppendRow)], to conversation: Int64, head: Int64, ordinal: Int64, at sentAt: Int64,
        membership: Int64
    ) {
        var (seq, count) = (head, ordinal)
        var spoken: [Sender] = []
        for (index, row) in rows {
            seq += 1
            count += 1
            outcomes.append(
                (
                    index,
                    AppendOutcome(
                        verdict: .stored, conversation: UInt64(column: conversation), seq: UInt64(column: seq),
                        sentAt: sentAt, membership: membership, ordinal: count)
                ))
            events.append((row, seq, count, sentAt))
            if let place = spoken.firstIndex(where: { $0.user == row.sender }) {
                spoken[place].last = seq
                spoken[place].ordinal = count
                spoken[place].messages += 1
            } else {
                spoken.append(
                    Sender(
                        conversation: conversation, user: row.sender, before: seq - 1, last: seq, ordinal: count,
                        messages: 1))
            }
        }
        conversations.append(conversation)
        oldHeads.append(head)
        memberships.append(membership)
        heads.append(seq)
        ordinals.append(count)
        activeAts.append(sentAt)
        senders += spoken.sorted { $0.user < $1.user }
    }
}

import ChatModel
package import Protocol

/// Which statement of the commit's transaction each row goes into, as a value. Round 0 is the plain messages. What amends
/// a message sees what was done with it before, so in one round a message is amended once, but for reactions that
/// don't touch each other. What one user says in one conversation keeps its order.
package struct AppendRounds {
    private struct Source: Hashable {
        var conversation: UInt64
        var sender: UInt64
    }

    private struct Reaction: Hashable {
        var message: EventID
        var sender: UInt64
        /// UTF-8, as PostgreSQL compares it.
        var emoji: [UInt8]
    }

    /// Indices of rows.
    package private(set) var rounds: [[Int]] = [[]]
    private var count = 0
    /// The last round of each. Empty while all is plain.
    private var sources: [Source: Int] = [:]
    private var messages: [EventID: Int] = [:]
    private var reactions: [Reaction: Int] = [:]
    /// The last round in which each message was edited or deleted.
    private var changes: [EventID: Int] = [:]

    package init() {}

    /// Adds the next row.
    package mutating func add(_ request: RelayAppendRequest) {
        defer { count += 1 }
        let isPlain = request.kind == .message && request.body.mentions.isEmpty
        if isPlain, sources.isEmpty {
            rounds[0].append(count)
            return
        }
        let source = Source(conversation: request.conversation, sender: request.sender)
        var round = sources[source] ?? (isPlain ? 0 : 1)
        if request.kind != .message {
            let message = EventID(conversation: ConversationID(rawValue: request.conversation), seq: request.target)
            if request.kind == .reaction {
                let reaction = Reaction(message: message, sender: request.sender, emoji: Array(request.emoji.utf8))
                round = max(round, (changes[message] ?? 0) + 1, (reactions[reaction] ?? 0) + 1)
                reactions[reaction] = round
            } else {
                round = max(round, (messages[message] ?? 0) + 1)
                changes[message] = round
            }
            messages[message] = max(messages[message] ?? 0, round)
        }
        if round > 0 { sources[source] = round }
        while rounds.count <= round { rounds.append([]) }
        rounds[round].append(count)
    }
}

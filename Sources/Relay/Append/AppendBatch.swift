import ChatModel
package import Protocol
package import RPC
import SwiftProtobuf

/// One event to store, as the log's columns have it.
package struct AppendRow: Sendable, Equatable {
    package var conversation: Int64
    package var sender: Int64
    package var clientID: String?
    package var kind: Int16
    /// A serialized `LogBody`.
    package var body: [UInt8]?
    /// Edit, delete, reaction: the message amended.
    package var target: Int64?
    package var emoji: String?
    package var removed: Bool
    /// Edit: the greatest age of the message in milliseconds; 0: any.
    package var within: Int64
    /// Message, edit: the users named.
    package var mentions: [UInt64]
}

/// What became of an `AppendRow`.
package struct AppendOutcome: Sendable, Equatable {
    package enum Verdict: Int32, Sendable {
        case stored = 0
        /// It repeats an event: conversation, seq and time are those of the first.
        case duplicate = 1
        case notFound = 2
        case forbidden = 3
        /// The other user of the direct conversation has blocked the sender.
        case refused = 4
        /// What is to be amended is no message that the sender can see.
        case noMessage = 5
        /// What is to be amended was deleted.
        case deleted = 6
        /// What is to be amended is not the sender's.
        case notAllowed = 7
        /// The message is too old to be edited.
        case tooLate = 8
        /// The reaction taken back was never there.
        case noReaction = 9
        /// The sender has put as many different reactions to the message as anyone may.
        case tooMany = 10
    }
    package var verdict: Verdict
    package var conversation: UInt64
    package var seq: UInt64
    package var sentAt: Int64
    /// The version of the conversation's membership at the commit.
    package var membership: Int64
    /// Of a message that was stored: how many messages there are up to it.
    package var ordinal: Int64?

    package init(
        verdict: Verdict, conversation: UInt64, seq: UInt64, sentAt: Int64, membership: Int64, ordinal: Int64? = nil
    ) {
        self.verdict = verdict
        self.conversation = conversation
        self.seq = seq
        self.sentAt = sentAt
        self.membership = membership
        self.ordinal = ordinal
    }
}

/// The requests of one commit, as a value: one row for each event, however often the batch holds it, in rounds that are
/// stored one after the other.
package struct AppendBatch {
    /// PostgreSQL tells client ids apart by their bytes, Swift's strings do not.
    private struct Source: Hashable {
        var sender: UInt64
        var clientID: String

        static func == (left: Self, right: Self) -> Bool {
            left.sender == right.sender && left.clientID.utf8.elementsEqual(right.clientID.utf8)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(sender)
            var clientID = clientID
            clientID.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }

    package let requests: [RelayAppendRequest]
    package private(set) var rows: [AppendRow] = []
    private var planned = AppendRounds()
    /// For each request the row that stands for it.
    private var rowOf: [Int] = []
    /// For each row the request that it was made from.
    private var firstOf: [Int] = []

    package init(_ requests: [RelayAppendRequest]) {
        self.requests = requests
        rows.reserveCapacity(requests.count)
        rowOf.reserveCapacity(requests.count)
        firstOf.reserveCapacity(requests.count)
        var known: [Source: Int] = [:]
        known.reserveCapacity(requests.count)
        for (index, request) in requests.enumerated() {
            if !request.clientID.isEmpty, request.kind == .message {
                let source = Source(sender: request.sender, clientID: request.clientID)
                if let row = known[source] {
                    rowOf.append(row)
                    continue
                }
                known[source] = rows.count
            }
            rowOf.append(rows.count)
            firstOf.append(index)
            planned.add(request)
            rows.append(AppendRow(request))
        }
    }

    /// Indices of rows: first the plain messages (there may be none), then what a statement each can do at once.
    package var rounds: [[Int]] { planned.rounds }

    /// Whether the batch can be stored again without storing anything twice.
    package var isRepeatable: Bool {
        rows.allSatisfy { $0.clientID != nil || $0.kind != LogEventKind.message.rawValue }
    }

    /// What the request at `index` is answered.
    package func response(at index: Int, _ outcomes: [AppendOutcome]) -> Result<RelayAppendResponse, RPCError> {
        let row = rowOf[index]
        let outcome = outcomes[row]
        let isDelete = requests[index].kind == .delete
        switch outcome.verdict {
        case .stored, .duplicate:
            var response = RelayAppendResponse()
            response.conversation = outcome.conversation
            response.seq = outcome.seq
            response.sentAtMs = outcome.sentAt
            response.duplicate = outcome.verdict == .duplicate || firstOf[row] != index
            return .success(response)
        case .notFound: return .failure(.noConversation)
        case .forbidden:
            return .failure(RPCError(.forbidden, "The sender is not a member of the conversation."))
        case .refused: return .failure(RPCError(.forbidden, "You can't write to this user."))
        case .noMessage: return .failure(RPCError(.notFound, "There is no such message."))
        case .deleted: return .failure(RPCError(.conflict, "The message was deleted."))
        case .notAllowed where isDelete:
            return .failure(RPCError(.forbidden, "Only its author or an admin of the group may delete a message."))
        case .notAllowed: return .failure(RPCError(.forbidden, "Only its author may edit a message."))
        case .tooLate: return .failure(RPCError(.forbidden, "The message is too old to be edited."))
        case .tooMany:
            return .failure(
                RPCError(.conflict, "You can react with \(Limits.reactionsPerUser) different emojis to one message."))
        case .noReaction: return .failure(RPCError(.notFound, "There is no such reaction of yours."))
        }
    }

    /// What is to be pushed, in the order of the log within each conversation. What was stored by an earlier commit has to
    /// be read again: what it said is what counts, not what this request says.
    package func pushes(_ outcomes: [AppendOutcome]) -> (stored: [CommittedEvent], known: [AppendOutcome]) {
        var stored: [CommittedEvent] = []
        var known: [AppendOutcome] = []
        var deleted: Set<EventID> = []
        stored.reserveCapacity(rows.count)
        for row in rounds.joined() {
            let outcome = outcomes[row]
            switch outcome.verdict {
            case .stored:
                let event = LogEvent(requests[firstOf[row]], outcome)
                if event.kind == .delete { deleted.insert(event.amended) }
                stored.append(CommittedEvent(event: event, membership: outcome.membership))
            case .duplicate: known.append(outcome)
            case .notFound, .forbidden, .refused, .noMessage, .deleted, .notAllowed, .tooLate, .noReaction, .tooMany:
                break
            }
        }
        // What the same commit deleted is told to nobody.
        if !deleted.isEmpty {
            for index in stored.indices
            where stored[index].event.hasBody && deleted.contains(stored[index].event.amended) {
                stored[index].event.clearBody()
                stored[index].event.deleted = true
            }
        }
        return (stored, known)
    }
}

/// An event that is on disk, and the version of its conversation's membership when it got there.
package struct CommittedEvent: Sendable {
    package var event: LogEvent
    package var membership: Int64
}

extension AppendRow {
    init(_ request: RelayAppendRequest) {
        let isMessage = request.kind == .message
        let isEdit = request.kind == .edit
        let isReaction = request.kind == .reaction
        conversation = Int64(bitPattern: request.conversation)
        sender = Int64(bitPattern: request.sender)
        clientID = request.clientID.isEmpty ? nil : request.clientID
        kind = Int16(truncatingIfNeeded: request.kind.rawValue)
        body = isMessage || isEdit ? try? request.body.serializedBytes() : nil
        target = isMessage ? nil : request.target.column
        emoji = isReaction ? request.emoji : nil
        removed = isReaction && request.removed
        within = isEdit ? request.withinMs.column : 0
        mentions = isMessage || isEdit ? request.body.mentions : []
    }
}

extension LogEvent {
    init(_ request: RelayAppendRequest, _ outcome: AppendOutcome) {
        self.init()
        conversation = outcome.conversation
        seq = outcome.seq
        kind = request.kind
        sender = request.sender
        sentAtMs = outcome.sentAt
        clientID = request.clientID
        switch request.kind {
        case .message: body = request.body
        case .edit:
            body = request.body
            target = request.target
        case .delete: target = request.target
        case .reaction:
            target = request.target
            emoji = request.emoji
            removed = request.removed
        case .member, .group, .unspecified, .UNRECOGNIZED: break
        }
    }

    /// The message that it amends, or that it is.
    var amended: EventID {
        EventID(conversation: ConversationID(rawValue: conversation), seq: target == 0 ? seq : target)
    }
}

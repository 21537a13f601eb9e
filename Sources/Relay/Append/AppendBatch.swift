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
    package var target: Int64?
    package var emoji: String?
    package var removed: Bool
}

/// What became of an `AppendRow`.
package struct AppendOutcome: Sendable, Equatable {
    package enum Verdict: Int32, Sendable {
        case stored = 0
        /// The sender used this client_id before: conversation, seq and time are those of the first event.
        case duplicate = 1
        case notFound = 2
        case forbidden = 3
    }
    package var verdict: Verdict
    package var conversation: UInt64
    package var seq: UInt64
    package var sentAt: Int64
    /// The version of the conversation's membership at the commit.
    package var membership: Int64

    package init(verdict: Verdict, conversation: UInt64, seq: UInt64, sentAt: Int64, membership: Int64) {
        self.verdict = verdict
        self.conversation = conversation
        self.seq = seq
        self.sentAt = sentAt
        self.membership = membership
    }
}

/// The requests of one commit, as a value: one row for each event, however often the batch holds it.
package struct AppendBatch {
    private struct Source: Hashable {
        var sender: UInt64
        /// UTF-8, since PostgreSQL tells them apart by their bytes and Swift's strings do not.
        var clientID: [UInt8]
    }

    package let requests: [RelayAppendRequest]
    package private(set) var rows: [AppendRow] = []
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
            if !request.clientID.isEmpty {
                let source = Source(sender: request.sender, clientID: Array(request.clientID.utf8))
                if let row = known[source] {
                    rowOf.append(row)
                    continue
                }
                known[source] = rows.count
            }
            rowOf.append(rows.count)
            firstOf.append(index)
            rows.append(AppendRow(request))
        }
    }

    /// What the request at `index` is answered.
    package func response(at index: Int, _ outcomes: [AppendOutcome]) -> Result<RelayAppendResponse, RPCError> {
        let row = rowOf[index]
        let outcome = outcomes[row]
        switch outcome.verdict {
        case .stored, .duplicate:
            var response = RelayAppendResponse()
            response.conversation = outcome.conversation
            response.seq = outcome.seq
            response.sentAtMs = outcome.sentAt
            response.duplicate = outcome.verdict == .duplicate || firstOf[row] != index
            return .success(response)
        case .notFound:
            return .failure(RPCError(code: .notFound, message: "There is no such conversation."))
        case .forbidden:
            return .failure(RPCError(code: .forbidden, message: "The sender is not a member of the conversation."))
        }
    }

    /// What is to be pushed, in the order of the log within each conversation. What was stored by an earlier commit has to
    /// be read again: what it said is what counts, not what this request says.
    package func pushes(_ outcomes: [AppendOutcome]) -> (stored: [CommittedEvent], known: [AppendOutcome]) {
        var stored: [CommittedEvent] = []
        var known: [AppendOutcome] = []
        stored.reserveCapacity(rows.count)
        for (row, outcome) in outcomes.enumerated() {
            switch outcome.verdict {
            case .stored:
                stored.append(
                    CommittedEvent(event: LogEvent(requests[firstOf[row]], outcome), membership: outcome.membership))
            case .duplicate: known.append(outcome)
            case .notFound, .forbidden: break
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
        conversation = Int64(bitPattern: request.conversation)
        sender = Int64(bitPattern: request.sender)
        clientID = request.clientID.isEmpty ? nil : request.clientID
        kind = Int16(truncatingIfNeeded: request.kind.rawValue)
        body = request.hasBody ? try? request.body.serializedBytes() : nil
        target = request.target == 0 ? nil : Int64(bitPattern: request.target)
        emoji = request.emoji.isEmpty ? nil : request.emoji
        removed = request.removed
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
        if request.hasBody { body = request.body }
        target = request.target
        emoji = request.emoji
        removed = request.removed
    }
}

import Postgres
import Protocol

/// What events mean for the index. A value; the last word on each message counts.
struct IndexChanges: Equatable {
    struct Message: Hashable {
        var conversation: UInt64
        var seq: UInt64
    }

    struct Document: Equatable {
        var message: Message
        var sender: UInt64
        /// Unix milliseconds.
        var sentAt: Int64
        var text: String
    }

    private(set) var added: [Message: Document] = [:]
    /// New texts of messages that were added before.
    private(set) var edited: [Message: String] = [:]
    private(set) var deleted: Set<Message> = []

    init(_ events: [LogEvent]) {
        for event in events {
            switch event.kind {
            case .message:
                if event.deleted { continue }  // the event that says so follows
                let message = Message(conversation: event.conversation, seq: event.seq)
                added[message] = Document(
                    message: message, sender: event.sender, sentAt: event.sentAtMs, text: event.body.text)
            case .edit:
                if event.deleted { continue }
                let message = Message(conversation: event.conversation, seq: event.target)
                if added[message] == nil {
                    edited[message] = event.body.text
                } else {
                    added[message]?.text = event.body.text
                }
            case .delete:
                let message = Message(conversation: event.conversation, seq: event.target)
                added[message] = nil
                edited[message] = nil
                deleted.insert(message)
            case .reaction, .member, .group, .unspecified, .UNRECOGNIZED: continue
            }
        }
    }

    /// The statements that do it; doing it again changes nothing.
    func steps(language: String) -> [PostgresPool.Step] {
        var steps: [PostgresPool.Step] = []
        func columns(_ messages: some Collection<Message>) -> [PostgresValue] {
            [.int8s(messages.map { Int64($0.conversation) }), .int8s(messages.map { Int64($0.seq) })]
        }
        if !added.isEmpty {
            // In one order, so that two instances that both believe a shard to be theirs can't wait for each other.
            let documents = added.values.sorted {
                ($0.message.conversation, $0.message.seq) < ($1.message.conversation, $1.message.seq)
            }
            steps.append(
                (
                    Self.add,
                    columns(documents.map(\.message)) + [
                        .int8s(documents.map { Int64($0.sender) }), .timestampArray(documents.map(\.sentAt)),
                        .textArray(documents.map { Fragment.cleaned($0.text) }), .text(language),
                    ]
                ))
        }
        if !edited.isEmpty {
            let edited = edited.map { (message: $0.key, text: $0.value) }
            steps.append(
                (
                    Self.edit,
                    columns(edited.map(\.message)) + [
                        .textArray(edited.map { Fragment.cleaned($0.text) }), .text(language),
                    ]
                ))
        }
        if !deleted.isEmpty { steps.append((Self.delete, columns(deleted))) }
        return steps
    }

    private static let add: Statement = """
        INSERT INTO search.documents (conversation, seq, sender, sent_at, tsv)
        SELECT conversation, seq, sender, sent_at, to_tsvector($6::text::regconfig, text)
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[])
            AS i (conversation, seq, sender, sent_at, text)
        ON CONFLICT (seq, conversation) DO UPDATE SET tsv = excluded.tsv
        """

    private static let edit: Statement = """
        UPDATE search.documents d SET tsv = to_tsvector($4::text::regconfig, i.text)
        FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS i (conversation, seq, text)
        WHERE d.conversation = i.conversation AND d.seq = i.seq
        """

    private static let delete: Statement = """
        DELETE FROM search.documents d USING unnest($1::bigint[], $2::bigint[]) AS i (conversation, seq)
        WHERE d.conversation = i.conversation AND d.seq = i.seq
        """
}

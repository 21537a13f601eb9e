import ChatModel
import Hummingbird
import ServiceKit

/// What a user looks for.
struct SearchQuery: Sendable, Equatable {
    /// UTF-8 bytes of the words at most.
    static let textBytes = 512

    /// As `websearch_to_tsquery` reads it.
    var text: String
    var conversation: ConversationID?
    /// The author.
    var sender: UInt64?
    /// Only messages sent before, or after, these times in Unix milliseconds.
    var before: Int64?
    var after: Int64?

    /// - Throws: `invalid`, naming the parameter.
    init(_ request: Request) throws(Problem) {
        guard let raw = Self.raw("q", request) else { throw .field("q", "is required") }
        guard let decoded = PercentEncoding.decode(raw, plusIsSpace: true) else {
            throw .field("q", "is no percent-encoded UTF-8")
        }
        guard decoded.utf8.count <= Self.textBytes else { throw .field("q", "longer than \(Self.textBytes) bytes") }
        text = Fragment.cleaned(decoded)
        guard text.contains(where: { !$0.isWhitespace }) else { throw .field("q", "is required") }
        if let text = request.uri.queryParameters["conversation"] {
            guard let id = ConversationID(text) else { throw .field("conversation", "is no id") }
            conversation = id
        }
        if let text = request.uri.queryParameters["from"] {
            guard let id = UserID(text) else { throw .field("from", "is no id") }
            sender = id.rawValue
        }
        before = try Self.time("before", request)
        after = try Self.time("after", request)
    }

    private static func time(_ name: String, _ request: Request) throws(Problem) -> Int64? {
        guard let text = request.uri.queryParameters[name[...]] else { return nil }
        guard let time = Timestamp(text) else { throw .field(name, "must be a time like 2026-11-20T10:00:00.000Z") }
        return time.milliseconds
    }

    /// A parameter as it was sent: a query of words is written as forms are, with a plus for a space.
    private static func raw(_ name: String, _ request: Request) -> Substring? {
        request.uri.query?.split(separator: "&").first { $0.hasPrefix(name + "=") }?.dropFirst(name.count + 1)
    }
}

extension SearchIndex.Position {
    /// The place that a client's cursor stands for; nil where it stands for none.
    init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let sentAt = Int64(parts[0], radix: 36), sentAt >= 0, sentAt < 1 << 48,
            let conversation = UInt64(parts[1], radix: 36), conversation <= UInt64(Int64.max),
            let seq = UInt64(parts[2], radix: 36), seq <= UInt64(Int64.max)
        else { return nil }
        self.init(sentAt: sentAt, conversation: conversation, seq: seq)
    }

    /// Opaque to clients: base-36 of all three.
    var text: String {
        [String(sentAt, radix: 36), String(conversation, radix: 36), String(seq, radix: 36)].joined(separator: ".")
    }
}

package import ChatModel

/// The last event of each conversation that a connection has been given: a sorted array, 16 bytes a conversation, since
/// there is one of these for every connection and most of them hold still.
package struct ConversationCursors: Sendable {
    private struct Entry {
        var conversation: UInt64
        var seq: UInt64
    }

    private var entries: ContiguousArray<Entry> = []

    package init() {}

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }

    /// All of them, by conversation.
    package var all: [EventID] {
        entries.map { EventID(conversation: ConversationID(rawValue: $0.conversation), seq: $0.seq) }
    }

    package subscript(conversation: ConversationID) -> UInt64? {
        get {
            let index = index(of: conversation.rawValue)
            guard index < entries.count, entries[index].conversation == conversation.rawValue else { return nil }
            return entries[index].seq
        }
        set {
            let index = index(of: conversation.rawValue)
            let exists = index < entries.count && entries[index].conversation == conversation.rawValue
            switch (newValue, exists) {
            case (let seq?, true): entries[index].seq = seq
            case (let seq?, false): entries.insert(Entry(conversation: conversation.rawValue, seq: seq), at: index)
            case (nil, true): entries.remove(at: index)
            case (nil, false): break
            }
        }
    }

    package mutating func reserve(_ count: Int) { entries.reserveCapacity(count) }

    /// Where the conversation is or would be.
    private func index(of conversation: UInt64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].conversation < conversation { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

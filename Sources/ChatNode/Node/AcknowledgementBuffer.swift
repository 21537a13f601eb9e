package import ChatModel
package import Protocol

/// What devices hold and users have read, gathered: of each device and conversation only the furthest counts. Losing some
/// costs a repeat after a reconnect, so a bound is safe.
package struct AcknowledgementBuffer {
    private struct Key: Hashable {
        var device: UInt64
        var conversation: UInt64
    }

    private let limit: Int
    private var entries: [Key: RelayAcknowledgement] = [:]

    package init(limit: Int = 50_000) { self.limit = limit }

    package var isEmpty: Bool { entries.isEmpty }
    package var count: Int { entries.count }

    package mutating func add(_ acknowledgement: RelayAcknowledgement) {
        let key = Key(device: acknowledgement.device, conversation: acknowledgement.conversation)
        guard var existing = entries[key] else {
            if entries.count < limit { entries[key] = acknowledgement }
            return
        }
        existing.delivered = max(existing.delivered, acknowledgement.delivered)
        existing.read = max(existing.read, acknowledgement.read)
        entries[key] = existing
    }

    /// All of it, in batches of at most `size` for each key that `peer` gives a conversation.
    package mutating func drain<Peer: Hashable>(
        size: Int = 1000, by peer: (ConversationID) -> Peer
    ) -> [[RelayAcknowledgement]] {
        var groups: [Peer: [RelayAcknowledgement]] = [:]
        var batches: [[RelayAcknowledgement]] = []
        for acknowledgement in entries.values {
            let key = peer(ConversationID(rawValue: acknowledgement.conversation))
            groups[key, default: []].append(acknowledgement)
            if groups[key]!.count >= size { batches.append(groups.removeValue(forKey: key)!) }
        }
        entries = [:]
        return batches + groups.values
    }
}

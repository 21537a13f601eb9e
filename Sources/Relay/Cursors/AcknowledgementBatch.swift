package import Protocol

/// Acknowledgements of one commit, as a value: cursors only move forward, so those of the same device and conversation are
/// one, the furthest.
package struct AcknowledgementBatch {
    private struct Key: Hashable {
        var user: UInt64
        var device: UInt64
        var conversation: UInt64
    }

    package private(set) var merged: [RelayAcknowledgement] = []
    private var indices: [Key: Int] = [:]

    package init(_ acknowledgements: some Sequence<RelayAcknowledgement>) {
        for acknowledgement in acknowledgements { add(acknowledgement) }
    }

    private mutating func add(_ added: RelayAcknowledgement) {
        let key = Key(user: added.user, device: added.device, conversation: added.conversation)
        if let index = indices[key] {
            merged[index].delivered = max(merged[index].delivered, added.delivered)
            merged[index].read = max(merged[index].read, added.read)
        } else {
            indices[key] = merged.count
            merged.append(added)
        }
    }
}

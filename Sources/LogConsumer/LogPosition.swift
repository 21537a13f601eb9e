package import Protocol

/// A place in the order of the log's commits: what is at or before it was consumed.
package struct LogPosition: Hashable, Sendable, Comparable {
    package var transaction: UInt64
    package var conversation: UInt64
    package var seq: UInt64

    package init(transaction: UInt64, conversation: UInt64, seq: UInt64) {
        self.transaction = transaction
        self.conversation = conversation
        self.seq = seq
    }

    package init(_ wire: RelayLogPosition) {
        self.init(transaction: wire.transaction, conversation: wire.conversation, seq: wire.seq)
    }

    package static let beginning = LogPosition(transaction: 0, conversation: 0, seq: 0)

    var wire: RelayLogPosition {
        var wire = RelayLogPosition()
        wire.transaction = transaction
        wire.conversation = conversation
        wire.seq = seq
        return wire
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.transaction, left.conversation, left.seq) < (right.transaction, right.conversation, right.seq)
    }
}

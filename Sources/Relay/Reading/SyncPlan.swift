/// What a sync has still to read, as a value: which ranges of which conversations the next query asks for, and how its rows
/// are cut into pages.
package struct SyncPlan: Sendable {
    /// A conversation that is part of a sync: the events (after, head] follow.
    package struct Position: Sendable, Equatable {
        package var conversation: UInt64
        package var after: UInt64
        package var head: UInt64

        package init(conversation: UInt64, after: UInt64, head: UInt64) {
            self.conversation = conversation
            self.after = after
            self.head = head
        }
    }

    /// A conversation as the store knows it for a device.
    package struct Standing: Sendable, Equatable {
        package var conversation: UInt64
        /// The device's cursor, or where the user joined.
        package var acknowledged: UInt64
        /// The last event that the user may see.
        package var head: UInt64
        package var joined: UInt64
        /// Events up to this one are no longer kept.
        package var floor: UInt64

        package init(conversation: UInt64, acknowledged: UInt64, head: UInt64, joined: UInt64, floor: UInt64) {
            self.conversation = conversation
            self.acknowledged = acknowledged
            self.head = head
            self.joined = joined
            self.floor = floor
        }
    }

    /// Every conversation that is part of the sync, those that lack nothing included: the first live event after the sync
    /// is then known to be the next.
    package let positions: [Position]
    /// False: something between a cursor and what follows is not there (no longer kept, or the client holds events that
    /// this log does not know).
    package let isComplete: Bool
    private var remaining: [Position]
    private var first = 0

    package init(_ standings: [Standing], cursors: [UInt64: UInt64]) {
        var positions: [Position] = []
        positions.reserveCapacity(standings.count)
        var isComplete = true
        for standing in standings {
            let wanted = cursors[standing.conversation] ?? standing.acknowledged
            if wanted > standing.head { isComplete = false }
            var after = min(max(wanted, standing.joined), max(standing.head, standing.joined))
            if after < standing.floor, after < standing.head {
                isComplete = false
                after = min(standing.floor, standing.head)
            }
            positions.append(
                Position(conversation: standing.conversation, after: after, head: max(standing.head, after)))
        }
        self.positions = positions
        self.isComplete = isComplete
        remaining = positions.filter { $0.after < $0.head }
    }

    /// The ranges to read next, together at most `limit` events; empty: all has been read.
    package mutating func next(limit: Int) -> [Position] {
        var ranges: [Position] = []
        var left = UInt64(limit)
        while left > 0, first < remaining.count {
            let position = remaining[first]
            let count = min(left, position.head - position.after)
            ranges.append(
                Position(
                    conversation: position.conversation, after: position.after, head: position.after + count))
            remaining[first].after += count
            left -= count
            if remaining[first].after == position.head { first += 1 }
        }
        return ranges
    }

    /// Cuts rows into pages of at most `bytes`, each with at least one.
    package static func pages<Row>(_ rows: [Row], bytes: Int, size: (Row) -> Int) -> [ArraySlice<Row>] {
        var pages: [ArraySlice<Row>] = []
        var start = 0
        var sum = 0
        for (index, row) in rows.enumerated() {
            let next = size(row)
            if index > start, sum + next > bytes {
                pages.append(rows[start..<index])
                start = index
                sum = 0
            }
            sum += next
        }
        if start < rows.count { pages.append(rows[start...]) }
        return pages
    }
}

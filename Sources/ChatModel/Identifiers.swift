/// A 63-bit identifier: a positive `bigint` in PostgreSQL, a `fixed64` between processes, its decimal digits (an opaque
/// string) to clients.
package protocol Identifier: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible
where RawValue == UInt64 {
    init(rawValue: UInt64)
}

extension Identifier {
    /// The identifier that a client's string stands for, or nil where it stands for none: anything but the decimal
    /// digits of 1 ... 2^63-1 without sign, blanks or leading zeros.
    package init?(_ string: some StringProtocol) {
        var value: UInt64 = 0
        var digits = 0
        for byte in string.utf8 {
            guard byte >= 0x30, byte <= 0x39, digits < 19, digits > 0 || byte > 0x30 else { return nil }
            value = value * 10 + UInt64(byte - 0x30)
            digits += 1
        }
        guard digits > 0, value <= UInt64(Int64.max) else { return nil }
        self.init(rawValue: value)
    }

    /// The identifier that PostgreSQL's signed column holds.
    package init(column: Int64) { self.init(rawValue: UInt64(bitPattern: column)) }

    /// The value for PostgreSQL's signed column.
    package var column: Int64 { Int64(bitPattern: rawValue) }

    /// The identifier as clients see it.
    package var description: String { String(rawValue) }

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// A new random identifier. Whoever stores it must have a uniqueness constraint and draw again on a conflict.
    package static func random(using generator: inout some RandomNumberGenerator) -> Self {
        Self(rawValue: UInt64.random(in: 1...UInt64(Int64.max), using: &generator))
    }

    package static func random() -> Self {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }
}

package struct UserID: Identifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

package struct DeviceID: Identifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// A conversation; of a group also the group itself. Its lowest bit says which kind it was made as, so that whoever passes a
/// call on knows to which service, and needs to know nothing else of it.
package struct ConversationID: Identifier {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    package var isGroup: Bool { rawValue & 1 == 1 }

    package static func randomDirect() -> Self { Self(rawValue: UInt64.random(in: 1...UInt64(Int64.max) / 2) << 1) }
    package static func randomGroup() -> Self { Self(rawValue: random().rawValue | 1) }
}

/// What identifies an event to clients: its place in the log. Nothing of it is stored.
package struct EventID: Hashable, Sendable, CustomStringConvertible {
    package var conversation: ConversationID
    /// From 1.
    package var seq: UInt64

    package init(conversation: ConversationID, seq: UInt64) {
        self.conversation = conversation
        self.seq = seq
    }

    /// The event that a client's string stands for, or nil where it stands for none.
    package init?(_ string: some StringProtocol) {
        guard let dash = string.utf8.firstIndex(of: 0x2D),
            let conversation = ConversationID(string[..<dash]),
            // A seq has an identifier's form: positive, decimal, without leading zeros.
            let seq = ConversationID(string[string.utf8.index(after: dash)...])
        else { return nil }
        self.init(conversation: conversation, seq: seq.rawValue)
    }

    package var description: String { "\(conversation)-\(seq)" }
}

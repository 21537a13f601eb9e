/// Checks UTF-8 (RFC 3629) piece by piece: a sequence may be cut anywhere.
package struct UTF8Validator: Sendable {
    /// Continuation bytes that the current sequence still needs.
    private var missing: UInt8 = 0
    /// What the next continuation byte may be; narrower than 0x80...0xBF only for the first one.
    private var lower: UInt8 = 0x80
    private var upper: UInt8 = 0xBF

    package init() {}

    /// Whether the text may end here.
    package var isComplete: Bool { missing == 0 }

    /// False as soon as the bytes so far can't begin any UTF-8 text.
    package mutating func consume(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            if missing == 0 {
                while index + 8 <= count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    index += 8
                }
                guard index < count else { break }
                let byte = bytes[index]
                index += 1
                if byte < 0x80 { continue }
                lower = 0x80
                upper = 0xBF
                switch byte {
                case 0xC2...0xDF: missing = 1
                case 0xE0: (missing, lower) = (2, 0xA0)
                case 0xE1...0xEC, 0xEE...0xEF: missing = 2
                case 0xED: (missing, upper) = (2, 0x9F)
                case 0xF0: (missing, lower) = (3, 0x90)
                case 0xF1...0xF3: missing = 3
                case 0xF4: (missing, upper) = (3, 0x8F)
                default: return false
                }
            } else {
                let byte = bytes[index]
                index += 1
                guard byte >= lower, byte <= upper else { return false }
                lower = 0x80
                upper = 0xBF
                missing -= 1
            }
        }
        return true
    }
}

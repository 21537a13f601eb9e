/// Writes JSON into a byte array. Commas are its business, names are the caller's: they must need no escaping.
///
/// A member is one step: there is room for all of it before its first byte is written, and none of them is looked at again.
struct JSONWriter {
    private(set) var bytes: [UInt8]
    private var comma = false

    /// `storage` gives its memory; its contents go.
    init(reusing storage: consuming [UInt8]) {
        bytes = storage
        bytes.removeAll(keepingCapacity: true)
    }

    /// Appends a member's name and what `value` puts behind it, at most `bound` bytes.
    @inline(__always)
    private mutating func member(_ name: StaticString, atMost bound: Int, _ value: (inout ByteCursor) -> Void) {
        let separated = comma
        comma = true
        bytes.append(atMost: name.utf8CodeUnitCount + 4 + bound) { cursor in
            if separated { cursor.put(UInt8(ascii: ",")) }
            cursor.put(UInt8(ascii: "\""))
            cursor.put(name)
            cursor.put(UInt8(ascii: "\""))
            cursor.put(UInt8(ascii: ":"))
            value(&cursor)
        }
    }

    /// Begins an object that is the text, or an array's element.
    mutating func beginObject() {
        if comma { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "{"))
        comma = false
    }

    mutating func beginObject(_ name: StaticString) {
        member(name, atMost: 1) { $0.put(UInt8(ascii: "{")) }
        comma = false
    }

    mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        comma = true
    }

    mutating func beginArray(_ name: StaticString) {
        member(name, atMost: 1) { $0.put(UInt8(ascii: "[")) }
        comma = false
    }

    mutating func endArray() {
        bytes.append(UInt8(ascii: "]"))
        comma = true
    }

    /// The member that says which frame it is.
    mutating func type(_ value: StaticString) { member("type", fixed: value) }

    /// A text that needs no escaping.
    mutating func member(_ name: StaticString, fixed value: StaticString) {
        member(name, atMost: value.utf8CodeUnitCount + 2) { cursor in
            cursor.put(UInt8(ascii: "\""))
            cursor.put(value)
            cursor.put(UInt8(ascii: "\""))
        }
    }

    mutating func member(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { utf8 in
            if JSONText.firstToEscape(in: UnsafeRawBufferPointer(utf8), from: 0) == utf8.count {
                member(name, atMost: utf8.count + 2) { cursor in
                    cursor.put(UInt8(ascii: "\""))
                    cursor.put(utf8)
                    cursor.put(UInt8(ascii: "\""))
                }
            } else {
                member(name, atMost: 0) { _ in }
                escaped(utf8)
            }
        }
    }

    /// Left out where it is empty.
    mutating func optional(_ name: StaticString, _ value: String) {
        if !value.isEmpty { member(name, value) }
    }

    mutating func null(_ name: StaticString) { member(name, word: "null") }

    mutating func member(_ name: StaticString, _ value: Bool) { member(name, word: value ? "true" : "false") }

    private mutating func member(_ name: StaticString, word: StaticString) {
        member(name, atMost: word.utf8CodeUnitCount) { $0.put(word) }
    }

    mutating func member(_ name: StaticString, _ value: UInt64) {
        member(name, atMost: Decimal.digits) { $0.put(decimal: value) }
    }

    mutating func member(_ name: StaticString, milliseconds: Int64) {
        member(name, atMost: RFC3339.bytes + 2) { cursor in
            cursor.put(UInt8(ascii: "\""))
            cursor.put(milliseconds: milliseconds)
            cursor.put(UInt8(ascii: "\""))
        }
    }

    mutating func member(_ name: StaticString, _ values: [String]) {
        beginArray(name)
        for value in values { element(value) }
        endArray()
    }

    mutating func member(_ name: StaticString, _ values: [String: UInt64]) {
        beginObject(name)
        for (key, value) in values {
            element(key)
            bytes.append(atMost: 1 + Decimal.digits) { cursor in
                cursor.put(UInt8(ascii: ":"))
                cursor.put(decimal: value)
            }
        }
        endObject()
    }

    /// An identifier as clients see it.
    mutating func member(_ name: StaticString, decimal value: UInt64) {
        member(name, atMost: Decimal.digits + 2) { cursor in
            cursor.put(UInt8(ascii: "\""))
            cursor.put(decimal: value)
            cursor.put(UInt8(ascii: "\""))
        }
    }

    /// The identifier of an event as clients see it.
    mutating func member(_ name: StaticString, decimal value: UInt64, dash second: UInt64) {
        member(name, atMost: 2 * Decimal.digits + 3) { cursor in
            cursor.put(UInt8(ascii: "\""))
            cursor.put(decimal: value)
            cursor.put(UInt8(ascii: "-"))
            cursor.put(decimal: second)
            cursor.put(UInt8(ascii: "\""))
        }
    }

    /// Identifiers as clients see them.
    mutating func member(_ name: StaticString, decimals values: [UInt64]) {
        member(name, atMost: 2 + values.count * (Decimal.digits + 3)) { cursor in
            cursor.put(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { cursor.put(UInt8(ascii: ",")) }
                cursor.put(UInt8(ascii: "\""))
                cursor.put(decimal: value)
                cursor.put(UInt8(ascii: "\""))
            }
            cursor.put(UInt8(ascii: "]"))
        }
    }

    /// A string that is an array's element or a member's name.
    private mutating func element(_ value: String) {
        if comma { bytes.append(UInt8(ascii: ",")) }
        comma = true
        var value = value
        value.withUTF8 { escaped($0) }
    }

    /// A string in its quotes.
    private mutating func escaped(_ utf8: UnsafeBufferPointer<UInt8>) {
        bytes.append(UInt8(ascii: "\""))
        var clean = 0  // everything before is written
        while true {
            let next = JSONText.firstToEscape(in: UnsafeRawBufferPointer(utf8), from: clean)
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: utf8[clean..<next]))
            guard next < utf8.count else { break }
            escape(utf8[next])
            clean = next + 1
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x22, 0x5C: bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            bytes.append(atMost: 5) { cursor in
                cursor.put("u00")
                cursor.put(byte >> 4 == 0 ? UInt8(ascii: "0") : UInt8(ascii: "1"))  // all are below 0x20
                let digit = byte & 15
                cursor.put(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
    }
}

/// What JSON says about the bytes of a text (RFC 8259, section 7).
enum JSONText {
    /// Where the first byte is that a string can't have as it is (a quote ends it), from `start` on; the count where there is none.
    static func firstToEscape(in raw: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard let base = raw.baseAddress else { return 0 }
        var index = start
        while index + 8 <= raw.count {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let marks = mustEscape(word)
            if marks != 0 { return index + marks.trailingZeroBitCount / 8 }
            index += 8
        }
        while index < raw.count, raw[index] >= 0x20, raw[index] != 0x22, raw[index] != 0x5C { index += 1 }
        return index
    }

    /// Marks the lowest of eight bytes that is a control character, a quote or a backslash, and perhaps others above it.
    /// ("Bit Twiddling Hacks", determine if a word has a byte less than n: subtracting n borrows into the highest bit of
    /// such a byte, if that was not set; only what is above such a byte can be marked wrongly.)
    private static func mustEscape(_ word: UInt64) -> UInt64 {
        let each: UInt64 = 0x0101_0101_0101_0101
        let quote = word ^ (each * 0x22)
        let backslash = word ^ (each * 0x5C)
        let low = (word &- each * 0x20) & ~word
        let special = (quote &- each) & ~quote | (backslash &- each) & ~backslash
        return (low | special) & (each * 0x80)
    }
}

/// Reads one JSON text (RFC 8259) member by member, straight from the bytes of a frame. Keeps nothing, allocates only the
/// strings that are asked for, and throws at the first byte that does not belong: no input traps or recurses without bound.
struct JSONScanner {
    /// Objects and arrays within each other.
    static let maximumDepth = 16
    /// The largest integer that every JSON implementation holds exactly: 2^53.
    static let maximumInteger: UInt64 = 1 << 53

    private let bytes: UnsafeRawBufferPointer
    private(set) var index = 0
    private var depth = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// A member's name as it stands in the text, without its quotes; names with escapes match nothing.
    struct Key {
        fileprivate let bytes: UnsafeRawBufferPointer

        static func ~= (name: StaticString, key: Key) -> Bool {
            guard name.utf8CodeUnitCount == key.bytes.count else { return false }
            for index in 0..<key.bytes.count where name.utf8Start[index] != key.bytes[index] { return false }
            return true
        }
    }

    private static func malformed(_ message: String) -> ClientFrameError {
        ClientFrameError(.malformed, "not valid JSON: " + message)
    }

    // MARK: Structure

    private mutating func skipBlanks() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    /// The next byte that is no blank, not consumed.
    private mutating func peek() throws(ClientFrameError) -> UInt8 {
        skipBlanks()
        guard index < bytes.count else { throw Self.malformed("it ends too early") }
        return bytes[index]
    }

    private mutating func consume(_ byte: UInt8) -> Bool {
        skipBlanks()
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func enter() throws(ClientFrameError) {
        depth += 1
        guard depth <= Self.maximumDepth else { throw Self.malformed("nested too deeply") }
    }

    /// Nothing but blanks may follow.
    mutating func end() throws(ClientFrameError) {
        skipBlanks()
        guard index == bytes.count else { throw Self.malformed("something follows the object") }
    }

    /// Reads an object; `member` must consume the value of each member (or `skip` it).
    mutating func object(
        _ field: @autoclosure () -> String?, member: (inout JSONScanner, Key) throws(ClientFrameError) -> Void
    ) throws(ClientFrameError) {
        guard try peek() == UInt8(ascii: "{") else { throw try wrongType(field(), "must be an object") }
        index += 1
        try enter()
        defer { depth -= 1 }
        if consume(UInt8(ascii: "}")) { return }
        repeat {
            guard try peek() == UInt8(ascii: "\"") else { throw Self.malformed("a member's name must be a string") }
            let key = try rawString()
            if key.escaped {
                _ = try unescape(key.bytes)
            } else {
                try check(key.bytes)
            }
            guard consume(UInt8(ascii: ":")) else { throw Self.malformed("a colon is missing") }
            try member(&self, Key(bytes: key.escaped ? UnsafeRawBufferPointer(rebasing: bytes[0..<0]) : key.bytes))
        } while consume(UInt8(ascii: ","))
        guard consume(UInt8(ascii: "}")) else { throw Self.malformed("an object does not end") }
    }

    /// The value of an object's first member, if that has this name and is a string.
    mutating func leadingString(_ name: StaticString, limit: Int) -> String? {
        guard consume(UInt8(ascii: "{")), (try? peek()) == UInt8(ascii: "\""), let key = try? rawString(), !key.escaped,
            name ~= Key(bytes: key.bytes), consume(UInt8(ascii: ":"))
        else { return nil }
        return try? string(nil, limit: limit)
    }

    /// Reads an array; `element` must consume each element.
    mutating func array(
        _ field: @autoclosure () -> String?, element: (inout JSONScanner) throws(ClientFrameError) -> Void
    ) throws(ClientFrameError) {
        guard try peek() == UInt8(ascii: "[") else { throw try wrongType(field(), "must be an array") }
        index += 1
        try enter()
        defer { depth -= 1 }
        if consume(UInt8(ascii: "]")) { return }
        repeat { try element(&self) } while consume(UInt8(ascii: ","))
        guard consume(UInt8(ascii: "]")) else { throw Self.malformed("an array does not end") }
    }

    /// Reads past any value, checking its form.
    mutating func skip() throws(ClientFrameError) {
        switch try peek() {
        case UInt8(ascii: "{"):
            try object(nil) { (scanner, _) throws(ClientFrameError) in try scanner.skip() }
        case UInt8(ascii: "["):
            try array(nil) { (scanner) throws(ClientFrameError) in try scanner.skip() }
        case UInt8(ascii: "\""):
            let string = try rawString()
            if string.escaped { _ = try unescape(string.bytes) } else { try check(string.bytes) }
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: _ = try number()
        }
    }

    /// Whether the value is `null`; consumes it if so. An optional field that is null counts as left out.
    mutating func null() throws(ClientFrameError) -> Bool {
        guard try peek() == UInt8(ascii: "n") else { return false }
        try literal("null")
        return true
    }

    private mutating func literal(_ word: StaticString) throws(ClientFrameError) {
        let expected = UnsafeRawBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard bytes.count - index >= expected.count, bytes[index..<(index + expected.count)].elementsEqual(expected)
        else { throw Self.malformed("an unknown word") }
        index += expected.count
    }

    /// The error for a value of the wrong type; where the value is no JSON at all, that is the error.
    private mutating func wrongType(_ field: String?, _ message: String) throws(ClientFrameError) -> ClientFrameError {
        var ahead = self
        try ahead.skip()
        return ClientFrameError(.wrongType, field: field, message)
    }

    // MARK: Values

    mutating func bool(_ field: @autoclosure () -> String?) throws(ClientFrameError) -> Bool {
        switch try peek() {
        case UInt8(ascii: "t"):
            try literal("true")
            return true
        case UInt8(ascii: "f"):
            try literal("false")
            return false
        default: throw try wrongType(field(), "must be true or false")
        }
    }

    /// A whole number from `minimum` to 2^53.
    mutating func integer(
        _ field: @autoclosure () -> String?, minimum: UInt64 = 1
    ) throws(ClientFrameError) -> UInt64 {
        let first = try peek()
        guard first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else {
            throw try wrongType(field(), "must be a number")
        }
        let digits = try number()
        let range = "must be a whole number from \(minimum) to 2^53"
        guard let digits, digits.count <= 16 else { throw ClientFrameError(.invalidValue, field: field(), range) }
        var value: UInt64 = 0
        for byte in digits { value = value * 10 + UInt64(byte - 0x30) }
        guard value >= minimum, value <= Self.maximumInteger else {
            throw ClientFrameError(.invalidValue, field: field(), range)
        }
        return value
    }

    /// Reads a number; its digits if it is a whole one without sign, fraction and exponent.
    private mutating func number() throws(ClientFrameError) -> UnsafeRawBufferPointer? {
        let start = index
        var whole = true
        if index < bytes.count, bytes[index] == UInt8(ascii: "-") {
            whole = false
            index += 1
        }
        let first = index
        try digits()
        guard bytes[first] != 0x30 || index - first == 1 else { throw Self.malformed("a number begins with 0") }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            whole = false
            index += 1
            try digits()
        }
        if index < bytes.count, bytes[index] | 0x20 == UInt8(ascii: "e") {
            whole = false
            index += 1
            if index < bytes.count, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            try digits()
        }
        return whole ? UnsafeRawBufferPointer(rebasing: bytes[start..<index]) : nil
    }

    private mutating func digits() throws(ClientFrameError) {
        let start = index
        while index < bytes.count, (0x30...0x39).contains(bytes[index]) { index += 1 }
        guard index > start else { throw Self.malformed("a value is missing or not recognised") }
    }

    /// A string of at most `limit` bytes of UTF-8.
    mutating func string(
        _ field: @autoclosure () -> String?, limit: Int
    ) throws(ClientFrameError) -> String {
        guard try peek() == UInt8(ascii: "\"") else { throw try wrongType(field(), "must be a string") }
        let raw = try rawString()
        let value = raw.escaped ? try unescape(raw.bytes) : try text(raw.bytes)
        guard value.utf8.count <= limit else {
            throw ClientFrameError(.tooLong, field: field(), "longer than \(limit) bytes")
        }
        return value
    }

    /// A member's name as a string: for objects whose names are data.
    func name(_ key: Key, _ field: @autoclosure () -> String?, limit: Int) throws(ClientFrameError) -> String {
        guard !key.bytes.isEmpty, key.bytes.count <= limit else {
            throw ClientFrameError(.invalidValue, field: field(), "has a name that is empty, too long or escaped")
        }
        return try text(key.bytes)
    }

    private func text(_ raw: UnsafeRawBufferPointer) throws(ClientFrameError) -> String {
        guard let text = Self.valid(raw) else { throw Self.malformed("not UTF-8") }
        return text
    }

    /// The text that bytes are in UTF-8; nil where they are none.
    private static func valid(_ raw: UnsafeRawBufferPointer) -> String? {
        // Not `String(validating:as:)`, which is generic and half of whose time for a short text goes by looking up types.
        raw.withMemoryRebound(to: UInt8.self) { utf8 in
            guard let span = try? UTF8Span(validating: utf8.span) else { return nil }
            return String(copying: span)
        }
    }

    /// Whether it is UTF-8, which all of ASCII is.
    private func check(_ raw: UnsafeRawBufferPointer) throws(ClientFrameError) {
        if raw.contains(where: { $0 >= 0x80 }) { _ = try text(raw) }
    }

    /// The bytes between a string's quotes, and whether there is an escape among them.
    private mutating func rawString() throws(ClientFrameError) -> (bytes: UnsafeRawBufferPointer, escaped: Bool) {
        index += 1  // the quote
        let start = index
        var escaped = false
        while true {
            index = JSONText.firstToEscape(in: bytes, from: index)
            guard index < bytes.count else { throw Self.malformed("a string does not end") }
            switch bytes[index] {
            case UInt8(ascii: "\""):
                let raw = UnsafeRawBufferPointer(rebasing: bytes[start..<index])
                index += 1
                return (raw, escaped)
            case UInt8(ascii: "\\"):
                escaped = true
                index += 2
            default: throw Self.malformed("a control character in a string")
            }
        }
    }

    private func unescape(_ raw: UnsafeRawBufferPointer) throws(ClientFrameError) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(raw.count)
        var at = 0
        while at < raw.count {
            let byte = raw[at]
            at += 1
            guard byte == UInt8(ascii: "\\") else {
                out.append(byte)
                continue
            }
            guard at < raw.count else { throw Self.malformed("an escape does not end") }
            let kind = raw[at]
            at += 1
            switch kind {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(kind)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"): out.append(contentsOf: UTF8.encode(try scalar(raw, &at))!)
            default: throw Self.malformed("an unknown escape")
            }
        }
        guard let value = out.withUnsafeBytes({ Self.valid($0) }) else { throw Self.malformed("not UTF-8") }
        return value
    }

    /// The scalar of `\uXXXX`, or of two of them that are a surrogate pair; `at` is behind the first `u`.
    private func scalar(_ raw: UnsafeRawBufferPointer, _ at: inout Int) throws(ClientFrameError) -> Unicode.Scalar {
        let first = try hexadecimal(raw, &at)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard (0xD800...0xDBFF).contains(first), at + 1 < raw.count, raw[at] == UInt8(ascii: "\\"),
            raw[at + 1] == UInt8(ascii: "u")
        else { throw Self.malformed("half a surrogate pair") }
        at += 2
        let second = try hexadecimal(raw, &at)
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw Self.malformed("half a surrogate pair") }
        return scalar
    }

    private func hexadecimal(_ raw: UnsafeRawBufferPointer, _ at: inout Int) throws(ClientFrameError) -> UInt32 {
        guard at + 4 <= raw.count else { throw Self.malformed("an escape does not end") }
        var value: UInt32 = 0
        for byte in raw[at..<(at + 4)] {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: throw Self.malformed("an escape with another digit than 0-9, a-f")
            }
            value = value << 4 | UInt32(digit)
        }
        at += 4
        return value
    }
}

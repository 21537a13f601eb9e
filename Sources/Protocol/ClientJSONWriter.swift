/// Writes JSON into a byte array. Commas are its business, names are the caller's: they must need no escaping.
struct JSONWriter {
    private(set) var bytes: [UInt8]
    private var comma = false

    /// `storage` gives its memory; its contents go.
    init(reusing storage: consuming [UInt8]) {
        bytes = storage
        bytes.removeAll(keepingCapacity: true)
    }

    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func name(_ name: StaticString) {
        append(comma ? ",\"" : "\"")
        append(name)
        append("\":")
        comma = true
    }

    mutating func beginObject() {
        bytes.append(UInt8(ascii: "{"))
        comma = false
    }

    mutating func beginObject(_ name: StaticString) {
        self.name(name)
        beginObject()
    }

    mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        comma = true
    }

    /// The member that says which frame it is.
    mutating func type(_ value: StaticString) {
        name("type")
        bytes.append(UInt8(ascii: "\""))
        append(value)
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func member(_ name: StaticString, _ value: String) {
        self.name(name)
        string(value)
    }

    /// Left out where it is empty.
    mutating func optional(_ name: StaticString, _ value: String) {
        if !value.isEmpty { member(name, value) }
    }

    mutating func null(_ name: StaticString) {
        self.name(name)
        append("null")
    }

    mutating func member(_ name: StaticString, _ value: Bool) {
        self.name(name)
        append(value ? "true" : "false")
    }

    mutating func member(_ name: StaticString, _ value: UInt64) {
        self.name(name)
        integer(value)
    }

    mutating func member(_ name: StaticString, milliseconds: Int64) {
        self.name(name)
        bytes.append(UInt8(ascii: "\""))
        RFC3339.append(milliseconds: milliseconds, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    mutating func member(_ name: StaticString, _ values: [String]) {
        self.name(name)
        bytes.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            string(value)
        }
        bytes.append(UInt8(ascii: "]"))
    }

    mutating func member(_ name: StaticString, _ values: [String: UInt64]) {
        beginObject(name)
        for (key, value) in values {
            if comma { bytes.append(UInt8(ascii: ",")) }
            comma = true
            string(key)
            bytes.append(UInt8(ascii: ":"))
            integer(value)
        }
        endObject()
    }

    /// An identifier as clients see it, or with `dash` that of an event.
    mutating func member(_ name: StaticString, decimal value: UInt64, dash second: UInt64? = nil) {
        self.name(name)
        bytes.append(UInt8(ascii: "\""))
        integer(value)
        if let second {
            bytes.append(UInt8(ascii: "-"))
            integer(second)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func integer(_ value: UInt64) { Decimal.append(value, to: &bytes) }

    private mutating func string(_ value: String) {
        bytes.append(UInt8(ascii: "\""))
        var value = value
        value.withUTF8 { utf8 in
            var clean = 0  // everything before is written
            for (index, byte) in utf8.enumerated() where byte < 0x20 || byte == 0x22 || byte == 0x5C {
                bytes.append(contentsOf: utf8[clean..<index])
                clean = index + 1
                escape(byte)
            }
            bytes.append(contentsOf: utf8[clean...])
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
            append("u00")
            for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 0x30 + digit : 0x61 + digit - 10) }
        }
    }
}

/// Writes Protobuf fields into a byte array, as proto3 has them: what is empty or zero is left out.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// The head of a field that has a length.
    private mutating func head(_ number: UInt8, _ count: Int) {
        bytes.append(number << 3 | 2)
        varint(UInt64(count))
    }

    mutating func field(_ number: UInt8, varint value: UInt64) {
        guard value != 0 else { return }
        bytes.append(number << 3)
        varint(value)
    }

    mutating func field(_ number: UInt8, _ value: String) {
        if !value.isEmpty { element(number, value) }
    }

    /// An element of a repeated field.
    mutating func element(_ number: UInt8, _ value: String) {
        var value = value
        value.withUTF8 { utf8 in
            head(number, utf8.count)
            bytes.append(contentsOf: utf8)
        }
    }

    /// A message.
    mutating func field(_ number: UInt8, message: [UInt8]) {
        head(number, message.count)
        bytes.append(contentsOf: message)
    }

    /// An identifier as clients see it.
    mutating func field(_ number: UInt8, decimal value: UInt64) {
        head(number, Decimal.count(value))
        Decimal.append(value, to: &bytes)
    }

    /// The identifier of an event.
    mutating func field(_ number: UInt8, decimal value: UInt64, dash second: UInt64) {
        head(number, Decimal.count(value) + 1 + Decimal.count(second))
        Decimal.append(value, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        Decimal.append(second, to: &bytes)
    }
}

/// Numbers in decimal digits.
enum Decimal {
    static func count(_ value: UInt64) -> Int {
        var count = 1
        var rest = value
        while rest >= 10 {
            rest /= 10
            count += 1
        }
        return count
    }

    static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        if value < 10 {
            bytes.append(0x30 + UInt8(value))
            return
        }
        let start = bytes.count
        var rest = value
        while rest > 0 {
            bytes.append(0x30 + UInt8(rest % 10))
            rest /= 10
        }
        bytes[start...].reverse()
    }
}

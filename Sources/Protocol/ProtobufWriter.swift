/// Writes Protobuf fields as proto3 has them: what is empty or zero is left out.
///
/// From the last field to the first: what a message has is then written, and its length known, when its head is, and nothing
/// is copied from one buffer to another.
struct ProtobufWriter {
    private let start: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>
    /// Where what was written last begins.
    private var first: UnsafeMutablePointer<UInt8>

    /// The bytes of what `write` writes, at most `bound`.
    static func bytes(atMost bound: Int, _ write: (inout ProtobufWriter) -> Void) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: bound) { memory, count in
            guard let start = memory.baseAddress else { return }
            var writer = ProtobufWriter(start: start, end: start + memory.count, first: start + memory.count)
            write(&writer)
            count = writer.end - writer.first
            // Within uninitialized memory, so that both may overlap.
            UnsafeMutableRawPointer(start).copyMemory(from: writer.first, byteCount: count)
        }
    }

    private init(
        start: UnsafeMutablePointer<UInt8>, end: UnsafeMutablePointer<UInt8>, first: UnsafeMutablePointer<UInt8>
    ) {
        self.start = start
        self.end = end
        self.first = first
    }

    /// Room for so many bytes before all others. A bound that is too small would be ours.
    private mutating func prepend(_ count: Int) -> ByteCursor {
        precondition(first - start >= count, "more is written than was said")
        first -= count
        return ByteCursor(first)
    }

    private mutating func varint(_ value: UInt64) {
        var cursor = prepend(value < 0x80 ? 1 : (70 - value.leadingZeroBitCount) / 7)
        var rest = value
        while rest >= 0x80 {
            cursor.put(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        cursor.put(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func tag(_ number: UInt8, _ wireType: UInt8) {
        var cursor = prepend(1)
        cursor.put(number << 3 | wireType)
    }

    /// The head of a field that has a length, and was written.
    private mutating func head(_ number: UInt8, _ count: Int) {
        varint(UInt64(count))
        tag(number, 2)
    }

    mutating func field(_ number: UInt8, varint value: UInt64) {
        guard value != 0 else { return }
        varint(value)
        tag(number, 0)
    }

    mutating func field(_ number: UInt8, _ value: String) {
        if !value.isEmpty { element(number, value) }
    }

    mutating func field(_ number: UInt8, fixed value: StaticString) {
        var cursor = prepend(value.utf8CodeUnitCount)
        cursor.put(value)
        head(number, value.utf8CodeUnitCount)
    }

    /// An element of a repeated field; the last one first.
    mutating func element(_ number: UInt8, _ value: String) {
        var value = value
        value.withUTF8 { utf8 in
            var cursor = prepend(utf8.count)
            cursor.put(utf8)
            head(number, utf8.count)
        }
    }

    /// A message, even if it is empty.
    mutating func message(_ number: UInt8, _ write: (inout ProtobufWriter) -> Void) {
        let end = first
        write(&self)
        head(number, end - first)
    }

    /// An identifier as clients see it.
    mutating func field(_ number: UInt8, decimal value: UInt64) {
        let count = Decimal.count(value)
        var cursor = prepend(count)
        cursor.put(decimal: value)
        head(number, count)
    }

    /// The identifier of an event.
    mutating func field(_ number: UInt8, decimal value: UInt64, dash second: UInt64) {
        let count = Decimal.count(value) + 1 + Decimal.count(second)
        var cursor = prepend(count)
        cursor.put(decimal: value)
        cursor.put(UInt8(ascii: "-"))
        cursor.put(decimal: second)
        head(number, count)
    }
}

/// Walks over the fields of a Protobuf message in place (protobuf.dev/programming-guides/encoding): nothing is copied, and
/// what is not asked for is passed over.
struct WireCursor {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    /// Whether the bytes ended in the middle of something, or are no Protobuf.
    private(set) var isBroken = false

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    enum Value {
        case number(UInt64)
        case bytes(UnsafeRawBufferPointer)
    }

    /// The next field's number and value; nil at the end, or where the bytes are broken.
    @inline(__always)
    mutating func next() -> (field: UInt64, value: Value)? {
        guard offset < bytes.count, let tag = varint() else { return nil }
        switch tag & 7 {
        case 0:
            guard let number = varint() else { return nil }
            return (tag >> 3, .number(number))
        case 2:
            guard let length = varint(), length <= UInt64(bytes.count - offset) else { return fail() }
            let value = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
            offset += Int(length)
            return (tag >> 3, .bytes(value))
        case 1, 5:
            let length = tag & 7 == 1 ? 8 : 4
            guard bytes.count - offset >= length else { return fail() }
            let value = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
            offset += length
            return (tag >> 3, .bytes(value))
        case _: return fail()
        }
    }

    @inline(__always)
    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < bytes.count, shift < 64 {
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        isBroken = true
        return nil
    }

    private mutating func fail<T>() -> T? {
        isBroken = true
        return nil
    }
}

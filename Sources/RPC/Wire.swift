/// Reads big-endian fields from received bytes; every read is checked.
struct WireReader {
    private let buffer: UnsafeRawBufferPointer
    private var offset = 0

    init(_ buffer: UnsafeRawBufferPointer) {
        self.buffer = buffer
    }

    /// Bytes read so far.
    var position: Int { offset }

    mutating func bytes(_ count: Int) throws(ProtocolViolation) -> UnsafeRawBufferPointer {
        guard buffer.count - offset >= count else { throw ProtocolViolation("frame ends within a field") }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: buffer[offset..<(offset + count)])
    }

    mutating func uint8() throws(ProtocolViolation) -> UInt8 {
        try bytes(1)[0]
    }

    mutating func uint16() throws(ProtocolViolation) -> UInt16 {
        UInt16(bigEndian: try bytes(2).loadUnaligned(as: UInt16.self))
    }

    mutating func uint32() throws(ProtocolViolation) -> UInt32 {
        UInt32(bigEndian: try bytes(4).loadUnaligned(as: UInt32.self))
    }

    /// A string with its length in one byte.
    mutating func shortString() throws(ProtocolViolation) -> String {
        String(decoding: try bytes(Int(try uint8())), as: UTF8.self)
    }

    /// A string with its length in two bytes.
    mutating func string() throws(ProtocolViolation) -> String {
        String(decoding: try bytes(Int(try uint16())), as: UTF8.self)
    }

    /// What is left.
    func rest() -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[offset...])
    }

    /// Nothing may be left.
    func end() throws(ProtocolViolation) {
        guard offset == buffer.count else {
            throw ProtocolViolation("frame has \(buffer.count - offset) bytes too many")
        }
    }
}

/// Writes big-endian fields into room that the caller has made.
struct WireWriter {
    private let buffer: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ buffer: UnsafeMutableRawBufferPointer) {
        self.buffer = buffer
    }

    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        buffer.storeBytes(of: value.bigEndian, toByteOffset: count, as: T.self)
        count += MemoryLayout<T>.size
    }

    mutating func bytes(_ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(from: bytes)
        count += bytes.count
    }

    mutating func bytes(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { self.bytes($0) }
    }
}

extension Array where Element == UInt8 {
    /// Appends a big-endian integer.
    mutating func appendInteger<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// Appends a string with its length in one byte; what doesn't fit is cut off.
    mutating func appendShort(_ string: String) {
        let bytes = Array(string.utf8.prefix(Int(UInt8.max)))
        append(UInt8(bytes.count))
        append(contentsOf: bytes)
    }

    /// Appends a string with its length in two bytes; what doesn't fit is cut off.
    mutating func appendLong(_ string: String) {
        let bytes = Array(string.utf8.prefix(Int(UInt16.max)))
        appendInteger(UInt16(bytes.count))
        append(contentsOf: bytes)
    }
}

package import NIOCore

/// The opcodes of RFC 6455 §5.2.
package enum Opcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

/// The head of a frame that a client sent (RFC 6455 §5.2).
package struct FrameHeader: Equatable, Sendable {
    package var opcode: Opcode
    package var isFinal: Bool
    /// Bytes of payload.
    package var length: Int
    /// The four bytes as they lie in memory.
    package var mask: UInt32
    /// Bytes of the head itself.
    package var size: Int

    /// Reads a head; nil where the bytes end before it does. Refuses, before its payload is buffered, whatever no client may send.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, maximumPayload: Int
    ) throws(WebSocketViolation) -> FrameHeader? {
        guard bytes.count >= 2 else { return nil }
        let (first, second) = (bytes[0], bytes[1])
        guard first & 0x70 == 0 else { throw WebSocketViolation(.protocolError, "reserved bits are set") }
        guard let opcode = Opcode(rawValue: first & 0x0F) else {
            throw WebSocketViolation(.protocolError, "unknown opcode")
        }
        guard second & 0x80 != 0 else { throw WebSocketViolation(.protocolError, "a client's frame must be masked") }
        let isFinal = first & 0x80 != 0
        let short = Int(second & 0x7F)
        if opcode.isControl {
            guard isFinal else { throw WebSocketViolation(.protocolError, "a fragmented control frame") }
            guard short <= 125 else { throw WebSocketViolation(.protocolError, "a control frame over 125 bytes") }
        }
        var length = UInt64(short)
        var size = 2
        switch short {
        case 126:
            guard bytes.count >= 4 else { return nil }
            length = UInt64(bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self).bigEndian)
            guard length > 125 else { throw WebSocketViolation(.protocolError, "a length that is not minimal") }
            size = 4
        case 127:
            guard bytes.count >= 10 else { return nil }
            length = bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self).bigEndian
            guard length > 0xFFFF, length <= UInt64(Int64.max) else {
                throw WebSocketViolation(.protocolError, "a length that is not minimal")
            }
            size = 10
        default: break
        }
        guard length <= UInt64(maximumPayload) else {
            throw WebSocketViolation(.tooLarge, "larger than \(maximumPayload) bytes")
        }
        guard bytes.count >= size + 4 else { return nil }
        return FrameHeader(
            opcode: opcode, isFinal: isFinal, length: Int(length),
            mask: bytes.loadUnaligned(fromByteOffset: size, as: UInt32.self), size: size + 4)
    }

    /// Copies a payload while taking its mask off; `target` must have room.
    static func unmask(_ source: UnsafeRawBufferPointer, mask: UInt32, into target: UnsafeMutableRawBufferPointer) {
        precondition(target.count >= source.count)
        let wide = UInt64(mask) | UInt64(mask) << 32
        var index = 0
        while index + 8 <= source.count {
            let word = source.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide
            target.storeBytes(of: word, toByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < source.count {
            // The mask's bytes in memory order, on a machine of either byte order.
            let key = UInt8(truncatingIfNeeded: mask.littleEndian >> UInt32((index & 3) * 8))
            target[index] = source[index] ^ key
            index += 1
        }
    }
}

/// Frames as a server sends them: never masked, never fragmented.
package enum ServerFrames {
    /// A whole frame in one buffer, to be written to as many connections as it is for.
    package static func frame(
        _ opcode: Opcode, _ payload: [UInt8], allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: payload.count + 10)
        let first = 0x80 | opcode.rawValue
        switch payload.count {
        case ...125: buffer.writeMultipleIntegers(first, UInt8(payload.count))
        case ...0xFFFF: buffer.writeMultipleIntegers(first, 126 as UInt8, UInt16(payload.count))
        default: buffer.writeMultipleIntegers(first, 127 as UInt8, UInt64(payload.count))
        }
        buffer.writeBytes(payload)
        return buffer
    }

    /// A close frame; a reason over 123 bytes is cut at a character.
    static func close(_ code: CloseCode?, _ reason: String) -> ByteBuffer {
        var payload: [UInt8] = []
        if let code {
            payload = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 0xFF)]
            for character in reason where payload.count + character.utf8.count <= 125 {
                payload.append(contentsOf: character.utf8)
            }
        }
        return frame(.close, payload)
    }

    static let ping = frame(.ping, [])
}

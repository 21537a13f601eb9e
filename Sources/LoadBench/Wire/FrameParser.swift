/// Frames as a server sends them (RFC 6455, 5.2): never masked.
package struct ServerFrame {
    package enum Parsed {
        case frame(ServerFrame)
        /// More bytes are needed.
        case incomplete
        case malformed(String)
    }

    package var opcode: UInt8
    package var payload: UnsafeRawBufferPointer
    /// Bytes of the frame in all.
    package var size: Int

    /// A server sends nothing larger than this.
    package static let maximum = 128 * 1024

    /// Reads the frame at the begin of `bytes`.
    @inline(__always)
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        guard bytes.count >= 2 else { return .incomplete }
        let (first, second) = (bytes[0], bytes[1])
        guard first & 0xF0 == 0x80 else { return .malformed("fragmented, or reserved bits are set") }
        guard second & 0x80 == 0 else { return .malformed("a server's frame is masked") }
        var length = Int(second)
        var head = 2
        switch second {
        case 126:
            guard bytes.count >= 4 else { return .incomplete }
            length = Int(bytes[2]) << 8 | Int(bytes[3])
            head = 4
        case 127:
            guard bytes.count >= 10 else { return .incomplete }
            length = Int(truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self).bigEndian)
            head = 10
        case _: break
        }
        guard length >= 0, length <= maximum else { return .malformed("larger than \(maximum) bytes") }
        guard bytes.count >= head + length else { return .incomplete }
        return .frame(
            ServerFrame(
                opcode: first & 0x0F, payload: UnsafeRawBufferPointer(rebasing: bytes[head..<head + length]),
                size: head + length))
    }
}

/// The upgrade (RFC 6455, 4.1).
package enum Upgrade {
    package static func request(host: String, path: String, authorization: String? = nil) -> [UInt8] {
        let credential = authorization.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return Array(
            ("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cm9vc3QtYmVuY2gtbG9hZA==\r\n"
                + "Sec-WebSocket-Protocol: roost.v1.proto\r\n\(credential)\r\n").utf8)
    }

    /// The status of the answer and the length of its head; nil: more bytes are needed. Status 0: this is no HTTP.
    package static func answer(_ bytes: UnsafeRawBufferPointer) -> (status: Int, size: Int)? {
        let end: [UInt8] = [13, 10, 13, 10]
        var place = 0
        while place + 4 <= bytes.count {
            if bytes[place] == 13, bytes[place..<place + 4].elementsEqual(end) {
                let status = bytes.count > 12 ? Int(String(decoding: bytes[9..<12], as: UTF8.self)) : nil
                guard bytes.starts(with: "HTTP/1.1 ".utf8), let status else { return (0, place + 4) }
                return (status, place + 4)
            }
            place += 1
        }
        return nil
    }
}

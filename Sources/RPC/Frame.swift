/// What a frame is for. The byte on the wire; `Protos/README.md` has the layouts.
package enum FrameKind: UInt8, Sendable, CaseIterable {
    // The handshake, in this order.
    case hello = 1
    case welcome = 2
    case proof = 3
    case ready = 4
    // Calls.
    case request = 16
    case response = 17
    case error = 18
    case message = 19
    case end = 20
    case credit = 21
    case cancel = 22
    // The connection.
    case ping = 32
    case pong = 33
    case goaway = 34
}

/// The peer broke the protocol; its connection is closed with this reason.
package struct ProtocolViolation: Error, Sendable, Hashable, CustomStringConvertible {
    package let reason: String

    package init(_ reason: String) {
        self.reason = reason
    }

    package var description: String { reason }
}

/// One whole frame within received bytes; valid only while they are.
package struct Frame {
    /// Bytes before the body: its length.
    package static let lengthSize = 4
    /// Bytes that every body begins with: kind and call id.
    package static let headerSize = 9
    /// The longest body of a frame in a handshake.
    package static let maxHandshakeBody = 1024
    /// The version of the protocol that this code speaks.
    package static let version: UInt16 = 1

    package let kind: FrameKind
    /// The call that it belongs to; PING and PONG: the number to echo; GOAWAY: the last call that will be served.
    package let callID: UInt64
    package let payload: UnsafeRawBufferPointer
    /// Bytes that it takes up, its length included.
    package let size: Int

    package init(kind: FrameKind, callID: UInt64, payload: UnsafeRawBufferPointer, size: Int) {
        self.kind = kind
        self.callID = callID
        self.payload = payload
        self.size = size
    }

    /// The frame that `bytes` begin with; `nil` while it isn't whole. The length is checked as soon as it is there.
    package static func parse(
        _ bytes: UnsafeRawBufferPointer, maxBody: Int
    ) throws(ProtocolViolation) -> Frame? {
        guard bytes.count >= lengthSize else { return nil }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
        guard length >= headerSize else {
            throw ProtocolViolation("frame of \(length) bytes is shorter than its header")
        }
        guard length <= maxBody else { throw ProtocolViolation("frame of \(length) bytes exceeds \(maxBody)") }
        if bytes.count > lengthSize, FrameKind(rawValue: bytes[lengthSize]) == nil {
            throw ProtocolViolation("unknown frame kind \(bytes[lengthSize])")
        }
        guard bytes.count >= lengthSize + length, let kind = FrameKind(rawValue: bytes[lengthSize]) else { return nil }
        let id = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: lengthSize + 1, as: UInt64.self))
        let payload = UnsafeRawBufferPointer(rebasing: bytes[(lengthSize + headerSize)..<(lengthSize + length)])
        return Frame(kind: kind, callID: id, payload: payload, size: lengthSize + length)
    }
}

/// What a REQUEST frame says before the request's own bytes.
package struct RequestHeader: Sendable, Hashable {
    /// `RPCMethodDescriptor.id`.
    package var method: UInt32
    /// What is left of the caller's time; 0: no bound.
    package var timeoutMilliseconds: UInt32
    /// Streams: messages that may be sent before the first CREDIT.
    package var credit: UInt32
    /// W3C `traceparent`; at most 255 bytes.
    package var trace: String?

    package init(method: UInt32, timeoutMilliseconds: UInt32, credit: UInt32, trace: String?) {
        self.method = method
        self.timeoutMilliseconds = timeoutMilliseconds
        self.credit = credit
        self.trace = trace
    }

    /// Splits a REQUEST's payload into the header and the request.
    package static func parse(
        _ payload: UnsafeRawBufferPointer
    ) throws(ProtocolViolation) -> (RequestHeader, UnsafeRawBufferPointer) {
        var reader = WireReader(payload)
        let method = try reader.uint32()
        let timeout = try reader.uint32()
        let credit = try reader.uint32()
        let traceLength = Int(try reader.uint8())
        let trace = traceLength == 0 ? nil : String(decoding: try reader.bytes(traceLength), as: UTF8.self)
        let header = RequestHeader(method: method, timeoutMilliseconds: timeout, credit: credit, trace: trace)
        return (header, reader.rest())
    }
}

/// Writes frames into room that the caller has made, without allocating.
package enum FrameEncoder {
    /// Bytes of a frame with this payload.
    package static func size(payload: Int) -> Int {
        Frame.lengthSize + Frame.headerSize + payload
    }

    /// Bytes of a REQUEST, its length included.
    package static func requestSize(_ header: RequestHeader, payload: Int) -> Int {
        size(payload: requestHeaderSize(header) + payload)
    }

    /// Writes a REQUEST; gives its size.
    @discardableResult
    package static func request(
        _ header: RequestHeader, callID: UInt64, payload: UnsafeRawBufferPointer,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = WireWriter(buffer)
        start(&writer, .request, callID, requestHeaderSize(header) + payload.count)
        writer.integer(header.method)
        writer.integer(header.timeoutMilliseconds)
        writer.integer(header.credit)
        if var trace = header.trace {
            trace.withUTF8 { bytes in
                let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes).prefix(Int(UInt8.max)))
                writer.integer(UInt8(bytes.count))
                writer.bytes(bytes)
            }
        } else {
            writer.integer(UInt8(0))
        }
        writer.bytes(payload)
        return writer.count
    }

    /// Writes any other frame; gives its size.
    @discardableResult
    package static func frame(
        _ kind: FrameKind, callID: UInt64, payload: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = WireWriter(buffer)
        start(&writer, kind, callID, payload.count)
        writer.bytes(payload)
        return writer.count
    }

    /// A frame as bytes of its own.
    package static func frame(_ kind: FrameKind, callID: UInt64, payload: [UInt8] = []) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size(payload: payload.count))
        bytes.appendInteger(UInt32(Frame.headerSize + payload.count))
        bytes.append(kind.rawValue)
        bytes.appendInteger(callID)
        bytes.append(contentsOf: payload)
        return bytes
    }

    /// CREDIT: the server may send `messages` more.
    package static func credit(callID: UInt64, messages: UInt32) -> [UInt8] {
        var payload: [UInt8] = []
        payload.appendInteger(messages)
        return frame(.credit, callID: callID, payload: payload)
    }

    /// ERROR: how a call failed.
    package static func error(_ error: RPCError, callID: UInt64) -> [UInt8] {
        frame(.error, callID: callID, payload: errorPayload(error))
    }

    /// GOAWAY: calls above `lastCallID` won't be served, and no new ones.
    package static func goaway(_ error: RPCError, lastCallID: UInt64) -> [UInt8] {
        frame(.goaway, callID: lastCallID, payload: errorPayload(error))
    }

    private static func requestHeaderSize(_ header: RequestHeader) -> Int {
        13 + min(header.trace?.utf8.count ?? 0, Int(UInt8.max))
    }

    private static func start(_ writer: inout WireWriter, _ kind: FrameKind, _ callID: UInt64, _ payload: Int) {
        writer.integer(UInt32(Frame.headerSize + payload))
        writer.integer(kind.rawValue)
        writer.integer(callID)
    }

    private static func errorPayload(_ error: RPCError) -> [UInt8] {
        var payload: [UInt8] = [error.code.rawValue]
        payload.appendLong(String(error.message.prefix(4096)))
        let details = error.details.sorted { $0.key < $1.key }.prefix(Int(UInt8.max))
        payload.append(UInt8(details.count))
        for (key, value) in details {
            payload.appendShort(key)
            payload.appendLong(String(value.prefix(4096)))
        }
        return payload
    }
}

extension RPCError {
    /// Reads the payload of ERROR and GOAWAY. A code that isn't known is an internal error.
    package init(payload: UnsafeRawBufferPointer) throws(ProtocolViolation) {
        var reader = WireReader(payload)
        let code = Code(rawValue: try reader.uint8()) ?? .internalError
        let message = try reader.string()
        var details: [String: String] = [:]
        for _ in 0..<(try reader.uint8()) {
            let key = try reader.shortString()
            details[key] = try reader.string()
        }
        try reader.end()
        self.init(code, message, details: details)
    }
}

/// Reads the payload of CREDIT.
package func creditMessages(_ payload: UnsafeRawBufferPointer) throws(ProtocolViolation) -> UInt32 {
    var reader = WireReader(payload)
    let messages = try reader.uint32()
    try reader.end()
    return messages
}

/// Puts frames together to messages (RFC 6455 §5.4): fragments with control frames between them, UTF-8 checked as it comes.
package struct MessageAssembler: Sendable {
    /// What a frame amounts to.
    package enum Outcome: Equatable, Sendable {
        /// A fragment: more follows.
        case incomplete
        /// A whole message; `assembled` is nil where it is the frame's own payload.
        case message(isBinary: Bool, assembled: [UInt8]?)
        case ping
        case pong
        /// The peer closes; nil: without a code.
        case close(CloseCode?)
    }

    /// A message whose last fragment has not come.
    private struct Partial {
        var isBinary: Bool
        var bytes: [UInt8]
        var validator: UTF8Validator
    }

    /// Most bytes of a message.
    private let limit: Int
    /// Which kind of message the subprotocol has.
    private let acceptsBinary: Bool
    private var partial: Partial?

    package init(limit: Int, acceptsBinary: Bool) {
        self.limit = limit
        self.acceptsBinary = acceptsBinary
    }

    package mutating func receive(
        _ header: FrameHeader, payload: UnsafeRawBufferPointer
    ) throws(WebSocketViolation) -> Outcome {
        switch header.opcode {
        case .ping: return .ping
        case .pong: return .pong
        case .close: return .close(try Self.closeCode(payload))
        case .text, .binary:
            guard partial == nil else {
                throw WebSocketViolation(.protocolError, "a new message within a fragmented one")
            }
            let isBinary = header.opcode == .binary
            guard isBinary == acceptsBinary else {
                throw WebSocketViolation(
                    .wrongKind, acceptsBinary ? "this subprotocol is binary" : "this subprotocol is text")
            }
            var validator = UTF8Validator()
            if !isBinary { try Self.validate(payload, &validator, isLast: header.isFinal) }
            if header.isFinal { return .message(isBinary: isBinary, assembled: nil) }
            partial = Partial(isBinary: isBinary, bytes: Array(payload), validator: validator)
            return .incomplete
        case .continuation:
            guard var message = partial else {
                throw WebSocketViolation(.protocolError, "a continuation of nothing")
            }
            guard message.bytes.count + payload.count <= limit else {
                throw WebSocketViolation(.tooLarge, "larger than \(limit) bytes")
            }
            partial = nil  // so that the bytes have one owner
            if !message.isBinary { try Self.validate(payload, &message.validator, isLast: header.isFinal) }
            message.bytes.append(contentsOf: payload)
            if header.isFinal { return .message(isBinary: message.isBinary, assembled: message.bytes) }
            partial = message
            return .incomplete
        }
    }

    private static func validate(
        _ bytes: UnsafeRawBufferPointer, _ validator: inout UTF8Validator, isLast: Bool
    ) throws(WebSocketViolation) {
        guard validator.consume(bytes), !isLast || validator.isComplete else {
            throw WebSocketViolation(.badUTF8, "text that is not UTF-8")
        }
    }

    private static func closeCode(_ payload: UnsafeRawBufferPointer) throws(WebSocketViolation) -> CloseCode? {
        guard !payload.isEmpty else { return nil }
        guard payload.count >= 2 else { throw WebSocketViolation(.protocolError, "half a close code") }
        let code = CloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isSendable else { throw WebSocketViolation(.protocolError, "no valid close code") }
        var validator = UTF8Validator()
        try validate(UnsafeRawBufferPointer(rebasing: payload[2...]), &validator, isLast: true)
        return code
    }
}

import ChatModel

/// The frame that gives clients a message, by far the most frequent one, written from what services speak without the
/// steps in between: byte for byte what `ClientServerFrame(event)` is in either subprotocol (a test holds it to that).
package enum MessageEventFrame {
    /// Whether there is a short way for this event.
    package static func isFor(_ event: LogEvent) -> Bool { event.kind == .message && !event.deleted }

    /// The JSON of the frame. `storage` gives its memory.
    package static func json(_ event: LogEvent, withClientID: Bool, reusing storage: consuming [UInt8]) -> [UInt8] {
        var writer = JSONWriter(reusing: storage)
        writer.beginObject()
        writer.type("event")
        writer.member("conversation", decimal: event.conversation)
        writer.member("seq", event.seq)
        writer.member("id", decimal: event.conversation, dash: event.seq)
        writer.member("kind", "message")
        writer.member("sender", decimal: event.sender)
        writer.member("sent_at", milliseconds: event.sentAtMs)
        if withClientID { writer.optional("client_id", event.clientID) }
        writer.member("body", ClientBody(event.body, in: ConversationID(rawValue: event.conversation)))
        writer.endObject()
        return writer.bytes
    }

    /// The Protobuf of the frame; the numbers are those of `client.proto`.
    package static func protobuf(_ event: LogEvent, withClientID: Bool) -> [UInt8] {
        let (body, conversation, clientID) = (event.body, event.conversation, event.clientID)
        var said = ProtobufWriter(capacity: 64 + body.text.utf8.count)
        said.field(1, body.text)
        said.field(2, body.format == .markdown ? "markdown" : "plain")
        for attachment in body.attachments { said.element(3, attachment) }
        if body.replyTo > 0 { said.field(4, decimal: conversation, dash: body.replyTo) }
        for mention in body.mentions { said.field(5, decimal: mention) }
        var inner = ProtobufWriter(capacity: 160 + clientID.utf8.count + said.bytes.count)
        inner.field(1, decimal: conversation)
        inner.field(2, varint: event.seq)
        inner.field(3, decimal: conversation, dash: event.seq)
        inner.field(4, "message")
        inner.field(5, decimal: event.sender)
        inner.field(6, varint: UInt64(bitPattern: event.sentAtMs))
        if withClientID { inner.field(7, clientID) }
        inner.field(8, message: said.bytes)
        var frame = ProtobufWriter(capacity: inner.bytes.count + 8)
        frame.field(2, message: inner.bytes)
        return frame.bytes
    }
}

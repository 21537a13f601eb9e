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
        writer.members(ofMessage: event, withClientID: withClientID)
        writer.endObject()
        return writer.bytes
    }

    /// The Protobuf of the frame; the numbers are those of `client.proto`.
    package static func protobuf(_ event: LogEvent, withClientID: Bool) -> [UInt8] {
        let (body, conversation) = (event.body, event.conversation)
        let clientID = withClientID ? event.clientID : ""
        let lists = body.attachments.reduce(body.mentions.count * 24) { $0 + $1.utf8.count + 8 }
        return ProtobufWriter.bytes(atMost: 256 + body.text.utf8.count + clientID.utf8.count + lists) { frame in
            frame.message(2) { inner in
                inner.message(8) { said in
                    for mention in body.mentions.reversed() { said.field(5, decimal: mention) }
                    if body.replyTo > 0 { said.field(4, decimal: conversation, dash: body.replyTo) }
                    for attachment in body.attachments.reversed() { said.element(3, attachment) }
                    said.field(2, fixed: body.format == .markdown ? "markdown" : "plain")
                    said.field(1, body.text)
                }
                inner.field(7, clientID)
                inner.field(6, varint: UInt64(bitPattern: event.sentAtMs))
                inner.field(5, decimal: event.sender)
                inner.field(4, fixed: "message")
                inner.field(3, decimal: conversation, dash: event.seq)
                inner.field(2, varint: event.seq)
                inner.field(1, decimal: conversation)
            }
        }
    }
}

extension JSONWriter {
    /// The members of the event of a message that is still there.
    mutating func members(ofMessage event: LogEvent, withClientID: Bool) {
        let (body, conversation) = (event.body, event.conversation)
        member("conversation", decimal: conversation)
        member("seq", event.seq)
        member("id", decimal: conversation, dash: event.seq)
        member("kind", fixed: "message")
        member("sender", decimal: event.sender)
        member("sent_at", milliseconds: event.sentAtMs)
        if withClientID { optional("client_id", event.clientID) }
        beginObject("body")
        member("text", body.text)
        member("format", fixed: body.format == .markdown ? "markdown" : "plain")
        if !body.attachments.isEmpty { member("attachments", body.attachments) }
        if body.replyTo > 0 { member("reply_to", decimal: conversation, dash: body.replyTo) }
        if !body.mentions.isEmpty { member("mentions", decimals: body.mentions) }
        endObject()
    }
}

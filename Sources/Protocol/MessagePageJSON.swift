/// A page of messages as REST clients see it: what is read most over REST, written as `MessageEventFrame` is.
package enum MessagePageJSON {
    /// Bytes of a message, roughly.
    private static let perMessage = 384

    /// `{"items": […], "next": cursor | null}`. An event is taken to have its `client_id` only where its reader may see it.
    package static func bytes(_ messages: [RelayMessage], next: String?) -> [UInt8] {
        var storage: [UInt8] = []
        storage.reserveCapacity(64 + messages.count * perMessage)
        var writer = JSONWriter(reusing: storage)
        writer.beginObject()
        writer.beginArray("items")
        for message in messages {
            writer.beginObject()
            writer.members(of: message)
            writer.endObject()
        }
        writer.endArray()
        if let next { writer.member("next", next) } else { writer.null("next") }
        writer.endObject()
        return writer.bytes
    }
}

extension JSONWriter {
    /// A message in its present state: the event that made it, and what became of it.
    fileprivate mutating func members(of message: RelayMessage) {
        let event = message.event
        if MessageEventFrame.isFor(event), !message.deleted {
            members(ofMessage: event, withClientID: true)
        } else {
            var event = event
            event.deleted = event.deleted || message.deleted
            ClientEvent(event, withClientID: true).encode(&self)
        }
        if message.editedAtMs > 0 { member("edited_at", milliseconds: message.editedAtMs) }
        guard !message.reactions.isEmpty else { return }
        beginArray("reactions")
        for reaction in message.reactions {
            beginObject()
            member("emoji", reaction.emoji)
            member("users", decimals: reaction.users)
            endObject()
        }
        endArray()
    }
}

/// The subprotocol `roost.v1.json`: one JSON object a frame, `type` naming the member of the frame's oneof.
///
/// Unknown members are ignored; of a member that is there twice the last counts, of `type` the first. Optional members
/// that are null count as left out. Neither direction uses Foundation or allocates more than the frame's own fields.
package enum ClientJSON {
    /// Bytes of an identifier in JSON: anything longer is none, whoever made it.
    static let identifierBytes = 64

    /// What a client sent. Checks form, types and presence; `ClientClientFrame.validate()` checks the rules.
    package static func decodeClientFrame(
        _ bytes: UnsafeRawBufferPointer
    ) throws(ClientFrameError) -> ClientClientFrame {
        // Where `type` comes first, as it does with most clients, the text is read once. What is wrong with one that can't be
        // read so is found by reading all of it first.
        if let type = leadingType(of: bytes), let frame = try? decode(type, bytes) { return frame }
        return try decode(try type(of: bytes), bytes)
    }

    private static func decode(
        _ type: String, _ bytes: UnsafeRawBufferPointer
    ) throws(ClientFrameError) -> ClientClientFrame {
        var frame = ClientClientFrame()
        switch type {
        case "hello": frame.frame = .hello(try decode(bytes, ClientHello()))
        case "send": frame.frame = .send(try decode(bytes, ClientSend()))
        case "edit": frame.frame = .edit(try decode(bytes, ClientEdit()))
        case "delete": frame.frame = .delete(try decode(bytes, ClientDelete()))
        case "react": frame.frame = .react(try decode(bytes, ClientReact()))
        case "read": frame.frame = .read(try decode(bytes, ClientRead()))
        case "received": frame.frame = .received(try decode(bytes, ClientReceived()))
        case "typing": frame.frame = .typing(try decode(bytes, ClientTyping()))
        case "watch": frame.frame = .watch(try decode(bytes, ClientWatch()))
        case "unwatch": frame.frame = .unwatch(try decode(bytes, ClientWatch()))
        case "ping": frame.frame = .ping(try decode(bytes, ClientPing()))
        default: throw ClientFrameError(.unknownType, field: "type", "names no frame")
        }
        return frame
    }

    /// What a server sent: for clients.
    package static func decodeServerFrame(
        _ bytes: UnsafeRawBufferPointer
    ) throws(ClientFrameError) -> ClientServerFrame {
        var frame = ClientServerFrame()
        switch try type(of: bytes) {
        case "welcome": frame.frame = .welcome(try decode(bytes, ClientWelcome()))
        case "event": frame.frame = .event(try decode(bytes, ClientEvent()))
        case "synced": frame.frame = .synced(try decode(bytes, ClientSynced()))
        case "ack": frame.frame = .ack(try decode(bytes, ClientAck()))
        case "error": frame.frame = .error(try decode(bytes, ClientError()))
        case "receipt": frame.frame = .receipt(try decode(bytes, ClientReceipt()))
        case "typing": frame.frame = .typing(try decode(bytes, ClientTyping()))
        case "presence": frame.frame = .presence(try decode(bytes, ClientPresence()))
        case "notification": frame.frame = .notification(try decode(bytes, ClientNotification()))
        case "goaway": frame.frame = .goaway(try decode(bytes, ClientGoaway()))
        case "pong": frame.frame = .pong(try decode(bytes, ClientPong()))
        case "muted": frame.frame = .muted(try decode(bytes, ClientMuted()))
        default: throw ClientFrameError(.unknownType, field: "type", "names no frame")
        }
        return frame
    }

    /// The JSON of a frame; empty for a frame that is none. `storage` gives its memory.
    package static func encode(_ frame: ClientServerFrame, reusing storage: consuming [UInt8] = []) -> [UInt8] {
        var writer = JSONWriter(reusing: storage)
        switch frame.frame {
        case .welcome(let value): writer.frame("welcome", value)
        case .event(let value): writer.frame("event", value)
        case .synced(let value): writer.frame("synced", value)
        case .ack(let value): writer.frame("ack", value)
        case .error(let value): writer.frame("error", value)
        case .receipt(let value): writer.frame("receipt", value)
        case .typing(let value): writer.frame("typing", value)
        case .presence(let value): writer.frame("presence", value)
        case .notification(let value): writer.frame("notification", value)
        case .goaway(let value): writer.frame("goaway", value)
        case .pong(let value): writer.frame("pong", value)
        case .muted(let value): writer.frame("muted", value)
        case nil: break
        }
        return writer.bytes
    }

    /// The JSON of a frame; empty for a frame that is none: for clients.
    package static func encode(_ frame: ClientClientFrame, reusing storage: [UInt8] = []) -> [UInt8] {
        var writer = JSONWriter(reusing: storage)
        switch frame.frame {
        case .hello(let value): writer.frame("hello", value)
        case .send(let value): writer.frame("send", value)
        case .edit(let value): writer.frame("edit", value)
        case .delete(let value): writer.frame("delete", value)
        case .react(let value): writer.frame("react", value)
        case .read(let value): writer.frame("read", value)
        case .received(let value): writer.frame("received", value)
        case .typing(let value): writer.frame("typing", value)
        case .watch(let value): writer.frame("watch", value)
        case .unwatch(let value): writer.frame("unwatch", value)
        case .ping(let value): writer.frame("ping", value)
        case nil: break
        }
        return writer.bytes
    }

    /// The object's `type`; reads the whole text, so that what follows is known to be well-formed.
    private static func type(of bytes: UnsafeRawBufferPointer) throws(ClientFrameError) -> String {
        var scanner = JSONScanner(bytes)
        var type: String?
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            if type == nil, "type" ~= key {
                type = try scanner.string("type", limit: identifierBytes)
            } else {
                try scanner.skip()
            }
        }
        try scanner.end()
        guard let type else { throw ClientFrameError(.missing, field: "type", "is required") }
        return type
    }

    /// The object's `type` where that is its first member; nil: it isn't, or the text is wrong there.
    private static func leadingType(of bytes: UnsafeRawBufferPointer) -> String? {
        var scanner = JSONScanner(bytes)
        return scanner.leadingString("type", limit: identifierBytes)
    }

    private static func decode<Message: JSONMessage>(
        _ bytes: UnsafeRawBufferPointer, _ empty: Message
    ) throws(ClientFrameError) -> Message {
        var scanner = JSONScanner(bytes)
        var message = empty
        try message.decode(&scanner, path: "")
        try scanner.end()
        return message
    }
}

/// A message of the client protocol as a JSON object.
protocol JSONMessage {
    /// Reads the object's members; `path` goes before the names of fields in errors.
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError)
    /// Writes the members, without the braces.
    func encode(_ writer: inout JSONWriter)
}

extension JSONWriter {
    fileprivate mutating func frame(_ type: StaticString, _ message: some JSONMessage) {
        beginObject()
        self.type(type)
        message.encode(&self)
        endObject()
    }

    mutating func member(_ name: StaticString, _ message: some JSONMessage) {
        beginObject(name)
        message.encode(&self)
        endObject()
    }
}

extension JSONScanner {
    /// A message's body; null is none.
    mutating func body(_ path: String) throws(ClientFrameError) -> ClientBody? {
        if try null() { return nil }
        var body = ClientBody()
        try body.decode(&self, path: path + ".")
        return body
    }

    /// An optional string: null is the empty one.
    mutating func optionalString(
        _ field: @autoclosure () -> String?, limit: Int = ClientJSON.identifierBytes
    ) throws(ClientFrameError) -> String {
        try null() ? "" : try string(field(), limit: limit)
    }

    /// An array of strings; null is the empty one.
    mutating func strings(
        _ field: String, count: Int, limit: Int = ClientJSON.identifierBytes
    ) throws(ClientFrameError) -> [String] {
        var values: [String] = []
        if try null() { return values }
        try array(field) { (scanner) throws(ClientFrameError) in
            guard values.count < count else { throw ClientFrameError(.tooLong, field: field, "more than \(count)") }
            values.append(try scanner.string(field, limit: limit))
        }
        return values
    }

    /// An object of sequence numbers by conversation.
    mutating func cursors(_ field: String) throws(ClientFrameError) -> [String: UInt64] {
        var values: [String: UInt64] = [:]
        try object(field) { (scanner, key) throws(ClientFrameError) in
            let name = try scanner.name(key, field, limit: ClientJSON.identifierBytes)
            values[name] = try scanner.integer(field, minimum: 0)
        }
        return values
    }
}

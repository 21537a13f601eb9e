import ChatModel

// The frames that clients send, member by member. Presence is checked in `validate()` where an empty value says that a
// field was left out, and here where it doesn't (numbers, booleans, objects).

extension ClientHello: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "client": client = try scanner.optionalString("client", limit: 256)
            case "cursors":
                if try scanner.null() {
                    clearCursors()
                } else {
                    cursors.cursors = try scanner.cursors("cursors")
                }
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("client", client)
        if hasCursors { writer.member("cursors", cursors.cursors) }
    }
}

extension ClientBody: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(String(path.dropLast())) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "text": text = try scanner.optionalString(path + "text", limit: Limits.textBytes)
            case "format": format = try scanner.optionalString(path + "format")
            case "attachments":
                attachments = try scanner.strings(path + "attachments", count: Limits.attachments)
            case "reply_to": replyTo = try scanner.optionalString(path + "reply_to")
            case "mentions": mentions = try scanner.strings(path + "mentions", count: Limits.mentions)
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("text", text)
        writer.member("format", format.isEmpty ? "plain" : format)
        if !attachments.isEmpty { writer.member("attachments", attachments) }
        writer.optional("reply_to", replyTo)
        if !mentions.isEmpty { writer.member("mentions", mentions) }
    }
}

extension ClientSend: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref")
            case "conversation": conversation = try scanner.optionalString("conversation")
            case "to": to = try scanner.optionalString("to")
            case "client_id": clientID = try scanner.optionalString("client_id")
            case "body": if let value = try scanner.body("body") { body = value } else { clearBody() }
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("ref", ref)
        writer.optional("conversation", conversation)
        writer.optional("to", to)
        writer.optional("client_id", clientID)
        if hasBody { writer.member("body", body) }
    }
}

extension ClientEdit: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref")
            case "message": message = try scanner.optionalString("message")
            case "conversation": conversation = try scanner.optionalString("conversation")
            case "body": if let value = try scanner.body("body") { body = value } else { clearBody() }
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("ref", ref)
        writer.optional("message", message)
        writer.optional("conversation", conversation)
        if hasBody { writer.member("body", body) }
    }
}

extension ClientDelete: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref")
            case "message": message = try scanner.optionalString("message")
            case "conversation": conversation = try scanner.optionalString("conversation")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("ref", ref)
        writer.optional("message", message)
        writer.optional("conversation", conversation)
    }
}

extension ClientReact: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref")
            case "message": message = try scanner.optionalString("message")
            case "conversation": conversation = try scanner.optionalString("conversation")
            case "emoji": emoji = try scanner.optionalString("emoji")
            case "remove": remove = try scanner.null() ? false : try scanner.bool("remove")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("ref", ref)
        writer.optional("message", message)
        writer.optional("conversation", conversation)
        writer.optional("emoji", emoji)
        writer.member("remove", remove)
    }
}

extension ClientRead: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "conversation": conversation = try scanner.optionalString("conversation")
            case "seq": seq = try scanner.integer("seq")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("conversation", conversation)
        writer.member("seq", seq)
    }
}

extension ClientReceived: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        var found = false
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "cursors":
                cursors = try scanner.cursors("cursors")
                found = true
            default: try scanner.skip()
            }
        }
        guard found else { throw ClientFrameError(.missing, field: "cursors", "is required") }
    }

    func encode(_ writer: inout JSONWriter) { writer.member("cursors", cursors) }
}

/// The same message in both directions: clients leave `user` out, servers say it.
extension ClientTyping: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        var found = false
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "conversation": conversation = try scanner.optionalString("conversation")
            case "user": user = try scanner.optionalString("user")
            case "active":
                active = try scanner.bool("active")
                found = true
            default: try scanner.skip()
            }
        }
        guard found else { throw ClientFrameError(.missing, field: "active", "is required") }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("conversation", conversation)
        writer.optional("user", user)
        writer.member("active", active)
    }
}

extension ClientWatch: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        var found = false
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "users":
                users = try scanner.strings("users", count: Limits.watchedUsers)
                found = true
            default: try scanner.skip()
            }
        }
        guard found else { throw ClientFrameError(.missing, field: "users", "is required") }
    }

    func encode(_ writer: inout JSONWriter) { writer.member("users", users) }
}

extension ClientPing: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) { writer.optional("ref", ref) }
}

import ChatModel

// The frames that servers send, member by member. Reading them back is for clients and tests: it is lenient about what is
// left out, strict about types.

extension JSONScanner {
    fileprivate mutating func time(_ field: String) throws(ClientFrameError) -> Int64 {
        guard let time = RFC3339.milliseconds(try string(field, limit: 64)) else {
            throw ClientFrameError(.invalidValue, field: field, "must be a time like 2026-11-20T10:00:00.000Z")
        }
        return time
    }

    fileprivate mutating func uint32(_ field: String) throws(ClientFrameError) -> UInt32 {
        guard let value = UInt32(exactly: try integer(field, minimum: 0)) else {
            throw ClientFrameError(.invalidValue, field: field, "too large")
        }
        return value
    }
}

/// Bytes of a text that a server sends.
private let anyText = Limits.frameBytes

extension ClientLimits: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object("limits") { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "text_bytes": textBytes = try scanner.uint32("limits.text_bytes")
            case "frame_bytes": frameBytes = try scanner.uint32("limits.frame_bytes")
            case "watch_users": watchUsers = try scanner.uint32("limits.watch_users")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("text_bytes", UInt64(textBytes))
        writer.member("frame_bytes", UInt64(frameBytes))
        writer.member("watch_users", UInt64(watchUsers))
    }
}

extension ClientWelcome: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "session": session = try scanner.string("session", limit: anyText)
            case "node": node = try scanner.string("node", limit: anyText)
            case "user": user = try scanner.string("user", limit: anyText)
            case "device": device = try scanner.string("device", limit: anyText)
            case "resumed": resumed = try scanner.bool("resumed")
            case "heartbeat_s": heartbeatS = try scanner.uint32("heartbeat_s")
            case "limits": try limits.decode(&scanner, path: "limits.")
            case "server_time": serverTimeMs = try scanner.time("server_time")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("session", session)
        writer.member("node", node)
        writer.member("user", user)
        writer.member("device", device)
        writer.member("resumed", resumed)
        writer.member("heartbeat_s", UInt64(heartbeatS))
        writer.member("limits", limits)
        writer.member("server_time", milliseconds: serverTimeMs)
    }
}

extension ClientEvent: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "conversation": conversation = try scanner.string("conversation", limit: anyText)
            case "seq": seq = try scanner.integer("seq")
            case "id": id = try scanner.string("id", limit: anyText)
            case "kind": kind = try scanner.string("kind", limit: anyText)
            case "sender": sender = try scanner.string("sender", limit: anyText)
            case "sent_at": sentAtMs = try scanner.time("sent_at")
            case "client_id": clientID = try scanner.optionalString("client_id", limit: anyText)
            case "body": if let value = try scanner.body("body") { body = value } else { clearBody() }
            case "message": message = try scanner.optionalString("message", limit: anyText)
            case "emoji": emoji = try scanner.optionalString("emoji", limit: anyText)
            case "removed": removed = try scanner.bool("removed")
            case "user": user = try scanner.optionalString("user", limit: anyText)
            case "change": change = try scanner.optionalString("change", limit: anyText)
            case "role": role = try scanner.optionalString("role", limit: anyText)
            case "group": try group.decode(&scanner, path: "group.")
            case "deleted": deleted = try scanner.bool("deleted")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("conversation", conversation)
        writer.member("seq", seq)
        writer.member("id", id)
        writer.member("kind", kind)
        writer.member("sender", sender)
        writer.member("sent_at", milliseconds: sentAtMs)
        writer.optional("client_id", clientID)
        writer.optional("message", message)
        if hasBody { writer.member("body", body) }
        writer.optional("emoji", emoji)
        if kind == "reaction" { writer.member("removed", removed) }
        writer.optional("user", user)
        writer.optional("change", change)
        writer.optional("role", role)
        if hasGroup { writer.member("group", group) }
        if deleted { writer.member("deleted", true) }
    }
}

extension ClientGroup: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object("group") { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "id": id = try scanner.string("group.id", limit: anyText)
            case "name": name = try scanner.string("group.name", limit: anyText)
            case "about": about = try scanner.optionalString("group.about", limit: anyText)
            case "avatar": avatar = try scanner.optionalString("group.avatar", limit: anyText)
            case "visibility": visibility = try scanner.string("group.visibility", limit: anyText)
            case "deleted": deleted = try scanner.bool("group.deleted")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("name", name)
        writer.member("about", about)
        writer.optional("avatar", avatar)
        writer.member("visibility", visibility)
        if deleted { writer.member("deleted", true) }
    }
}

extension ClientMuted: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "conversation": conversation = try scanner.string("conversation", limit: anyText)
            case "until": if try !scanner.null() { untilMs = try scanner.time("until") }
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("conversation", conversation)
        if hasUntilMs { writer.member("until", milliseconds: untilMs) } else { writer.null("until") }
    }
}

extension ClientSynced: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "cursors": cursors = try scanner.cursors("cursors")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) { writer.member("cursors", cursors) }
}

extension ClientAck: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref", limit: anyText)
            case "conversation": conversation = try scanner.string("conversation", limit: anyText)
            case "seq": seq = try scanner.integer("seq")
            case "id": id = try scanner.string("id", limit: anyText)
            case "sent_at": sentAtMs = try scanner.time("sent_at")
            case "duplicate": duplicate = try scanner.bool("duplicate")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("ref", ref)
        writer.member("conversation", conversation)
        writer.member("seq", seq)
        writer.member("id", id)
        writer.member("sent_at", milliseconds: sentAtMs)
        writer.member("duplicate", duplicate)
    }
}

extension ClientError: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref", limit: anyText)
            case "code": code = try scanner.string("code", limit: anyText)
            case "message": message = try scanner.string("message", limit: anyText)
            case "retry_after_ms": retryAfterMs = try scanner.null() ? 0 : try scanner.uint32("retry_after_ms")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.optional("ref", ref)
        writer.member("code", code)
        writer.member("message", message)
        if retryAfterMs > 0 { writer.member("retry_after_ms", UInt64(retryAfterMs)) }
    }
}

extension ClientReceipt: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "conversation": conversation = try scanner.string("conversation", limit: anyText)
            case "user": user = try scanner.string("user", limit: anyText)
            case "delivered": delivered = try scanner.null() ? 0 : try scanner.integer("delivered")
            case "read": read = try scanner.null() ? 0 : try scanner.integer("read")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("conversation", conversation)
        writer.member("user", user)
        if delivered > 0 { writer.member("delivered", delivered) }
        if read > 0 { writer.member("read", read) }
    }
}

extension ClientPresence: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "user": user = try scanner.string("user", limit: anyText)
            case "online": if try !scanner.null() { online = try scanner.bool("online") }
            case "last_seen": if try !scanner.null() { lastSeenMs = try scanner.time("last_seen") }
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("user", user)
        if hasOnline { writer.member("online", online) }
        if hasLastSeenMs { writer.member("last_seen", milliseconds: lastSeenMs) }
    }
}

extension ClientNotification: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "id": id = try scanner.string("id", limit: anyText)
            case "kind": kind = try scanner.string("kind", limit: anyText)
            case "conversation": conversation = try scanner.optionalString("conversation", limit: anyText)
            case "event": event = try scanner.optionalString("event", limit: anyText)
            case "from": from = try scanner.optionalString("from", limit: anyText)
            case "text": text = try scanner.optionalString("text", limit: anyText)
            case "created_at": createdAtMs = try scanner.time("created_at")
            case "read": read = try scanner.bool("read")
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("kind", kind)
        writer.optional("conversation", conversation)
        writer.optional("event", event)
        writer.optional("from", from)
        writer.member("text", text)
        writer.member("created_at", milliseconds: createdAtMs)
        writer.member("read", read)
    }
}

extension ClientGoaway: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "reason": reason = try scanner.string("reason", limit: anyText)
            case "reconnect_after_ms": reconnectAfterMs = try scanner.uint32("reconnect_after_ms")
            case "url": url = try scanner.optionalString("url", limit: anyText)
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) {
        writer.member("reason", reason)
        writer.member("reconnect_after_ms", UInt64(reconnectAfterMs))
        writer.optional("url", url)
    }
}

extension ClientPong: JSONMessage {
    mutating func decode(_ scanner: inout JSONScanner, path: String) throws(ClientFrameError) {
        try scanner.object(nil) { (scanner, key) throws(ClientFrameError) in
            switch key {
            case "ref": ref = try scanner.optionalString("ref", limit: anyText)
            default: try scanner.skip()
            }
        }
    }

    func encode(_ writer: inout JSONWriter) { writer.optional("ref", ref) }
}

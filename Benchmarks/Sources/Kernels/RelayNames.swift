import Protocol
import RPC

// Three short names that the relay's linked files use and that it defines in files which need its database or its HTTP
// server. Keep them as they are there.

extension Protocol.LogEvent {
    /// Bytes on the wire, roughly (`RelayCore+Reading.swift`).
    var size: Int {
        64 + body.text.utf8.count + clientID.utf8.count + body.attachments.reduce(0) { $0 + $1.utf8.count + 4 }
            + 9 * body.mentions.count + (hasGroup ? group.name.utf8.count + group.about.utf8.count : 0)
    }
}

extension UInt64 {
    /// The value for PostgreSQL's signed column (`LogStore.swift`).
    var column: Int64 { Int64(clamping: self) }
}

extension RPCError {
    /// `RelayFailure.swift`.
    static var noConversation: RPCError { RPCError(.notFound, "There is no such conversation.") }
}

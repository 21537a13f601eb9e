import Postgres
import Protocol
import SwiftProtobuf

/// `ReadStatements.event`'s columns as a `LogEvent` in its present state: what was deleted has no body.
enum EventColumns {
    static let count = 11

    /// - Parameter viewer: whose eyes it is for: a sender's own id of an event is told to the sender alone. nil: everyone's.
    static func event(_ row: PostgresRow, for viewer: UInt64?) throws(PostgresError) -> Protocol.LogEvent {
        var event = Protocol.LogEvent()
        event.conversation = UInt64(column: try row.int8(0))
        event.seq = UInt64(column: try row.int8(1))
        event.kind = LogEventKind(rawValue: Int(try row.int2(2))) ?? .unspecified
        event.sender = UInt64(column: try row.int8(3))
        event.sentAtMs = try row.timestampMilliseconds(4)
        if viewer == nil || viewer == event.sender { event.clientID = try row.optionalText(5) ?? "" }
        event.target = UInt64(column: try row.optionalInt8(7) ?? 0)
        event.emoji = try row.optionalText(8) ?? ""
        event.removed = try row.bool(9)
        event.deleted = try row.bool(10)
        if !event.deleted, let bytes = try row.optionalBytes(6) {
            switch event.kind {
            case .message, .edit: event.body = try decode(bytes, "of event \(event.seq) of \(event.conversation)")
            case .member: event.member = try decode(bytes, "of event \(event.seq) of \(event.conversation)")
            case .group: event.group = try decode(bytes, "of event \(event.seq) of \(event.conversation)")
            case .delete, .reaction, .unspecified, .UNRECOGNIZED: break
            }
        }
        return event
    }

    /// A stored message; `place` says where it was for an error.
    static func decode<Body: SwiftProtobuf.Message>(
        _ bytes: [UInt8], _ place: @autoclosure () -> String
    ) throws(PostgresError) -> Body {
        do {
            return try Body(serializedBytes: bytes)
        } catch {
            throw PostgresError(
                .decoding, "the body \(place()) is not a \(Body.protoMessageName)", attempted: "decode a body",
                cause: error)
        }
    }
}

/// `ReadStatements.message`'s columns, which begin with those of the event, as a `RelayMessage`.
enum MessageColumns {
    static let count = EventColumns.count + 3

    /// - Parameter viewer: as of `EventColumns`.
    static func message(_ row: PostgresRow, for viewer: UInt64?) throws(PostgresError) -> RelayMessage {
        let first = EventColumns.count
        var message = RelayMessage()
        let event = try EventColumns.event(row, for: viewer)
        message.deleted = event.deleted
        message.event = event
        message.editedAtMs = try row.optionalTimestampMilliseconds(first) ?? 0
        if let emojis = try row.optionalTextArray(first + 1), let users = try row.optionalInt8Array(first + 2) {
            message.reactions = reactions(
                zip(emojis, users).lazy.compactMap { emoji, user in
                    guard let emoji, let user else { return nil }
                    return (emoji, UInt64(column: user))
                })
        }
        return message
    }

    /// Grouped by emoji, in the order in which each was first used.
    static func reactions(_ each: some Sequence<(emoji: String, user: UInt64)>) -> [RelayReaction] {
        var grouped: [RelayReaction] = []
        // By bytes: PostgreSQL tells emojis apart by them, Swift's strings do not.
        var known: [[UInt8]: Int] = [:]
        for (emoji, user) in each {
            let key = Array(emoji.utf8)
            if let index = known[key] {
                grouped[index].users.append(user)
            } else {
                known[key] = grouped.count
                var reaction = RelayReaction()
                reaction.emoji = emoji
                reaction.users = [user]
                grouped.append(reaction)
            }
        }
        return grouped
    }
}

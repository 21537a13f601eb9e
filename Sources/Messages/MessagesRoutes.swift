import ChatModel
import HTTPTypes
package import Hummingbird
import Protocol
import RPC
package import ServiceKit

/// Conversations of one kind over REST, below the kind's prefix.
package struct MessagesRoutes: Sendable {
    private let core: MessagesCore
    private var people: People { core.people }
    private var relay: RelayStub { core.relay }

    package init(core: MessagesCore) { self.core = core }

    package func add(to router: Router<RoostRequestContext>) {
        let group = router.group(RouterPath(core.kind.prefix))
        group.get("conversations", use: list)
        group.post("messages", use: send)
        let conversation = group.group("conversations/{conversation}")
        conversation.get("messages", use: history)
        conversation.put("read", use: read)
        conversation.put("mute", use: mute)
        let message = conversation.group("messages/{message}")
        message.patch(use: edit)
        message.delete(use: delete)
        message.get("receipts", use: receipts)
        message.put("reactions/{emoji}") { try await react($0, $1, removed: false) }
        message.delete("reactions/{emoji}") { try await react($0, $1, removed: true) }
    }

    // MARK: Writing

    private func send(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let json = try await request.decodeJSON(SendJSON.self, context)
        var message = MessagesSendRequest()
        message.user = identity.user.rawValue
        message.device = identity.device.rawValue
        message.clientID = json.clientId
        var conversation: ConversationID?
        switch (json.conversation, json.to) {
        case (let text?, nil):
            guard let id = ConversationID(text) else { throw Problem.field("conversation", "is no id") }
            conversation = id
            message.conversation = id.rawValue
        case (nil, let text?):
            guard let id = UserID(text) else { throw Problem.field("to", "is no id") }
            message.to = id.rawValue
        case (nil, nil), (_?, _?): throw Problem.field("conversation", "this or `to` is required, and not both")
        }
        message.body = try json.body.checked(in: conversation)
        let stored = try await core.send(message, options: .init())
        var event = LogEvent()
        event.kind = .message
        event.clientID = message.clientID
        event.body = message.body
        let answer = try await self.event(stored, or: event, of: identity)
        return try .json(answer, status: stored.duplicate ? .ok : .created)
    }

    private func edit(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let message = try message(context)
        let json = try await request.decodeJSON(EditJSON.self, context)
        var amendment = Self.amendment(of: message, by: identity)
        amendment.ref = json.clientId ?? ""
        amendment.edit = try json.body.checked(in: message.conversation)
        let stored = try await core.amend(amendment, options: .init())
        var event = LogEvent()
        event.kind = .edit
        event.clientID = amendment.ref
        event.target = message.seq
        event.body = amendment.edit
        return try .json(try await self.event(stored, or: event, of: identity))
    }

    private func delete(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        var amendment = Self.amendment(of: try message(context), by: identity)
        amendment.deletion = MessagesDeletion()
        _ = try await core.amend(amendment, options: .init())
        return .noContent
    }

    private func react(
        _ request: Request, _ context: RoostRequestContext, removed: Bool
    ) async throws -> Response {
        let identity = try context.requireUser()
        var amendment = Self.amendment(of: try message(context), by: identity)
        guard let emoji = context.parameters.get("emoji").flatMap({ PercentEncoding.decode($0) }) else {
            throw Problem.field("emoji", "is no percent-encoded UTF-8")
        }
        var reaction = MessagesReaction()
        reaction.emoji = emoji
        reaction.removed = removed
        amendment.reaction = reaction
        _ = try await core.amend(amendment, options: .init())
        return .noContent
    }

    private static func amendment(of message: EventID, by identity: Identity) -> MessagesAmendRequest {
        var amendment = MessagesAmendRequest()
        amendment.user = identity.user.rawValue
        amendment.device = identity.device.rawValue
        amendment.conversation = message.conversation.rawValue
        amendment.message = message.seq
        return amendment
    }

    /// The event that was stored: of a repeated call the first one, whatever this one says.
    private func event(
        _ stored: MessagesSendResponse, or made: LogEvent, of identity: Identity
    ) async throws(RPCError) -> EventJSON {
        if stored.duplicate {
            var query = RelayHistoryRequest()
            query.conversation = stored.conversation
            query.user = identity.user.rawValue
            query.after = stored.seq - 1
            query.fromStart = stored.seq == 1
            query.limit = 1
            query.raw = true
            let found = try await relay.history(query)
            if let first = found.messages.first, first.event.seq == stored.seq { return EventJSON(first.event) }
        }
        var event = made
        event.conversation = stored.conversation
        event.seq = stored.seq
        event.sender = identity.user.rawValue
        event.sentAtMs = stored.sentAtMs
        return EventJSON(event)
    }

    // MARK: Reading

    private func list(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let page = try Page(request)
        let user = identity.user.rawValue
        var query = RelayConversationsRequest()
        query.user = user
        query.device = identity.device.rawValue
        query.kind = core.kind.wire
        query.limit = UInt32(page.limit)
        query.cursor = page.cursor ?? ""
        let found = try await relay.conversations(query)
        var profiles: [UInt64: UsersProfile] = [:]
        if core.kind == .direct { profiles = try await people.profiles(found.conversations.map(\.peer) + [user]) }
        let now = UnixClock.now()
        return try .json(
            PageResponse(
                items: found.conversations.map {
                    ConversationJSON($0, kind: core.kind, user: user, profiles, now: now)
                },
                next: found.next.isEmpty ? nil : found.next))
    }

    /// `before` (newest first, the default) or `after` (oldest first); `next` continues either way as `cursor`.
    private func history(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try conversation(context)
        let page = try Page(request)
        var query = RelayHistoryRequest()
        query.conversation = conversation.rawValue
        query.user = identity.user.rawValue
        query.limit = UInt32(page.limit)
        query.changes = try request.flag("changes")
        var forward = false
        if let cursor = page.cursor {
            guard let seq = UInt64(cursor.dropFirst()), seq <= UInt64(Int64.max), let direction = cursor.first,
                "ab".contains(direction)
            else { throw Problem.field("cursor", "is not one of ours") }
            forward = direction == "a"
            if forward { query.after = seq } else { query.before = seq }
        } else {
            query.before = try request.seq("before") ?? 0
            if let after = try request.seq("after") {
                guard query.before == 0 else { throw Problem.field("after", "this or `before`, not both") }
                forward = true
                query.after = after
            }
        }
        query.fromStart = forward
        let found = try await relay.history(query)
        var next: String?
        if found.more, let last = found.messages.last { next = (forward ? "a" : "b") + String(last.event.seq) }
        return .json(bytes: MessagePageJSON.bytes(found.messages, next: next))
    }

    /// Who has a message and who has read it, as far as they show it; who hides their own sees nobody's.
    private func receipts(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let message = try message(context)
        let user = identity.user.rawValue
        var query = RelayReceiptsRequest()
        query.conversation = message.conversation.rawValue
        query.user = user
        query.seq = message.seq
        let found = try await relay.receipts(query)
        let profiles = try await people.profiles(found.delivered + found.read + [user])
        func shows(_ user: UInt64) -> Bool { profiles[user]?.readReceipts ?? false }
        guard shows(user) else { return try .json(ReceiptsJSON(delivered: [], read: [])) }
        return try .json(ReceiptsJSON(delivered: found.delivered.filter(shows), read: found.read.filter(shows)))
    }

    // MARK: One's own view of a conversation

    private func read(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try conversation(context)
        let seq = try await request.decodeJSON(ReadJSON.self, context).seq
        guard seq > 0 else { throw Problem.field("seq", "must be 1 or more") }
        var query = RelayConversationsRequest()
        query.user = identity.user.rawValue
        query.device = identity.device.rawValue
        query.only = conversation.rawValue
        let found = try await relay.conversations(query)
        guard !found.conversations.isEmpty else { throw Problem.notFound("There is no such conversation.") }
        var acknowledgement = RelayAcknowledgement()
        acknowledgement.user = identity.user.rawValue
        acknowledgement.device = identity.device.rawValue
        acknowledgement.conversation = conversation.rawValue
        acknowledgement.read = seq
        var acknowledge = RelayAcknowledgeRequest()
        acknowledge.acknowledgements = [acknowledgement]
        _ = try await relay.acknowledge(acknowledge, options: .init(key: conversation.rawValue))
        return .noContent
    }

    private func mute(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try conversation(context)
        let until = try await request.decodeJSON(MuteJSON.self, context).until
        if let until, until.milliseconds <= 0 { throw Problem.field("until", "must be a time to come, or null") }
        var mute = RelayMuteRequest()
        mute.conversation = conversation.rawValue
        mute.user = identity.user.rawValue
        mute.untilMs = until?.milliseconds ?? 0
        _ = try await relay.mute(mute, options: .init(key: conversation.rawValue))
        return .noContent
    }

    // MARK: Paths

    /// The conversation that the path names; one of the other kind is none.
    private func conversation(_ context: RoostRequestContext) throws -> ConversationID {
        let conversation = try context.identifier("conversation", as: ConversationID.self)
        try core.expect(conversation.rawValue)
        return conversation
    }

    private func message(_ context: RoostRequestContext) throws -> EventID {
        let conversation = try conversation(context)
        guard let message = context.parameters.get("message").flatMap({ EventID($0) }),
            message.conversation == conversation
        else { throw Problem.notFound("There is no such message.") }
        return message
    }
}

extension Request {
    /// A query parameter that is a `seq`; nil where there is none.
    fileprivate func seq(_ name: String) throws(Problem) -> UInt64? {
        guard let text = uri.queryParameters[name[...]] else { return nil }
        guard let seq = UInt64(text), seq <= UInt64(Int64.max) else { throw .field(name, "must be a seq") }
        return seq
    }

    /// A query parameter that is `true` or `false`, the default.
    fileprivate func flag(_ name: String) throws(Problem) -> Bool {
        switch uri.queryParameters[name[...]] {
        case nil, "false": false
        case "true": true
        case _?: throw .field(name, "must be true or false")
        }
    }
}

import ChatModel
import HTTPTypes
package import Hummingbird
import Protocol
import RPC
package import ServiceKit

/// `/message-service/v1`: direct conversations over REST.
package struct MessagesRoutes: Sendable {
    private let messages: DirectMessages
    private let people: People
    private let relay: RelayStub

    package init(messages: DirectMessages) {
        self.messages = messages
        people = messages.people
        relay = messages.relay
    }

    package func add(to router: Router<RoostRequestContext>) {
        let group = router.group("message-service/v1")
        group.get("conversations", use: list)
        group.post("messages", use: send)
        group.get("conversations/{conversation}/messages", use: history)
        group.get("conversations/{conversation}/messages/{message}/receipts", use: receipts)
        group.put("conversations/{conversation}/read", use: read)
        group.put("conversations/{conversation}/mute", use: mute)
    }

    private func list(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let page = try Page(request)
        var query = RelayConversationsRequest()
        query.user = identity.user.rawValue
        query.device = identity.device.rawValue
        query.kind = .direct
        query.limit = UInt32(page.limit)
        query.cursor = page.cursor ?? ""
        let found = try await relay.conversations(query)
        let profiles = try await people.profiles(found.conversations.map(\.peer), options: .init())
        let now = UnixClock.now()
        return try .json(
            PageResponse(
                items: found.conversations.map { ConversationJSON($0, profiles[$0.peer], now: now) },
                next: found.next.isEmpty ? nil : found.next))
    }

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
        let stored = try await messages.send(message, options: .init())
        let event = try await event(stored, of: message)
        return try .json(EventJSON(event), status: stored.duplicate ? .ok : .created)
    }

    /// The event that was stored: of a repeated send the first one, whatever this one says.
    private func event(
        _ stored: MessagesSendResponse, of message: MessagesSendRequest
    ) async throws(RPCError) -> LogEvent {
        if stored.duplicate {
            var query = RelayHistoryRequest()
            query.conversation = stored.conversation
            query.user = message.user
            query.after = stored.seq - 1
            query.fromStart = stored.seq == 1
            query.limit = 1
            query.raw = true
            let found = try await relay.history(query)
            if let first = found.messages.first, first.event.seq == stored.seq { return first.event }
        }
        var event = LogEvent()
        event.conversation = stored.conversation
        event.seq = stored.seq
        event.kind = .message
        event.sender = message.user
        event.sentAtMs = stored.sentAtMs
        event.clientID = message.clientID
        event.body = message.body
        return event
    }

    /// `before` (newest first, the default) or `after` (oldest first); `next` continues either way as `cursor`.
    private func history(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try context.identifier("conversation", as: ConversationID.self)
        let page = try Page(request)
        var query = RelayHistoryRequest()
        query.conversation = conversation.rawValue
        query.user = identity.user.rawValue
        query.limit = UInt32(page.limit)
        var forward = false
        if let cursor = page.cursor {
            guard let seq = UInt64(cursor.dropFirst()), let direction = cursor.first, "ab".contains(direction) else {
                throw Problem.field("cursor", "is not one of ours")
            }
            forward = direction == "a"
            if forward { query.after = seq } else { query.before = seq }
        } else {
            query.before = try Self.seq("before", request) ?? 0
            if let after = try Self.seq("after", request) {
                guard query.before == 0 else { throw Problem.field("after", "this or `before`, not both") }
                forward = true
                query.after = after
            }
        }
        query.fromStart = forward
        let found = try await relay.history(query)
        var next: String?
        if found.more, let last = found.messages.last { next = (forward ? "a" : "b") + String(last.event.seq) }
        return try .json(PageResponse(items: found.messages.map { MessageJSON($0) }, next: next))
    }

    private func receipts(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try context.identifier("conversation", as: ConversationID.self)
        guard let message = context.parameters.get("message").flatMap({ EventID($0) }),
            message.conversation == conversation
        else { throw Problem.notFound("There is no such message.") }
        var query = RelayReceiptsRequest()
        query.conversation = conversation.rawValue
        query.user = identity.user.rawValue
        query.seq = message.seq
        let found = try await relay.receipts(query)
        let profiles = try await people.profiles(found.read, options: .init())
        return try .json(
            ReceiptsJSON(
                delivered: found.delivered.map { UserID(rawValue: $0).description },
                read: found.read.filter { profiles[$0]?.readReceipts ?? false }
                    .map { UserID(rawValue: $0).description }))
    }

    private func read(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try context.identifier("conversation", as: ConversationID.self)
        let seq = try await request.decodeJSON(ReadJSON.self, context).seq
        var query = RelayConversationsRequest()
        query.user = identity.user.rawValue
        query.device = identity.device.rawValue
        query.only = conversation.rawValue
        guard try await !relay.conversations(query).conversations.isEmpty else {
            throw Problem.notFound("There is no such conversation.")
        }
        var acknowledgement = RelayAcknowledgement()
        acknowledgement.user = identity.user.rawValue
        acknowledgement.device = identity.device.rawValue
        acknowledgement.conversation = conversation.rawValue
        acknowledgement.read = seq
        var acknowledge = RelayAcknowledgeRequest()
        acknowledge.acknowledgements = [acknowledgement]
        _ = try await relay.acknowledge(acknowledge)
        return .noContent
    }

    private func mute(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let conversation = try context.identifier("conversation", as: ConversationID.self)
        let until = try await request.decodeJSON(MuteJSON.self, context).until
        if let until, until.milliseconds <= 0 { throw Problem.field("until", "must be a time to come, or null") }
        var mute = RelayMuteRequest()
        mute.conversation = conversation.rawValue
        mute.user = identity.user.rawValue
        mute.untilMs = until?.milliseconds ?? 0
        _ = try await relay.mute(mute)
        return .noContent
    }

    private static func seq(_ name: String, _ request: Request) throws(Problem) -> UInt64? {
        guard let text = request.uri.queryParameters[name[...]] else { return nil }
        guard let seq = UInt64(text), seq <= UInt64(Int64.max) else { throw .field(name, "must be a seq") }
        return seq
    }
}

import ChatModel
package import Protocol
package import RPC
package import RPCTransport

/// The rules of conversations of one kind, without a process: what the RPC and REST faces share.
///
/// What can race (membership, who may amend what, blocks, repeats) is the relay's to decide, under the conversation's lock.
package final class MessagesCore: MessagesService {
    package let kind: MessagesKind
    let configuration: MessagesConfiguration
    let people: People
    let relay: RelayStub

    package init(
        kind: MessagesKind, users: UsersStub, relay: RelayStub, configuration: MessagesConfiguration = .init()
    ) {
        self.kind = kind
        self.configuration = configuration
        people = People(users: users, relay: relay)
        self.relay = relay
    }

    package func send(_ request: MessagesSendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        try await send(request, options: context.options())
    }

    /// Stores a message; answers after the commit.
    ///
    /// - Parameter options: time and trace; the routing key is set here.
    package func send(
        _ request: MessagesSendRequest, options: CallOptions
    ) async throws(RPCError) -> MessagesSendResponse {
        do { try check(request) } catch { throw RPCError(error) }
        var conversation = request.conversation
        if conversation == 0 {
            conversation = try await people.direct(request.user, request.to, options: options)
        }
        return try await store(RelayAppendRequest(request, conversation: conversation), options: options)
    }

    package func amend(_ request: MessagesAmendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        try await amend(request, options: context.options())
    }

    /// Edits or deletes a message, or changes a reaction to it; answers after the commit.
    package func amend(
        _ request: MessagesAmendRequest, options: CallOptions
    ) async throws(RPCError) -> MessagesSendResponse {
        do { try check(request) } catch { throw RPCError(error) }
        var append = RelayAppendRequest()
        append.conversation = request.conversation
        append.sender = request.user
        append.target = request.message
        switch request.change {
        case .edit(let body):
            append.kind = .edit
            append.clientID = request.ref
            append.body = body
            append.withinMs = UInt64(configuration.editWithin.components.seconds) * 1000
        case .deletion:
            append.kind = .delete
        case .reaction(let reaction):
            append.kind = .reaction
            append.emoji = reaction.emoji
            append.removed = reaction.removed
        case nil:
            throw RPCError(.invalid, "Say what to change: an edit, a deletion or a reaction.")
        }
        return try await store(append, options: options)
    }

    private func store(
        _ append: RelayAppendRequest, options: CallOptions
    ) async throws(RPCError) -> MessagesSendResponse {
        try expect(append.conversation)
        var options = options
        options.key = append.conversation
        return MessagesSendResponse(try await relay.append(append, options: options))
    }

    /// - Throws: `not_found` for a conversation of the other kind.
    func expect(_ conversation: UInt64) throws(RPCError) {
        guard kind.holds(ConversationID(rawValue: conversation)) else {
            throw RPCError(.notFound, "There is no such conversation.")
        }
    }

    // MARK: Forms

    private static let largest = UInt64(Int64.max)

    /// Whatever is wrong with a message apart from who sends it where.
    private func check(_ request: MessagesSendRequest) throws(MessageRules.Violation) {
        guard request.user > 0, request.user <= Self.largest else { throw .init("user", "is no id") }
        guard (request.conversation == 0) != (request.to == 0) else {
            throw .init("conversation", "this or `to` is required, and not both")
        }
        guard request.conversation <= Self.largest else { throw .init("conversation", "is no id") }
        guard request.to <= Self.largest else { throw .init("to", "is no id") }
        guard kind == .direct || request.to == 0 else { throw .init("to", "a group is named by its `conversation`") }
        try MessageRules.check(clientID: request.clientID)
        try Self.check(request.body)
    }

    private func check(_ request: MessagesAmendRequest) throws(MessageRules.Violation) {
        guard request.user > 0, request.user <= Self.largest else { throw .init("user", "is no id") }
        guard request.conversation > 0, request.conversation <= Self.largest else {
            throw .init("conversation", "is no id")
        }
        guard request.message > 0, request.message <= Self.largest else { throw .init("message", "names no message") }
        switch request.change {
        case .edit(let body):
            if !request.ref.isEmpty { try MessageRules.check(clientID: request.ref) }
            try Self.check(body)
        case .reaction(let reaction): try MessageRules.check(emoji: reaction.emoji)
        case .deletion, nil: break
        }
    }

    private static func check(_ body: LogBody) throws(MessageRules.Violation) {
        if case .UNRECOGNIZED = body.format { throw .init("body.format", "must be plain or markdown") }
        try MessageRules.check(
            text: body.text, attachments: body.attachments, replyTo: body.replyTo, mentions: body.mentions)
    }
}

extension RPCError {
    /// A rule that a message breaks, as the caller hears of it.
    init(_ violation: MessageRules.Violation) {
        self.init(
            violation.isTooLong ? .tooLarge : .invalid, "\(violation.field): \(violation.message)",
            details: ["field": violation.field])
    }
}

import ChatModel
package import Protocol
package import RPC
package import RPCTransport

/// The rules of direct conversations.
package final class DirectMessages: MessagesService {
    let people: People
    let relay: RelayStub

    package init(users: UsersStub, relay: RelayStub) {
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
        do {
            try Self.check(request)
        } catch {
            throw RPCError(
                error.isTooLong ? .tooLarge : .invalid, "\(error.field): \(error.message)",
                details: ["field": error.field])
        }
        var conversation = request.conversation
        if conversation == 0 {
            conversation = try await people.direct(request.user, request.to, options: options)
        }
        var append = RelayAppendRequest()
        append.conversation = conversation
        append.sender = request.user
        append.clientID = request.clientID
        append.kind = .message
        append.body = request.body
        var options = options
        options.key = conversation
        let stored = try await relay.append(append, options: options)
        var response = MessagesSendResponse()
        response.conversation = stored.conversation
        response.seq = stored.seq
        response.sentAtMs = stored.sentAtMs
        response.duplicate = stored.duplicate
        return response
    }

    package func amend(_ request: MessagesAmendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        throw RPCError(.unimplemented, "Not yet.")
    }

    /// Whatever is wrong with a message apart from who sends it where.
    private static func check(_ request: MessagesSendRequest) throws(MessageRules.Violation) {
        let largest = UInt64(Int64.max)
        guard request.user > 0, request.user <= largest else { throw .init("user", "is no id") }
        guard (request.conversation == 0) != (request.to == 0) else {
            throw .init("conversation", "this or `to` is required, and not both")
        }
        guard request.conversation <= largest else { throw .init("conversation", "is no id") }
        guard request.to <= largest else { throw .init("to", "is no id") }
        try MessageRules.check(clientID: request.clientID)
        let body = request.body
        if case .UNRECOGNIZED = body.format { throw .init("body.format", "must be plain or markdown") }
        try MessageRules.check(
            text: body.text, attachments: body.attachments, replyTo: body.replyTo, mentions: body.mentions)
    }
}

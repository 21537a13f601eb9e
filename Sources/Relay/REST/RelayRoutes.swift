import ChatModel
import HTTPTypes
package import Hummingbird
import Protocol
import RPC
package import ServiceKit

/// `/relay-service/v1`: the log for clients without a WebSocket.
package struct RelayRoutes: Sendable {
    let core: RelayCore
    /// Long polls of one user at once.
    private static let waits = 20

    package init(core: RelayCore) { self.core = core }

    package func add(to router: Router<RoostRequestContext>) {
        let group = router.group("relay-service/v1")
        group.get("pending", use: pending)
        group.get("events", use: events)
        group.post("received", use: received)
    }

    private func pending(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        var conversations: [PendingConversation] = []
        for standing in try await standings(of: identity) where standing.head > standing.acknowledged {
            conversations.append(
                PendingConversation(
                    conversation: ConversationID(rawValue: standing.conversation).description,
                    delivered: standing.acknowledged, head: standing.head,
                    pending: standing.head - standing.acknowledged))
        }
        return try .json(
            PendingResponse(
                device: identity.device.description, conversations: conversations,
                total: conversations.reduce(0) { $0 + $1.pending }))
    }

    /// What the device has not acknowledged, oldest first in each conversation. With `wait_s`, and nothing there, answers as
    /// soon as there is something.
    private func events(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let limit = try Page(request).limit
        let wait = try Self.wait(request)
        let deadline = ContinuousClock.now + .seconds(wait)
        guard wait == 0 || core.signals.waiting(for: identity.user.rawValue) < Self.waits else {
            throw Problem(
                code: .rateLimited, detail: "\(Self.waits) calls of this user wait here already.",
                retryAfter: .seconds(1))
        }
        // Another relay may append for this user, and only its own pushes are signalled here: look again now and then.
        let found = try await core.signals.withSignals(for: identity.user.rawValue, every: .milliseconds(500)) {
            signals in
            var page = try await read(identity, limit)
            guard page.items.isEmpty, wait > 0 else { return page }
            for await _ in signals {
                page = try await read(identity, limit)
                if !page.items.isEmpty || ContinuousClock.now >= deadline { break }
            }
            try Task.checkCancellation()
            return page
        }
        return try .json(found)
    }

    private func received(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        struct Received: Decodable {
            var cursors: [String: UInt64]
        }
        let identity = try context.requireUser()
        let body = try await request.decodeJSON(Received.self, context)
        guard body.cursors.count <= 10_000 else { throw Problem.field("cursors", "has more than 10000 members") }
        var acknowledgements: [RelayAcknowledgement] = []
        for (name, seq) in body.cursors {
            guard let conversation = ConversationID(name) else {
                throw Problem.field("cursors.\(name.prefix(32))", "is not a conversation")
            }
            var acknowledgement = RelayAcknowledgement()
            acknowledgement.user = identity.user.rawValue
            acknowledgement.device = identity.device.rawValue
            acknowledgement.conversation = conversation.rawValue
            acknowledgement.delivered = seq
            if seq > 0 { acknowledgements.append(acknowledgement) }
        }
        try await core.acknowledger.acknowledge(acknowledgements)
        return .noContent
    }

    private func standings(of identity: Identity) async throws(RPCError) -> [SyncPlan.Standing] {
        try await answering {
            try await core.standings.standings(
                .init(user: identity.user.rawValue, device: identity.device.rawValue))
        }
    }

    private func read(_ identity: Identity, _ limit: Int) async throws(RPCError) -> EventsResponse {
        var plan = SyncPlan(try await standings(of: identity), cursors: [:])
        let ranges = plan.next(limit: limit)
        guard !ranges.isEmpty else { return EventsResponse(items: [], more: false) }
        let events = try await answering {
            try await core.store.events(in: ranges, for: identity.user.rawValue)
        }
        return EventsResponse(items: events.map { EventJSON($0) }, more: !plan.next(limit: 1).isEmpty)
    }

    private static func wait(_ request: Request) throws(Problem) -> Int {
        guard let text = request.uri.queryParameters["wait_s"] else { return 0 }
        guard let seconds = Int(text), (0...30).contains(seconds) else {
            throw .field("wait_s", "must be a number from 0 to 30")
        }
        return seconds
    }
}

private struct PendingConversation: Encodable {
    var conversation: String
    var delivered: UInt64
    var head: UInt64
    var pending: UInt64
}

private struct PendingResponse: Encodable {
    var device: String
    var conversations: [PendingConversation]
    var total: UInt64
}

private struct EventsResponse: Encodable, Sendable {
    var items: [EventJSON]
    var more: Bool
}

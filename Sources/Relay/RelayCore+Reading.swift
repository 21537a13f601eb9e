import ChatModel
import CoreMetrics
package import Protocol
package import RPC
package import RPCTransport

extension RelayCore {
    package func sync(
        _ request: RelaySyncRequest, writer: RPCStreamWriter<RelaySyncPage>, context: RPCContext
    ) async throws {
        try await sync(request) { page in try await writer.write(page) }
    }

    /// Hands out what a device lacks: a page with the positions, then pages of events. `write` suspends while the reader is
    /// behind; nothing is read ahead of it but one page.
    package func sync(
        _ request: RelaySyncRequest, write: (RelaySyncPage) async throws -> Void
    ) async throws {
        let cursors = Dictionary(request.cursors.map { ($0.conversation, $0.seq) }, uniquingKeysWith: min)
        let standings = try await answering {
            try await store.standings(
                user: request.user, device: request.device, only: request.all ? nil : Array(cursors.keys))
        }
        var plan = SyncPlan(standings, cursors: cursors)
        var page = RelaySyncPage()
        page.complete = plan.isComplete
        page.positions = plan.positions.map { position in
            var wire = RelayPosition()
            wire.conversation = position.conversation
            wire.after = position.after
            wire.head = position.head
            return wire
        }
        metrics.syncPages.increment()
        try await write(page)
        while true {
            let ranges = plan.next(limit: configuration.syncPageEvents)
            if ranges.isEmpty { return }
            let events = try await answering {
                try await store.events(in: ranges, for: request.user)
            }
            for slice in SyncPlan.pages(events, bytes: configuration.syncPageBytes, size: { $0.size }) {
                var page = RelaySyncPage()
                page.events = Array(slice)
                metrics.syncPages.increment()
                metrics.syncEvents.increment(by: slice.count)
                try await write(page)
            }
        }
    }

    package func conversations(
        _ request: RelayConversationsRequest, context: RPCContext
    ) async throws -> RelayConversationsResponse {
        try await conversations(request)
    }

    /// A page of a user's conversations.
    package func conversations(
        _ request: RelayConversationsRequest
    ) async throws(RPCError) -> RelayConversationsResponse {
        let limit = Self.limit(request.limit)
        var cursor: ConversationCursor?
        if !request.cursor.isEmpty {
            cursor = ConversationCursor(request.cursor)
            guard cursor != nil else {
                throw RPCError(.invalid, "The cursor is not one of ours.", details: ["field": "cursor"])
            }
        }
        let (items, last) = try await answering {
            try await store.conversations(request, limit: limit, after: cursor)
        }
        var response = RelayConversationsResponse()
        response.conversations = items
        if request.only == 0, items.count == limit, let last { response.next = last.text }
        return response
    }

    package func history(_ request: RelayHistoryRequest, context: RPCContext) async throws -> RelayHistoryResponse {
        let limit = Self.limit(request.limit)
        let found = try await answering { try await store.history(request, limit: limit) }
        guard let events = try Self.visible(found) else { throw RPCError.notMember }
        var response = RelayHistoryResponse()
        response.more = events.count > limit
        response.messages = events.prefix(limit).map { event in
            var message = RelayMessage()
            message.event = event
            return message
        }
        return response
    }

    package func receipts(_ request: RelayReceiptsRequest, context: RPCContext) async throws -> RelayReceiptsResponse {
        let found = try await answering {
            try await store.receipts(conversation: request.conversation, seq: request.seq, user: request.user)
        }
        guard let response = try Self.visible(found) else { throw RPCError.notMember }
        return response
    }

    /// nil outside: there is none. nil inside: not this user's.
    private static func visible<Value>(_ found: Value??) throws(RPCError) -> Value? {
        switch found {
        case .none: throw RPCError.noConversation
        case .some(let value): value
        }
    }

    private static func limit(_ wanted: UInt32) -> Int {
        wanted == 0 ? Limits.pageItemsDefault : min(Int(wanted), Limits.pageItems.upperBound)
    }
}

extension Protocol.LogEvent {
    /// Bytes on the wire, roughly.
    var size: Int {
        64 + body.text.utf8.count + clientID.utf8.count + body.attachments.reduce(0) { $0 + $1.utf8.count + 4 }
    }
}

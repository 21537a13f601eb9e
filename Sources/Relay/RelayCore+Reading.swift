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
        let named = Array(cursors.keys)
        let standings = try await answering {
            request.all
                ? try await self.standings.standings(.init(user: request.user, device: request.device, named: named))
                : try await store.standings(user: request.user, in: named)
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
        let isNewest =
            request.before == 0 && request.after == 0 && !request.fromStart && !request.raw
            && limit < CachedPage.capacity
        if isNewest, let pages {
            let found = try await newest(request, limit: limit, pages)
            if let found { return found }
        }
        let messages = try Self.seen(await answering { try await store.history(request, limit: limit) })
        var response = RelayHistoryResponse()
        response.more = messages.count > limit
        response.messages = Array(messages.prefix(limit))
        return response
    }

    /// The newest page by way of the cache: PostgreSQL says which head there is and what the user may see, now; the page of
    /// that head may come from Redis. nil: it has to be read from the log.
    private func newest(
        _ request: RelayHistoryRequest, limit: Int, _ pages: PageCache
    ) async throws(RPCError) -> RelayHistoryResponse? {
        let (conversation, user) = (request.conversation, request.user)
        guard pages.isUsable else {
            metrics.bypassedPages.increment()
            return nil
        }
        let window = try Self.seen(
            await answering { try await store.window(conversation: conversation, user: user) })
        guard window.until == window.head else { return nil }
        if let page = await pages.find(conversation, at: window, changes: request.changes) {
            return page.page(for: user, in: window, limit: limit)
        }
        let (present, page) = try Self.seen(
            await answering {
                try await store.newest(
                    conversation: conversation, user: user, limit: CachedPage.capacity, changes: request.changes)
            })
        pages.keep(page, changes: request.changes)
        return present.until == present.head ? page.page(for: user, in: present, limit: limit) : nil
    }

    package func receipts(_ request: RelayReceiptsRequest, context: RPCContext) async throws -> RelayReceiptsResponse {
        try Self.seen(
            await answering {
                try await store.receipts(conversation: request.conversation, seq: request.seq, user: request.user)
            })
    }

    package func windows(_ request: RelayWindowsRequest, context: RPCContext) async throws -> RelayWindowsResponse {
        var response = RelayWindowsResponse()
        response.windows = try await answering {
            try await store.windows(user: request.user, kind: request.kind, only: request.only)
        }
        return response
    }

    package func lookup(_ request: RelayLookupRequest, context: RPCContext) async throws -> RelayLookupResponse {
        try Self.check(request.messages.count, limit: 256)  // of long ones, what one frame holds
        var response = RelayLookupResponse()
        response.messages = try await answering { try await store.lookup(user: request.user, request.messages) }
        return response
    }

    package func contacts(_ request: RelayContactsRequest, context: RPCContext) async throws -> RelayContactsResponse {
        try Self.check(request.peers.count, limit: 1000)
        var response = RelayContactsResponse()
        response.peers = try await answering { try await store.contacts(user: request.user, peers: request.peers) }
        return response
    }

    private static func seen<Value>(_ sight: Sight<Value>) throws(RPCError) -> Value {
        switch sight {
        case .noConversation: throw RPCError.noConversation
        case .notMember: throw RPCError.notMember
        case .seen(let value): value
        }
    }

    private static func limit(_ wanted: UInt32) -> Int {
        wanted == 0 ? Limits.pageItemsDefault : min(Int(wanted), Limits.pageItems.upperBound)
    }

    /// What one call may ask about.
    private static func check(_ count: Int, limit: Int) throws(RPCError) {
        guard count <= limit else { throw RPCError(.invalid, "At most \(limit) can be asked for at once.") }
    }
}

extension Protocol.LogEvent {
    /// Bytes on the wire, roughly.
    var size: Int {
        64 + body.text.utf8.count + clientID.utf8.count + body.attachments.reduce(0) { $0 + $1.utf8.count + 4 }
            + 9 * body.mentions.count + (hasGroup ? group.name.utf8.count + group.about.utf8.count : 0)
    }
}

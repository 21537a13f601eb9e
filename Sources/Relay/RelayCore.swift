import CoreMetrics
import ChatModel
package import Logging
package import NIOCore
package import Protocol
package import RPC
package import RPCTransport
package import Redis

/// The relay without its process: what the RPC and REST faces share. `run()` does the work.
package final class RelayCore: RelayService {
    package let store: LogStore
    package let pusher: Pusher
    package let signals: UserSignals
    let followers: CommitSignal
    package let pages: PageCache?
    package let configuration: RelayConfiguration
    let standings: StandingsReader
    let appender: Appender
    let acknowledger: Acknowledger
    let metrics: RelayMetrics
    let now: @Sendable () -> Int64

    /// - Parameters:
    ///   - loop: where pushes are made.
    ///   - now: Unix milliseconds.
    ///   - receipts: who shows what they have read.
    ///   - redis: keeps the newest page of conversations; nil: they are always read from the log.
    ///   - deliver: calls `Chat.Deliver` at a node.
    package init(
        store: LogStore, configuration: RelayConfiguration = .init(), loop: any EventLoop,
        metrics: RelayMetrics = .init(), logger: Logger, now: @escaping @Sendable () -> Int64,
        receipts: ReceiptPolicy, redis: RedisClient? = nil, deliver: @escaping Pusher.Deliver
    ) {
        self.store = store
        self.configuration = configuration
        self.metrics = metrics
        self.now = now
        standings = StandingsReader(store: store, configuration: configuration)
        signals = UserSignals()
        followers = CommitSignal()
        pages = redis.map {
            PageCache(redis: $0, deadline: configuration.cacheDeadline, metrics: metrics, logger: logger)
        }
        pusher = Pusher(
            store: store, signals: signals, followers: followers, pages: pages, receipts: receipts,
            configuration: configuration, loop: loop, metrics: metrics, logger: logger, deliver: deliver)
        appender = Appender(
            store: store, pushes: pusher, configuration: configuration, metrics: metrics, logger: logger, now: now)
        acknowledger = Acknowledger(
            store: store, pusher: pusher, configuration: configuration, metrics: metrics, logger: logger)
    }

    /// Commits and pushes until cancelled.
    package func run() async {
        await withTaskGroup { group in
            let executor = self.store.executor
            group.addTask { await self.store.run() }
            group.addTask(executorPreference: executor) { await self.standings.run() }
            group.addTask(executorPreference: executor) { await self.appender.run() }
            group.addTask(executorPreference: executor) { await self.acknowledger.run() }
            group.addTask(executorPreference: executor) { await self.pusher.run() }
            if let pages = self.pages { group.addTask { await pages.run() } }
        }
    }

    // MARK: Writing

    package func append(_ request: RelayAppendRequest, context: RPCContext) async throws -> RelayAppendResponse {
        try await append(request, deadline: context.deadline)
    }

    /// Stores an event; answers after the commit.
    package func append(
        _ request: RelayAppendRequest, deadline: NIODeadline?
    ) async throws(RPCError) -> RelayAppendResponse {
        try check(request)
        return try await appender.append(request, deadline: deadline)
    }

    /// What no database may be asked to hold. The rules of conversations are the caller's.
    private func check(_ request: RelayAppendRequest) throws(RPCError) {
        guard request.conversation.isIdentifier, request.sender.isIdentifier else {
            throw RPCError(.invalid, "An event needs a conversation and a sender.")
        }
        switch request.kind {
        case .message: break
        case .edit, .delete, .reaction:
            guard request.target > 0 else { throw RPCError(.invalid, "It needs a message to amend.") }
            guard request.kind != .reaction || !request.emoji.isEmpty else {
                throw RPCError(.invalid, "A reaction needs an emoji.")
            }
        case .member, .group, .unspecified, .UNRECOGNIZED:
            throw RPCError(.invalid, "It must be a message, an edit, a delete or a reaction.")
        }
        guard request.clientID.utf8.count <= Limits.clientIDBytes, !request.clientID.utf8.contains(0),
            request.emoji.utf8.count <= Limits.emojiBytes, !request.emoji.utf8.contains(0),
            request.target <= UInt64(Int64.max)
        else { throw RPCError(.invalid, "The event can't be stored: its client_id, emoji or target is out of range.") }
    }

    package func changeGroup(
        _ request: RelayChangeGroupRequest, context: RPCContext
    ) async throws -> RelayChangeGroupResponse {
        try await appender.change(GroupChange(request), deadline: context.deadline)
    }

    package func openDirect(
        _ request: RelayOpenDirectRequest, context: RPCContext
    ) async throws -> RelayOpenDirectResponse {
        guard request.user.isIdentifier, request.peer.isIdentifier else {
            throw RPCError(.invalid, "A direct conversation needs two users.")
        }
        var response = RelayOpenDirectResponse()
        response.conversation = try await answering {
            try await store.openDirect(
                UserID(rawValue: request.user), UserID(rawValue: request.peer), now: now())
        }.rawValue
        return response
    }

    package func acknowledge(
        _ request: RelayAcknowledgeRequest, context: RPCContext
    ) async throws -> RelayAcknowledgeResponse {
        try await acknowledger.acknowledge(
            request.acknowledgements.filter {
                $0.user.isIdentifier && $0.conversation.isIdentifier && ($0.delivered > 0 || $0.read > 0)
            })
        return RelayAcknowledgeResponse()
    }

    package func mute(_ request: RelayMuteRequest, context: RPCContext) async throws -> RelayMuteResponse {
        let found = try await answering {
            try await store.mute(conversation: request.conversation, user: request.user, until: request.untilMs)
        }
        guard found else { throw RPCError.noConversation }
        pusher.muted(request)
        return RelayMuteResponse()
    }

    package func block(_ request: RelayBlockRequest, context: RPCContext) async throws -> RelayBlockResponse {
        guard request.user.isIdentifier, request.peer.isIdentifier, request.user != request.peer else {
            throw RPCError(.invalid, "A block needs two users.")
        }
        let (user, peer) = (UserID(rawValue: request.user), UserID(rawValue: request.peer))
        try await answering {
            var conversation = try await store.findDirect(user, peer)
            if conversation == nil, request.blocked {
                conversation = try await store.openDirect(user, peer, now: now())
            }
            guard let conversation else { return }
            try await store.refuse(conversation: conversation.rawValue, user: request.peer, request.blocked)
        }
        return RelayBlockResponse()
    }

    package func addDevice(
        _ request: RelayAddDeviceRequest, context: RPCContext
    ) async throws -> RelayAddDeviceResponse {
        guard request.user.isIdentifier, request.device.isIdentifier else {
            throw RPCError(.invalid, "A device needs an id, and a user.")
        }
        try await answering {
            try await store.addDevice(
                user: request.user, device: request.device, events: configuration.newDeviceEvents)
        }
        return RelayAddDeviceResponse()
    }

    // MARK: Who is online

    package func attach(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply {
        pusher.attach(request)
    }

    package func typing(_ request: RelayTypingRequest, context: RPCContext) async throws -> RelayTypingResponse {
        await pusher.typing(request)
        return RelayTypingResponse()
    }
}

extension UInt64 {
    /// Whether it can be one of our 63-bit identifiers.
    var isIdentifier: Bool { self > 0 && self <= UInt64(Int64.max) }
}

package import ChatModel
package import Cluster
package import Logging
package import Protocol
package import RPC
package import RPCTransport
package import Redis
import Roster

/// What the last-seen service does, over RPC and for its REST routes.
package struct PresenceService: LastSeenService {
    private let store: PresenceStore
    private let feed: PresenceFeed
    private let visibilities: VisibilityCache
    private let contacts: RelationCache
    private let blocks: RelationCache
    private let now: @Sendable () -> Int64
    private let logger: Logger

    /// - Parameters:
    ///   - contacts: with whom the viewer has a direct conversation.
    ///   - blocks: who has blocked the viewer.
    ///   - now: Unix milliseconds.
    package init(
        store: PresenceStore, feed: PresenceFeed, visibilities: VisibilityCache, contacts: RelationCache,
        blocks: RelationCache, now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.store = store
        self.feed = feed
        self.visibilities = visibilities
        self.contacts = contacts
        self.blocks = blocks
        self.now = now
        self.logger = logger
    }

    // MARK: RPC

    package func report(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply {
        try await report(request)
    }

    /// Applies what a node reports.
    package func report(_ update: RosterUpdate) async throws -> RosterReply {
        var reply = RosterReply()
        do {
            switch try await store.apply(update) {
            case .applied: break
            case .snapshotNeeded: reply.snapshotNeeded = true
            case .stale: throw RPCError(.conflict, "Another process has this node's name, with a later registration.")
            }
        } catch let error as RedisError {
            throw Self.unavailable(error)
        }
        return reply
    }

    package func get(_ request: LastSeenGetRequest, context: RPCContext) async throws -> LastSeenGetResponse {
        guard request.users.count <= Limits.watchedUsers else {
            throw RPCError(.invalid, "At most \(Limits.watchedUsers) users.")
        }
        var response = LastSeenGetResponse()
        response.presences = try await presences(
            of: request.users.map { UserID(rawValue: $0) }, for: UserID(rawValue: request.viewer)
        ).map(\.message)
        return response
    }

    /// Each user's presence as the viewer may see it, in the order asked for, and false where there is no such user.
    package func presences(
        of users: [UserID], for viewer: UserID
    ) async throws(RPCError) -> [(message: LastSeenPresence, exists: Bool)] {
        async let blocked = blocks.relations(of: users.filter { $0 != viewer }, to: viewer)
        let (settings, isComplete) = await visibilities.visibilities(of: users)
        let restricted = users.filter { settings[$0] == .contacts && $0 != viewer }
        let known = await contacts.relations(of: restricted, to: viewer)
        let blocking = await blocked
        let presences: [Presence]
        do { presences = try await store.presences(of: users) } catch { throw Self.unavailable(error) }
        let now = now()
        return presences.map { presence in
            let user = presence.user
            let privacy = PresencePrivacy(
                visibility: settings[user], isContact: known[user], hasBlocked: blocking[user])
            let message = presence.message(isShown: privacy.shows(user, to: viewer), now: now)
            return (message, settings[user] != nil || !isComplete)
        }
    }

    package func follow(
        _ request: LastSeenFollowRequest, writer: RPCStreamWriter<LastSeenFollowPage>, context: RPCContext
    ) async throws {
        for try await page in feed.follow() { try await writer.write(page) }
    }

    // MARK: In the background

    /// A node's registration is gone.
    package func left(_ member: Member) async {
        do {
            try await store.roster.end(node: member.id, epoch: member.epoch)
        } catch {
            logger.debug("Could not end a node's lease", metadata: ["error": "\(error)"])
        }
    }

    /// Derives presence, and passes changes on, until cancelled.
    package func run(redis: RedisClient) async {
        await withTaskGroup { group in
            group.addTask { await self.listen(redis) }
            group.addTask { await self.maintain() }
            group.addTask {
                await self.feed.run(visibility: { await visibilities.visibilities(of: $0).found }, now: self.now)
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func listen(_ redis: RedisClient) async {
        for await message in redis.subscribe([store.channel, Self.privacyChannel]) {
            switch message {
            case .message(channel: Self.privacyChannel, let payload): privacyChanged(payload)
            case .message(channel: _, let payload): feed.add(Presence.changes(in: payload))
            case .reconnected:
                // What was published before is missed: followers read again what they watch.
                feed.endAll(RPCError(.unavailable, "Changes may have been missed: follow and read again."))
            }
        }
    }

    /// Where users says whose privacy has changed.
    package static let privacyChannel = "roost:v1:privacy"

    private func privacyChanged(_ payload: [UInt8]) {
        guard let user = UserID(String(decoding: payload, as: UTF8.self)) else { return }
        visibilities.forget(user)
        blocks.forget(user)
        feed.privacyChanged(user)
    }

    /// Cleans up and looks at whoever nobody has looked at: the instance that took a report may have died.
    private func maintain() async {
        var round = 0
        while (try? await Task.sleep(for: .milliseconds(250))) != nil {
            do {
                if round % 4 == 0 { try await store.roster.sweep() }
                try await store.settle()
                try await store.depart()
            } catch {
                logger.debug("Could not look after presence in Redis", metadata: ["error": "\(error)"])
            }
            round += 1
        }
    }

    private static func unavailable(_ error: RedisError) -> RPCError {
        RPCError(.unavailable, "Presence in Redis can't be used now: \(error.code).")
    }
}

package import ChatModel
package import Logging
import NIOConcurrencyHelpers
package import Redis
import ServiceKit

/// Tells every service which devices were logged out: at once where it happened here, within milliseconds where another
/// instance says so over Redis, and within a second in any case, from PostgreSQL.
package final class RevocationFeed: Sendable {
    private struct State {
        var log = RevocationLog()
        var followers: [Int: AsyncStream<Void>.Continuation] = [:]
        var nextID = 0
        var readUntil: Int64 = 0
    }

    /// How long a revocation matters: as long as an access token that was issued before it may live, and a minute for
    /// clocks that differ.
    private let lifetime: Int64
    private let store: AccountStore
    private let redis: RedisClient?
    private let channel: String
    private let now: @Sendable () -> Int64
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    private let hints: AsyncStream<Void>
    private let hint: AsyncStream<Void>.Continuation

    package init(
        store: AccountStore, redis: RedisClient?, lifetime: Duration, channel: String = "roost:v1:revoked",
        now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.store = store
        self.redis = redis
        self.lifetime = lifetime.components.seconds * 1000 + 60_000
        self.channel = channel
        self.now = now
        self.logger = logger
        (hints, hint) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Notes what was just committed here, and tells the other instances.
    package func revoked(_ devices: [DeviceID], at: Int64) async {
        guard !devices.isEmpty else { return }
        note(devices.map { ($0, at) })
        // Without Redis they read it within a second.
        if let redis, redis.isConnected { _ = try? await redis.send("PUBLISH", [RedisArgument(channel), "1"]) }
    }

    private func note(_ revocations: [(device: DeviceID, at: Int64)]) {
        let followers = state.withLockedValue { state -> [AsyncStream<Void>.Continuation] in
            var isNew = false
            for revocation in revocations where state.log.insert(revocation.device, at: revocation.at) { isNew = true }
            state.log.removeAll(before: now() - lifetime)
            return isNew ? Array(state.followers.values) : []
        }
        for follower in followers { follower.yield() }
    }

    /// Whether a token of the device, issued then, is void.
    package func isRevoked(_ device: DeviceID, issuedAt: Int64) -> Bool {
        state.withLockedValue { $0.log.isRevoked(device, issuedAt: issuedAt) }
    }

    /// Calls `body` with all revocations that matter (perhaps none), then with each that comes, until cancelled or it throws.
    package func follow(_ body: ([RevocationLog.Entry]) async throws -> Void) async throws {
        let (signals, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLockedValue { state in
            state.nextID += 1
            state.followers[state.nextID] = continuation
            return state.nextID
        }
        defer { state.withLockedValue { _ = $0.followers.removeValue(forKey: id) } }
        var position: UInt64 = 0
        var isFirst = true
        var iterator = signals.makeAsyncIterator()
        repeat {
            let entries = state.withLockedValue { Array($0.log.entries(after: position)) }
            if isFirst || !entries.isEmpty { try await body(entries) }
            isFirst = false
            position = entries.last?.position ?? position
        } while await iterator.next() != nil
    }

    /// Reads what is new in PostgreSQL.
    package func refresh() async throws {
        let started = now()
        // Overlapping: a transaction that began before may have been committed after the last look.
        let since = max(started - lifetime, state.withLockedValue { $0.readUntil } - 5000)
        note(try await store.revocations(since: since))
        state.withLockedValue { $0.readUntil = started }
    }

    /// Follows the other instances until cancelled.
    package func run() async {
        await withTaskGroup { group in
            group.addTask { await self.poll() }
            group.addTask { await self.tick() }
            if let redis { group.addTask { await self.listen(redis) } }
            await group.next()
            group.cancelAll()
        }
    }

    private func poll() async {
        for await _ in hints {
            do {
                try await refresh()
            } catch {
                logger.debug("Could not read the revocations", metadata: [LogKey.error: "\(error)"])
            }
        }
    }

    private func tick() async {
        var count = 0
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            hint.yield()
            count += 1
            // Ten times what anyone asks for.
            if count % 600 == 1 { try? await store.forgetRevocations(before: now() - 10 * lifetime) }
        }
    }

    private func listen(_ redis: RedisClient) async {
        for await _ in redis.subscribe([channel]) { hint.yield() }
    }
}

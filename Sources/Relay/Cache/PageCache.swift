import CoreMetrics
package import Logging
import NIOConcurrencyHelpers
import Protocol
package import Redis

/// The newest page of conversations in Redis. It can't be stale: a page is found by the head that PostgreSQL reports for
/// each request, and whatever changes a page (a message, an edit, a deletion, a reaction, a member, a name) is an event and
/// moves the head in the same transaction.
///
/// `roost:v1:page:{conversation}` is a hash with one field, the head (`{head}+` with changes of members and group), so
/// that there is never more than the newest: a text that was edited or deleted is taken out as soon as that is committed, and
/// who read it before and is late to keep it finds a higher head there. Expires after ten minutes.
///
/// Redis is never waited for but by who asks while nobody knows yet that it hangs: they wait for `deadline`, once.
package final class PageCache: Sendable {
    private struct State {
        /// Redis failed, and hasn't answered since.
        var isTripped = false
        var pages: [(page: CachedPage, changes: Bool)] = []
        /// Conversations where something was taken back, with the head that says so: kept until Redis knows.
        var outdated: [UInt64: UInt64] = [:]
    }

    /// What waits to be kept; more than that isn't.
    private static let waiting = 256
    /// What waits to be taken out while Redis is away; past it the pages' own expiry has to do.
    private static let outdatedLimit = 100_000
    private static let expiry = 600_000
    private static let retry: Duration = .milliseconds(500)

    private let redis: RedisClient
    private let deadline: Duration
    private let metrics: RelayMetrics
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    private let work: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameter deadline: how long a request waits for Redis at most.
    package init(
        redis: RedisClient, deadline: Duration = .milliseconds(100), metrics: RelayMetrics = .init(), logger: Logger
    ) {
        self.redis = redis
        self.deadline = deadline
        self.metrics = metrics
        self.logger = logger
        (work, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Whether it is worth asking.
    package var isUsable: Bool { redis.isConnected && !state.withLockedValue { $0.isTripped } }

    /// The page at a head, if it is there.
    package func find(_ conversation: UInt64, at window: LogWindow, changes: Bool) async -> CachedPage? {
        guard isUsable else {
            metrics.bypassedPages.increment()
            return nil
        }
        let field = Self.field(window.head, changes: changes)
        let answer = await withTaskGroup(of: Result<RedisValue, RedisError>?.self) { [redis, deadline] group in
            group.addTask {
                do throws(RedisError) {
                    return .success(
                        try await redis.send("HGET", RedisArgument(Self.key(conversation)), RedisArgument(field)))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await Task.sleep(for: deadline)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        if Task.isCancelled { return nil }
        switch answer {
        case .success(let value)?:
            if let bytes = value.bytes,
                let page = CachedPage(
                    bytes, conversation: conversation, head: window.head, activeAt: window.activeAt)
            {
                metrics.cachedPages.increment()
                return page
            }
            metrics.uncachedPages.increment()
        case .failure(let error)?:
            metrics.uncachedPages.increment()
            if case .server = error.code { break }  // such as WRONGTYPE: what is there is not ours
            trip("\(error)")
        case nil:
            metrics.uncachedPages.increment()
            trip("no answer within \(deadline)")
        }
        return nil
    }

    /// Keeps a page, later and if it can.
    package func keep(_ page: CachedPage, changes: Bool) {
        state.withLockedValue { state in
            if !state.isTripped, state.pages.count < Self.waiting { state.pages.append((page, changes)) }
        }
        wake.yield()
    }

    /// Takes out the pages that hold what was edited or deleted; also where that was stored before, perhaps by a relay that
    /// didn't get to say so.
    package func committed(_ events: [CommittedEvent], again: [SyncPlan.Position]) {
        var heads: [(UInt64, UInt64)] = again.map { ($0.conversation, $0.head) }
        for event in events.lazy.map(\.event) where event.kind == .edit || event.kind == .delete {
            heads.append((event.conversation, event.seq))
        }
        guard !heads.isEmpty else { return }
        state.withLockedValue { state in
            for (conversation, head) in heads {
                let known = state.outdated[conversation]
                guard state.outdated.count < Self.outdatedLimit || known != nil else { return }
                state.outdated[conversation] = max(known ?? 0, head)
            }
        }
        wake.yield()
    }

    /// Writes until cancelled.
    package func run() async {
        for await _ in work {
            var isDone = await step()
            while !isDone, !Task.isCancelled {
                try? await Task.sleep(for: Self.retry)
                isDone = await step()
            }
        }
    }

    /// Does what waits. False: Redis doesn't answer, try again.
    private func step() async -> Bool {
        let (pages, outdated) = state.withLockedValue { state in
            defer {
                state.pages = []
                state.outdated = [:]
            }
            return (state.pages, state.outdated)
        }
        var left = outdated
        do throws(RedisError) {
            if state.withLockedValue({ $0.isTripped }) {
                try await redis.send("PING")
                state.withLockedValue { $0.isTripped = false }
            }
            for (conversation, head) in outdated {
                try await set(conversation, head: head, field: Self.field(head, changes: false), [])
                left[conversation] = nil
            }
            for (page, changes) in pages {
                guard let bytes = page.encoded() else { continue }
                try await set(
                    page.conversation, head: page.head, field: Self.field(page.head, changes: changes), bytes)
            }
            return true
        } catch {
            trip("\(error)")
            state.withLockedValue { $0.outdated.merge(left) { max($0, $1) } }
            return false
        }
    }

    private func set(_ conversation: UInt64, head: UInt64, field: String, _ bytes: [UInt8]) async throws(RedisError) {
        do {
            try await redis.eval(
                Self.script, keys: [Self.key(conversation)],
                arguments: [
                    RedisArgument(head), RedisArgument(field), RedisArgument(bytes), RedisArgument(Self.expiry),
                ])
        } catch {
            // Redis answers, but won't have it (out of memory, say): so be it.
            guard case .server = error.code else { throw error }
            logger.debug("A page could not be kept.", metadata: ["error": "\(error)"])
        }
    }

    private func trip(_ reason: String) {
        let isFirst = state.withLockedValue { state in
            defer {
                state.isTripped = true
                state.pages = []
            }
            return !state.isTripped
        }
        wake.yield()
        if isFirst { logger.warning("Newest pages are read without their cache.", metadata: ["error": "\(reason)"]) }
    }

    private static func key(_ conversation: UInt64) -> String { "roost:v1:page:\(conversation)" }
    private static func field(_ head: UInt64, changes: Bool) -> String { changes ? "\(head)+" : "\(head)" }

    /// Sets the field of a head unless there is one of a higher head, and drops those of lower ones. An empty value says
    /// that there is no page of a lower head any more, and replaces none.
    private static let script = RedisScript(
        """
        local kind = redis.call('TYPE', KEYS[1])['ok']
        if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[1]) end
        local head = tonumber(ARGV[1])
        for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
          local known = tonumber(string.match(field, '^%d+'))
          if known and known > head then return 0 end
          if not known or known < head then redis.call('HDEL', KEYS[1], field) end
        end
        if ARGV[3] == '' then redis.call('HSETNX', KEYS[1], ARGV[2], '')
        else redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end
        redis.call('PEXPIRE', KEYS[1], ARGV[4])
        return 1
        """)
}

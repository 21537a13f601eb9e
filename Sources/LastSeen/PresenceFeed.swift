package import ChatModel
import NIOConcurrencyHelpers
package import Protocol
package import RPC

/// Passes changes to whoever follows them; each follower has a queue of its own, and is ended when that is full.
package final class PresenceFeed: Sendable {
    package typealias Pages = AsyncThrowingStream<LastSeenFollowPage, any Error>

    private struct State {
        var batch = PresenceBatch()
        /// Users whose privacy has changed.
        var privacy: Set<UserID> = []
        var followers: [Int: Pages.Continuation] = [:]
        var nextID = 0
    }

    private let state = NIOLockedValueBox(State())
    private let pending: AsyncStream<Void>
    private let notify: AsyncStream<Void>.Continuation

    /// Pages that may wait for one follower.
    private let queueLimit: Int
    /// Users in a page.
    private let pageLimit: Int
    private let interval: Duration

    package init(queueLimit: Int = 64, pageLimit: Int = 500, interval: Duration = .milliseconds(20)) {
        self.queueLimit = queueLimit
        self.pageLimit = pageLimit
        self.interval = interval
        (pending, notify) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package var followerCount: Int { state.withLockedValue { $0.followers.count } }

    /// Every page from now on. Ends with an error when its reader is too slow or changes may have been missed.
    package func follow() -> Pages {
        let (pages, continuation) = Pages.makeStream(bufferingPolicy: .bufferingOldest(queueLimit))
        let id = state.withLockedValue { state in
            state.nextID += 1
            state.followers[state.nextID] = continuation
            return state.nextID
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLockedValue { _ = $0.followers.removeValue(forKey: id) }
        }
        return pages
    }

    /// Takes changes in; they go out with the next page.
    package func add(_ changes: [Presence]) {
        guard !changes.isEmpty else { return }
        state.withLockedValue { state in
            for change in changes { state.batch.add(change) }
        }
        notify.yield()
    }

    /// Others may see a user's presence than before: followers hear of it with the next page.
    package func privacyChanged(_ user: UserID) {
        state.withLockedValue { _ = $0.privacy.insert(user) }
        notify.yield()
    }

    /// Ends every follower: what they know may be out of date.
    package func endAll(_ error: RPCError) {
        let followers = state.withLockedValue { state in
            defer { state.followers = [:] }
            return Array(state.followers.values)
        }
        for follower in followers { follower.finish(throwing: error) }
    }

    /// Sends pages until cancelled.
    ///
    /// - Parameter visibility: each user's setting, as far as known.
    package func run(
        visibility: ([UserID]) async -> [UserID: UsersVisibility], now: () -> Int64
    ) async {
        for await _ in pending {
            // What comes meanwhile goes out together. Cancelled: the loop ends with the stream.
            try? await Task.sleep(for: interval)
            let (changes, privacy) = state.withLockedValue { state in
                defer { state.privacy = [] }
                return (state.batch.take(), state.privacy)
            }
            guard followerCount > 0 else { continue }
            if !privacy.isEmpty {
                var page = LastSeenFollowPage()
                page.privacy = privacy.map(\.rawValue)
                publish(page)
            }
            guard !changes.isEmpty else { continue }
            let settings = await visibility(changes.map(\.user))
            for start in stride(from: 0, to: changes.count, by: pageLimit) {
                var page = LastSeenFollowPage()
                page.presences = changes[start..<min(start + pageLimit, changes.count)].map {
                    $0.message(isShown: PresencePrivacy.showsSomeone(settings[$0.user]), now: now())
                }
                publish(page)
            }
        }
    }

    private func publish(_ page: LastSeenFollowPage) {
        for follower in state.withLockedValue({ Array($0.followers.values) }) {
            if case .dropped = follower.yield(page) {
                follower.finish(throwing: RPCError(.unavailable, "The follower is too slow."))
            }
        }
    }
}

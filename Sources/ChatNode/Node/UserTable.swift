package import ChatModel
import NIOConcurrencyHelpers

/// What the connections of one user share, whichever loops of the node they are on: how many there may be, and a rate
/// limit, so that many devices don't multiply a flood.
package final class UserTable: Sendable {
    private struct Entry {
        var connections = 0
        var limiter = RateLimiter()
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        /// Who has no connection any more, and is remembered until the limiter is idle: else coming back would make it new.
        var gone: Set<UInt64> = []
    }

    private let limits: ChatLimits
    private let state = NIOLockedValueBox(State())

    package init(limits: ChatLimits) { self.limits = limits }

    /// Counts a connection; false, and nothing counted, where the user has as many as they may.
    package func open(_ user: UserID) -> Bool {
        state.withLockedValue { state in
            var entry = state.entries[user.rawValue] ?? Entry()
            guard entry.connections < limits.connectionsPerUser else { return false }
            if entry.connections == 0 { state.gone.remove(user.rawValue) }
            entry.connections += 1
            state.entries[user.rawValue] = entry
            return true
        }
    }

    package func close(_ user: UserID) {
        state.withLockedValue { state in
            guard var entry = state.entries[user.rawValue] else { return }
            entry.connections -= 1
            state.entries[user.rawValue] = entry
            if entry.connections == 0 { state.gone.insert(user.rawValue) }
        }
    }

    /// Lets a frame of one of the user's connections through, or says in how many milliseconds it would.
    package func take(_ user: UserID, units: Int64, bytes: Int, now: Int64) -> Int64? {
        state.withLockedValue { state in
            state.entries[user.rawValue]?.limiter.take(units: units, bytes: bytes, now: now, limits.user)
        }
    }

    /// Forgets who is gone long enough.
    package func forget(now: Int64) {
        state.withLockedValue { state in
            for user in state.gone where state.entries[user]?.limiter.isIdle(now: now) ?? true {
                state.entries[user] = nil
                state.gone.remove(user)
            }
        }
    }

    /// Users known, also those remembered.
    package var count: Int { state.withLockedValue { $0.entries.count } }
}

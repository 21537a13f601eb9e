import NIOConcurrencyHelpers

/// Whether users let others see what they have got and read. Asked of `users`, remembered for a few seconds; while that can't
/// be asked, what was known holds, and who is not known shows nothing.
package final class ReceiptPolicy: Sendable {
    /// Those of the users asked for that exist, and whether each shows what they read.
    package typealias Lookup = @Sendable ([UInt64]) async throws -> [UInt64: Bool]

    private struct Known {
        var shows: Bool
        var until: ContinuousClock.Instant
    }

    private static let lifetime: Duration = .seconds(4)
    private static let limit = 100_000
    /// What one call may ask for.
    private static let askedAtOnce = 1000
    private static let patience: Duration = .seconds(1)

    private let known = NIOLockedValueBox<[UInt64: Known]>([:])
    private let lookup: Lookup

    package init(lookup: @escaping Lookup) { self.lookup = lookup }

    /// Those of the users who show what they read.
    package func showing(_ users: Set<UInt64>) async -> Set<UInt64> {
        let now = ContinuousClock.now
        let wanted = known.withLockedValue { known in
            users.filter { user in known[user].map { $0.until <= now } ?? true }
        }
        var rest = Array(wanted)[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(Self.askedAtOnce))
            rest = rest.dropFirst(some.count)
            let found = try? await lookup(some)
            known.withLockedValue { known in
                if known.count > Self.limit { known.removeAll(keepingCapacity: true) }
                if let found {
                    for (user, shows) in found { known[user] = Known(shows: shows, until: now + Self.lifetime) }
                } else {
                    // Not asked again at once: who waits for this waits for all that it asks.
                    for user in wanted {
                        known[user] = Known(shows: known[user]?.shows ?? false, until: now + Self.patience)
                    }
                }
            }
            if found == nil { break }
        }
        return known.withLockedValue { known in users.filter { known[$0]?.shows ?? false } }
    }
}

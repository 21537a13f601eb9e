import NIOConcurrencyHelpers
import NIOPosix

/// Computes scrypt on threads of its own, a bounded number at a time: it takes tens of milliseconds of a core each,
/// which no event loop nor the cooperative pool can spare.
package final class PasswordHasher: Sendable {
    /// Too many passwords are waiting to be hashed.
    package struct Busy: Error {}

    package let cost: PasswordHash.Cost

    private let threads: NIOThreadPool
    private let waiting = NIOLockedValueBox(0)
    private let limit: Int
    /// What a password is compared with when there is no account, so that this takes as long.
    private let decoy: PasswordHash

    /// - Parameters:
    ///   - threads: how many at a time.
    ///   - limit: how many may be under way or wait; more are refused with `Busy`.
    package init(cost: PasswordHash.Cost = .standard, threads: Int, limit: Int) throws {
        self.cost = cost
        self.limit = limit
        self.decoy = try PasswordHash(password: "", salt: Self.salt(), cost: cost)
        self.threads = NIOThreadPool(numberOfThreads: max(1, threads))
        self.threads.start()
    }

    /// Waits for what is under way; refuses what comes after.
    package func shutdown() async {
        try? await threads.shutdownGracefully()
    }

    /// The hash to store.
    package func hash(_ password: String) async throws -> String {
        try await run { [cost] in try PasswordHash(password: password, salt: Self.salt(), cost: cost).description }
    }

    /// Whether the password is the stored one; false, after as long, where there is none stored.
    package func verify(_ password: String, against stored: String?) async throws -> Bool {
        let hash = stored.flatMap { PasswordHash($0) }
        let matches = try await run { [decoy] in try (hash ?? decoy).matches(password) }
        return matches && hash != nil
    }

    /// Whether a stored hash is to be replaced by a stronger one, now that the password is at hand.
    package func isWeak(_ stored: String) -> Bool {
        PasswordHash(stored).map { $0.isWeaker(than: cost) } ?? false
    }

    private func run<R: Sendable>(_ body: @escaping @Sendable () throws -> R) async throws -> R {
        let admitted = waiting.withLockedValue { waiting in
            guard waiting < limit else { return false }
            waiting += 1
            return true
        }
        guard admitted else { throw Busy() }
        defer { waiting.withLockedValue { $0 -= 1 } }
        return try await threads.runIfActive(body)
    }

    private static func salt() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}

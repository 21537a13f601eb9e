package import Postgres

/// Whose conversations, and for which of their devices.
package struct StandingsQuestion: Sendable {
    package var user: UInt64
    package var device: UInt64
    /// Conversations that are wanted even if the user has left them.
    package var named: [UInt64]

    package init(user: UInt64, device: UInt64, named: [UInt64] = []) {
        self.user = user
        self.device = device
        self.named = named
    }
}

/// Tells where the conversations of devices stand, those of all who ask meanwhile in one query: when thousands connect at
/// once, each of them costs little more than its rows.
package final class StandingsReader: Sendable {
    private struct Item: Sendable {
        var question: StandingsQuestion
        var reply: @Sendable (Result<[SyncPlan.Standing], PostgresError>) -> Void
    }

    private let batcher: Batcher<Item>
    private let store: LogStore

    package init(store: LogStore, configuration: RelayConfiguration) {
        self.store = store
        batcher = Batcher(batchLimit: configuration.standingsBatch, queueLimit: configuration.standingsQueue)
    }

    package func standings(_ question: StandingsQuestion) async throws(PostgresError) -> [SyncPlan.Standing] {
        let result = await withUnsafeContinuation { continuation in
            let item = Item(question: question) { continuation.resume(returning: $0) }
            if !batcher.submit(item) {
                item.reply(.failure(Self.error(.poolExhausted, "too many are waiting already")))
            }
        }
        return try result.get()
    }

    /// Reads until cancelled.
    package func run() async {
        await batcher.run { items in
            do throws(PostgresError) {
                let answers = try await store.standings(of: items.map(\.question))
                for (item, answer) in zip(items, answers) { item.reply(.success(answer)) }
            } catch {
                for item in items { item.reply(.failure(error)) }
            }
        } abandon: { items in
            for item in items { item.reply(.failure(Self.error(.closed, "the relay is shutting down"))) }
        }
    }

    private static func error(_ code: PostgresError.Code, _ message: String) -> PostgresError {
        PostgresError(code, message, attempted: "find where conversations stand")
    }
}

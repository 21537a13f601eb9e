package import Client

/// Accounts for a load run, and REST calls for many of them at once.
package enum BenchAccounts {
    /// Registers `count` new users, some at a time. Their names start with a token of this run.
    package static func register(
        _ count: Int, gateway: String, progress: @Sendable (Int) -> Void
    ) async throws -> [Account] {
        let rest = RESTClient(base: gateway)
        let token = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        return try await map(0..<count, progress: progress) {
            try await Account.register(rest, username: "bench-\(token)-\($0)")
        }
    }

    /// A ticket for each. They live 30 seconds: take no more than are used by then.
    package static func tickets(_ accounts: [Account]) async throws -> [String] {
        try await map(accounts.indices) { try await accounts[$0].ticket() }
    }

    /// Does something for each of a range, 16 at a time, and answers what came of each in order.
    package static func map<Result: Sendable>(
        _ range: Range<Int>, progress: @Sendable (Int) -> Void = { _ in },
        _ body: @escaping @Sendable (Int) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            var results = [Result?](repeating: nil, count: range.count)
            var next = range.lowerBound
            var done = 0
            func add() {
                guard next < range.upperBound else { return }
                let index = next
                next += 1
                group.addTask { (index, try await body(index)) }
            }
            for _ in 0..<16 { add() }
            for try await (index, result) in group {
                results[index - range.lowerBound] = result
                done += 1
                if done % 100 == 0 || done == range.count { progress(done) }
                add()
            }
            return results.compactMap { $0 }
        }
    }
}

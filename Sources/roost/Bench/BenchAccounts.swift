import Client
import Foundation

/// Accounts for a load run, registered as needed with a progress line.
enum BenchAccounts {
    /// Registers `count` new users, some at a time. Their names start with a token of this run.
    static func register(_ count: Int, gateway: String, progress: @Sendable (Int) -> Void) async throws -> [Account] {
        let rest = RESTClient(base: gateway)
        let token = String(UInt32.random(in: 0...UInt32.max), radix: 36)
        return try await withThrowingTaskGroup(of: (Int, Account).self) { group in
            var accounts = [Account?](repeating: nil, count: count)
            var next = 0
            var done = 0
            func add() {
                guard next < count else { return }
                let index = next
                next += 1
                group.addTask {
                    (index, try await Account.register(rest, username: "bench-\(token)-\(index)"))
                }
            }
            for _ in 0..<16 { add() }
            for try await (index, account) in group {
                accounts[index] = account
                done += 1
                if done % 100 == 0 || done == count { progress(done) }
                add()
            }
            return accounts.compactMap { $0 }
        }
    }
}

/// One line on standard error that is written over while work goes on; nothing where that is no terminal.
func progressLine(_ text: String, last: Bool = false) {
    guard isatty(STDERR_FILENO) == 1 else { return }
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text)\(last ? "\n" : "")".utf8))
}

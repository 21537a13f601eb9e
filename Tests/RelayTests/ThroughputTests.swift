import Postgres
import Protocol
import Relay
import Testing

extension DatabaseTests {
    @Suite struct ThroughputTests {
        /// Not a benchmark (that is `roost bench`): a figure to read, and that group commit makes groups.
        @Test func appendsShareCommits() async throws {
            try await Bench.run(ownServer: true) { bench in
                for conversation in UInt64(1)...64 { try await bench.group(conversation, [1, 2]) }
                let callers = 256
                let each = 40
                let start = ContinuousClock.now
                try await withThrowingTaskGroup { group in
                    for caller in 0..<callers {
                        group.addTask {
                            for index in 0..<each {
                                try await bench.send(UInt64(1 + caller % 64), from: 1, "\(caller)-\(index)")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let time = ContinuousClock.now - start
                let rate = Double(callers * each) / (time / .seconds(1))
                let rows = try await bench.database.query("SELECT count(DISTINCT xid::text) FROM relay.events").rows
                let commits = try #require(try rows.first?.int8(0))
                print("appends: \(Int(rate))/s, \(callers * each / Int(commits)) events a commit")
                #expect(commits < Int64(callers * each) / 8)
            }
        }
    }
}

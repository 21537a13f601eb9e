import ChatModel
import Foundation
import Groups
import HTTPTypes
import NIOConcurrencyHelpers
import Postgres
import Protocol
import RPC
import Testing

extension DatabaseTests {
    @Suite struct OutboxTests {
        @Test func whatTheLogMissedIsSentInOrderByWhoeverIsLeft() async throws {
            try await Bench.run(patience: .milliseconds(50)) { bench in
                let id = try await bench.make(visibility: "public", [1])
                bench.relay.setAway(true)
                let joined = try await bench.call(2, .post, "groups/\(id)/join")
                #expect(joined.status == 503 && joined.code == "unavailable")
                // It is made all the same, and saying it again doesn't pretend that the log has it.
                #expect(try await bench.call(2, .get, "groups/\(id)")["role"] == "member")
                #expect(try await bench.call(2, .post, "groups/\(id)/join").status == 503)
                #expect(try await bench.role(2, id, "admin").status == 503)
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/2").status == 503)
                #expect(bench.relay.requests.count == 1)
                bench.relay.setAway(false)
                // This instance is gone; two others start.
                try await Bench.with(pool: bench.pool, relay: bench.relay, sweeping: true) { one in
                    try await Bench.with(pool: bench.pool, relay: bench.relay, sweeping: true) { _ in
                        try await eventually("an empty outbox") {
                            try await one.pool.query("SELECT FROM groups.outbox").rows.isEmpty
                        }
                    }
                }
                #expect(bench.relay.events(id).dropFirst(2) == ["joined 2 member", "role 2 admin", "left 2"])
            }
        }

        @Test func aCrashBetweenCommitAndAppendLosesNothing() async throws {
            let calls = NIOLockedValueBox(0)
            // An instance that never comes to appending: it is killed there.
            try await Bench.run(append: { _, _ throws(RPCError) in
                calls.withLockedValue { $0 += 1 }
                try? await Task.sleep(for: .seconds(60))
                throw RPCError(.cancelled, "killed")
            }) { bench in
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask {
                        _ = try await bench.call(1, .post, "groups", ["name": "Late", "visibility": "private"])
                    }
                    try await eventually("an append") { calls.withLockedValue { $0 } > 0 }
                    tasks.cancelAll()
                }
                let id = try #require(try await bench.call(1, .get, "groups").ids.first)
                #expect(bench.relay.requests.isEmpty)
                try await Bench.with(pool: bench.pool, relay: bench.relay, sweeping: true) { _ in
                    try await eventually("the group in the log") { bench.relay.events(id).count == 2 }
                }
                #expect(bench.relay.events(id) == ["group Late", "joined 1 owner"])
                #expect(bench.relay.requests.map(\.create) == [true])
            }
        }

        /// The answer to a change that many wait for comes when that change is there, not when all are.
        @Test func manyChangesOfOneGroupKeepTheirOrder() async throws {
            try await Bench.run { bench in
                let id = try await bench.make(visibility: "public", [1])
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for user in UInt64(2)...51 {
                        tasks.addTask {
                            let joined = try await bench.call(user, .post, "groups/\(id)/join")
                            #expect(joined.status == 200)
                            #expect(bench.relay.events(id).contains("joined \(user) member"))
                            let left = try await bench.call(user, .delete, "groups/\(id)/members/\(user)")
                            #expect(left.status == 204)
                        }
                    }
                    try await tasks.waitForAll()
                }
                let events = bench.relay.events(id)
                #expect(events.count == 102)
                for user in 2...51 {
                    let own = events.filter { $0 == "joined \(user) member" || $0 == "left \(user)" }
                    #expect(own == ["joined \(user) member", "left \(user)"])
                }
                #expect(try await bench.members(id) == ["1"])
            }
        }
    }
}

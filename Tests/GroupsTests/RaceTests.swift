import Foundation
import HTTPTypes
import Testing

extension DatabaseTests {
    /// What two do at once ends as if one had come after the other. Every race is run some times.
    @Suite struct RaceTests {
        private static let rounds = 8

        @Test func ofTwoLastOwnersOneStays() async throws {
            try await Bench.run { bench in
                for _ in 1...Self.rounds {
                    let id = try await bench.make([1, 2])
                    _ = try await bench.role(2, id, "owner")
                    async let one = bench.call(1, .delete, "groups/\(id)/members/1")
                    async let other = bench.call(2, .delete, "groups/\(id)/members/2")
                    let statuses = try await [one.status, other.status]
                    #expect(statuses.sorted() == [204, 409])
                    #expect(try await bench.members(id, as: statuses[0] == 204 ? 2 : 1).count == 1)

                    let second = try await bench.make([1, 2])
                    _ = try await bench.role(2, second, "owner")
                    async let demoted = bench.role(2, second, "member", by: 1)
                    async let left = bench.call(1, .delete, "groups/\(second)/members/1")
                    let outcomes = try await [demoted.status, left.status]
                    #expect(
                        outcomes == [200, 409] || outcomes == [403, 204] || outcomes == [404, 204], "\(outcomes)")
                }
            }
        }

        @Test func theLimitHoldsWhenManyJoinAtOnce() async throws {
            try await Bench.run(limit: 10) { bench in
                let id = try await bench.make(visibility: "public", [1])
                let statuses = try await withThrowingTaskGroup { tasks in
                    for user in UInt64(2)...31 {
                        tasks.addTask { try await bench.call(user, .post, "groups/\(id)/join").status }
                    }
                    return try await tasks.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses.count { $0 == 200 } == 9 && statuses.count { $0 == 409 } == 21)
                #expect(try await bench.members(id).count == 10)
                #expect(bench.relay.events(id).count == 11)
            }
        }

        @Test func anInviteForOneLetsOneIn() async throws {
            try await Bench.run { bench in
                let id = try await bench.make([1])
                for round in 1...UInt64(Self.rounds) {
                    let made = try await bench.call(1, .post, "groups/\(id)/invites", ["max_uses": 1])
                    let code = try #require(made["code"])
                    async let one = bench.call(round * 10, .post, "invites/\(code)")
                    async let other = bench.call(round * 10 + 1, .post, "invites/\(code)")
                    #expect(try await [one.status, other.status].sorted() == [200, 404])
                }
                #expect(try await bench.members(id).count == Self.rounds + 1)
            }
        }

        @Test func whoIsBannedWhileJoiningIsOut() async throws {
            try await Bench.run { bench in
                let id = try await bench.make(visibility: "public", [1])
                for user in 2...UInt64(Self.rounds + 1) {
                    async let joined = bench.call(user, .post, "groups/\(id)/join")
                    async let banned = bench.call(1, .put, "groups/\(id)/bans/\(user)")
                    let statuses = try await [joined.status, banned.status]
                    #expect(statuses == [200, 204] || statuses == [403, 204])
                    let events = bench.relay.events(id).filter { $0.hasSuffix(" \(user)") || $0.contains(" \(user) ") }
                    #expect(events == (statuses[0] == 200 ? ["joined \(user) member", "banned \(user)"] : []))
                }
                #expect(try await bench.members(id) == ["1"])
            }
        }

        @Test func whoJoinsWhileTheGroupIsDeletedIsInNoGroup() async throws {
            try await Bench.run { bench in
                for _ in 1...Self.rounds {
                    let id = try await bench.make(visibility: "public", [1])
                    async let joined = bench.call(2, .post, "groups/\(id)/join")
                    async let deleted = bench.call(1, .delete, "groups/\(id)")
                    let statuses = try await [joined.status, deleted.status]
                    #expect(statuses == [200, 204] || statuses == [404, 204])
                    #expect(bench.relay.events(id).last == "group Group deleted")
                }
                #expect(try await bench.call(2, .get, "groups").ids.isEmpty)
            }
        }
    }
}

import ChatModel
import Foundation
import HTTPTypes
import NIOConcurrencyHelpers
import Protocol
import RPC
import RPCTransport
import Relay
import Testing

extension DatabaseTests {
    /// Groups on a real log: what a change does to who may read and write there.
    @Suite struct LogTests {
        private func say(_ core: RelayCore, _ group: String, _ user: UInt64, _ text: String) async throws -> UInt64 {
            var request = RelayAppendRequest()
            request.conversation = try #require(UInt64(group))
            request.sender = user
            request.clientID = text
            request.kind = .message
            request.body.text = text
            return try await core.append(request, context: Bench.call).seq
        }

        /// What a device that has nothing gets of a group: `message 3`, `joined 2`.
        private func log(_ core: RelayCore, _ group: String, _ user: UInt64) async throws -> [String] {
            var request = RelaySyncRequest()
            request.user = user
            request.device = user * 10
            var cursor = RelayCursor()
            cursor.conversation = try #require(UInt64(group))
            request.cursors = [cursor]
            let events = NIOLockedValueBox<[LogEvent]>([])
            try await core.sync(request) { page in events.withLockedValue { $0 += page.events } }
            return events.withLockedValue { $0 }.map { event in
                switch event.kind {
                case .message: event.body.text
                case .group: event.group.deleted ? "deleted" : event.group.name
                case _: "\(event.member.change) \(event.member.user)"
                }
            }
        }

        private func listed(_ core: RelayCore, _ user: UInt64) async throws -> [RelayConversation] {
            var request = RelayConversationsRequest()
            request.user = user
            return try await core.conversations(request).conversations
        }

        @Test func theLogFollowsTheGroup() async throws {
            try await Bench.runOnLog { bench, core in
                let id = try await bench.make(named: "One", visibility: "public", [1, 2])
                #expect(try await say(core, id, 2, "hello") == 4)
                #expect(try await bench.call(3, .post, "groups/\(id)/join").status == 200)
                _ = try await say(core, id, 3, "here I am")
                #expect(try await bench.call(1, .delete, "groups/\(id)/members/2").status == 204)
                _ = try await say(core, id, 1, "without 2")
                #expect(try await bench.call(1, .patch, "groups/\(id)", ["name": "Two"]).status == 200)

                #expect(
                    try await log(core, id, 1) == [
                        "One", "joined 1", "joined 2", "hello", "joined 3", "here I am", "removed 2", "without 2",
                        "Two",
                    ])
                // Who joins starts at the join; who was removed ends with that.
                #expect(try await log(core, id, 3) == ["joined 3", "here I am", "removed 2", "without 2", "Two"])
                #expect(try await log(core, id, 2).last == "removed 2")
                await #expect(throws: RPCError.self) { try await say(core, id, 2, "let me in") }
                #expect(try await listed(core, 2).isEmpty)
                let conversation = try #require(try await listed(core, 3).first)
                #expect(conversation.group.name == "Two" && conversation.memberCount == 2)
                #expect(conversation.role == .member && "\(conversation.id)" == id)

                #expect(try await bench.call(1, .delete, "groups/\(id)").status == 204)
                #expect(try await log(core, id, 3).last == "deleted")
                await #expect(throws: RPCError.self) { try await say(core, id, 1, "anyone?") }
                #expect(try await listed(core, 1).isEmpty)
            }
        }

        /// Both sides count the same after many came and went at once.
        @Test func theLogAndTheGroupAgree() async throws {
            try await Bench.runOnLog { bench, core in
                let id = try await bench.make(visibility: "public", [1])
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for user in UInt64(2)...31 {
                        tasks.addTask {
                            let joined = try await bench.call(user, .post, "groups/\(id)/join")
                            #expect(joined.status == 200)
                            if user % 2 == 0 {
                                let left = try await bench.call(user, .delete, "groups/\(id)/members/\(user)")
                                #expect(left.status == 204)
                            } else if user % 3 == 0 {
                                let promoted = try await bench.role(user, id, "admin")
                                #expect(promoted.status == 200)
                            }
                        }
                    }
                    try await tasks.waitForAll()
                }
                let group = try await bench.call(1, .get, "groups/\(id)")
                let conversation = try #require(try await listed(core, 1).first)
                #expect(group.json["member_count"] as? Int == 16 && conversation.memberCount == 16)
                for user in UInt64(2)...31 {
                    let seen = try await bench.call(user, .get, "groups/\(id)")
                    let mine = try await listed(core, user).first
                    let role: LogGroupRole? =
                        switch seen["role"] {
                        case "admin": .admin
                        case "member": .member
                        case _: nil
                        }
                    #expect(mine?.role == role, "\(user)")
                }
            }
        }

        @Test func aGroupOfThousandsIsMadeAtOnce() async throws {
            try await Bench.runOnLog(limit: Limits.groupMembers) { bench, core in
                let id = try await bench.make(visibility: "public", Array(1...9999))
                #expect(try await listed(core, 5000).first?.memberCount == 9999)
                #expect(try await say(core, id, 9999, "so many") == 10_001)
                let page = try await bench.call(1, .get, "groups/\(id)/members?limit=100")
                #expect(page.items.count == 100 && page["next"] != nil)
            }
        }
    }
}

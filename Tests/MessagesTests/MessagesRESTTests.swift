import Foundation
import HTTPTypes
import Hummingbird
import NIOConcurrencyHelpers
import Postgres
import Protocol
import Testing

@testable import Messages

extension DatabaseTests {
    @Suite(.serialized) struct MessagesRESTTests {
        @Test func anEditIsAnEventAndHistoryShowsIt() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "one")
                let message = Stage.path(mine) + "/messages/\(mine)-1"
                let edited = try await stage.call(1, .patch, message, ["body": ["text": "two"], "client_id": "e1"])
                #expect(edited.status == .ok, "\(edited.text)")
                #expect(edited["kind"] as? String == "edit")
                #expect(edited["message"] as? String == "\(mine)-1")
                #expect(edited["seq"] as? Int == 2)
                #expect(edited["client_id"] as? String == "e1")
                // Twice with one client_id counts once.
                let again = try await stage.call(1, .patch, message, ["body": ["text": "two"], "client_id": "e1"])
                #expect(again.status == .ok && again["seq"] as? Int == 2, "\(again.text)")

                let history = try await stage.call(2, .get, Stage.path(mine) + "/messages")
                #expect(history.items.count == 1)
                let item = try #require(history.items.first)
                #expect((item["body"] as? [String: Any])?["text"] as? String == "two")
                #expect(item["edited_at"] is String)

                #expect(try await stage.edit(mine, 1, by: 2, "no").status == .forbidden)
                #expect(try await stage.edit(mine, 99, by: 1, "no").status == .notFound)
                #expect(try await stage.edit(mine, 1, by: 3, "no").status == .forbidden)
                #expect(try await stage.edit(mine, 1, by: 1, "").status == .badRequest)
                #expect(
                    try await stage.edit(mine, 1, by: 1, String(repeating: "x", count: 16_385)).status
                        == .contentTooLarge)
                #expect(
                    try await stage.call(1, .patch, Stage.path(mine) + "/messages/nothing", ["body": ["text": "x"]])
                        .status == .notFound)
            }
        }

        @Test func aDeletedTextIsGone() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "secret")
                try await stage.edit(mine, 1, by: 1, "secret too")
                #expect(try await stage.delete(mine, 1, by: 2).status == .forbidden)
                #expect(try await stage.delete(mine, 1, by: 1).status == .noContent)
                #expect(try await stage.delete(mine, 1, by: 1).status == .noContent)
                let item = try #require(
                    try await stage.call(2, .get, Stage.path(mine) + "/messages?changes=true").items.first)
                #expect(item["deleted"] as? Bool == true && item["body"] == nil)
                #expect(try await stage.edit(mine, 1, by: 1, "back").status == .conflict)
                let react = try await stage.call(
                    1, .put, Stage.path(mine) + "/messages/\(mine)-1/reactions/%F0%9F%91%8D")
                #expect(react.status == .conflict)
                let list = try await stage.call(2, .get, Stage.direct + "/conversations")
                #expect(!list.text.contains("secret"))
            }
        }

        @Test func reactions() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "one")
                let path = Stage.path(mine) + "/messages/\(mine)-1/reactions/"
                let thumb = "%F0%9F%91%8D"
                #expect(try await stage.call(1, .put, path + thumb).status == .noContent)
                #expect(try await stage.call(2, .put, path + thumb).status == .noContent)
                #expect(try await stage.call(2, .put, path + thumb).status == .noContent)
                func shown() async throws -> [[String: Any]] {
                    let item = try await stage.call(1, .get, Stage.path(mine) + "/messages").items.first
                    return item?["reactions"] as? [[String: Any]] ?? []
                }
                var reactions = try await shown()
                #expect(reactions.count == 1 && reactions.first?["emoji"] as? String == "👍")
                #expect((reactions.first?["users"] as? [String])?.sorted() == ["1", "2"])
                #expect(try await stage.call(1, .delete, path + thumb).status == .noContent)
                #expect(try await stage.call(2, .delete, path + thumb).status == .noContent)
                reactions = try await shown()
                #expect(reactions.isEmpty)
                #expect(try await stage.call(2, .delete, path + "%F0%9F%A6%89").status == .notFound)
                for bad in ["x", "%FF", "%F0%9F%91%8D%F0%9F%91%8D", "%00", "%20"] {
                    #expect(try await stage.call(1, .put, path + bad).status == .badRequest, "\(bad)")
                }
                #expect(try await stage.call(3, .put, path + thumb).status == .forbidden)
            }
        }

        @Test func receiptsAreHiddenBothWays() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "one")
                #expect(try await stage.call(2, .put, Stage.path(mine) + "/read", ["seq": 1]).status == .noContent)
                func receipts() async throws -> Stage.Answer {
                    try await stage.call(1, .get, Stage.path(mine) + "/messages/\(mine)-1/receipts")
                }
                func peerRead() async throws -> Int? {
                    try await stage.call(1, .get, Stage.direct + "/conversations").items.first?["peer_read"] as? Int
                }
                #expect(try await receipts()["read"] as? [String] == ["2"])
                #expect(try await receipts()["delivered"] as? [String] == ["2"])
                #expect(try await peerRead() == 1)
                for user in [UInt64(1), 2] {
                    stage.users.shy.withLockedValue { $0 = [user] }
                    #expect(try await receipts()["read"] as? [String] == [])
                    #expect(try await receipts()["delivered"] as? [String] == [])
                    #expect(try await peerRead() == 0)
                }
            }
        }

        @Test func readAndMute() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                for text in ["a", "b", "c"] { try await stage.send(mine, from: 1, text) }
                func item() async throws -> [String: Any] {
                    try #require(try await stage.call(2, .get, Stage.direct + "/conversations").items.first)
                }
                #expect(try await item()["unread"] as? Int == 3)
                let read = Stage.path(mine) + "/read"
                #expect(try await stage.call(2, .put, read, ["seq": 2]).status == .noContent)
                #expect(try await item()["unread"] as? Int == 1)
                #expect(try await stage.call(2, .put, read, ["seq": 1_000_000]).status == .noContent)
                #expect(try await item()["read"] as? Int == 3)
                for bad in [["seq": 0], ["seq": -1], ["seq": "1"], [:]] as [[String: Any]] {
                    #expect(try await stage.call(2, .put, read, bad).status == .badRequest, "\(bad)")
                }
                #expect(try await stage.call(3, .put, read, ["seq": 1]).status == .notFound)
                let mute = Stage.path(mine) + "/mute"
                #expect(
                    try await stage.call(2, .put, mute, ["until": "2999-01-01T00:00:00.000Z"]).status == .noContent)
                #expect(try await item()["muted"] as? Bool == true)
                #expect(try await item()["muted_until"] as? String == "2999-01-01T00:00:00.000Z")
            }
        }

        /// What is of the other kind is not there.
        @Test func eachPrefixHasItsKind() async throws {
            try await Stage.run { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "one")
                let base = Stage.group + "/conversations/\(mine)"
                let answers = [
                    try await stage.call(1, .get, base + "/messages"),
                    try await stage.call(1, .put, base + "/read", ["seq": 1]),
                    try await stage.call(1, .put, base + "/mute", ["until": NSNull()]),
                    try await stage.call(1, .patch, base + "/messages/\(mine)-1", ["body": ["text": "x"]]),
                    try await stage.call(1, .delete, base + "/messages/\(mine)-1"),
                    try await stage.call(1, .get, base + "/messages/\(mine)-1/receipts"),
                    try await stage.call(
                        1, .post, Stage.group + "/messages",
                        ["conversation": "\(mine)", "client_id": "x", "body": ["text": "x"]]),
                ]
                for answer in answers {
                    #expect(answer.status == .notFound && answer["code"] as? String == "not_found", "\(answer.text)")
                }
                let to = try await stage.call(
                    1, .post, Stage.group + "/messages", ["to": "2", "client_id": "x", "body": ["text": "x"]])
                #expect(
                    to.status == .badRequest && (to["errors"] as? [[String: Any]])?.first?["field"] as? String == "to")
                #expect(try await stage.call(1, .get, Stage.group + "/conversations").items.isEmpty)
            }
        }

        @Test func groupsHaveTheSameCalls() async throws {
            try await Stage.run { stage in
                let owls = try await stage.group([1, 2, 3])
                let sent = try await stage.call(
                    2, .post, Stage.group + "/messages",
                    [
                        "conversation": "\(owls)", "client_id": "x",
                        "body": ["text": "hello @user1", "mentions": ["1"]],
                    ])
                #expect(sent.status == .created, "\(sent.text)")
                let seq = UInt64(try #require(sent["seq"] as? Int))
                let item = try #require(
                    try await stage.call(1, .get, Stage.group + "/conversations").items.first)
                #expect(item["kind"] as? String == "group" && item["peer"] == nil)
                #expect(item["unread"] as? Int == 1 && item["mentions"] as? Int == 1)
                let group = try #require(item["group"] as? [String: Any])
                #expect(group["id"] as? String == "\(owls)" && group["name"] as? String == "Owls")
                #expect(group["role"] as? String == "owner" && group["member_count"] as? Int == 3)
                #expect(group["visibility"] as? String == "private" && group["avatar"] is NSNull)
                #expect(try await stage.call(1, .get, Stage.direct + "/conversations").items.isEmpty)

                // Changes of the group are part of its history where they are asked for.
                let messages = try await stage.call(1, .get, Stage.path(owls) + "/messages?after=0")
                #expect(messages.items.compactMap { $0["kind"] as? String } == ["message"])
                let all = try await stage.call(1, .get, Stage.path(owls) + "/messages?after=0&changes=true")
                #expect(all.items.first?["kind"] as? String == "group")
                #expect(all.items.contains { $0["change"] as? String == "joined" })
                #expect(
                    try await stage.call(1, .get, Stage.path(owls) + "/messages?changes=maybe").status == .badRequest)

                // A member deletes what is their own, the owner anything.
                #expect(try await stage.edit(owls, seq, by: 1, "no").status == .forbidden)
                #expect(try await stage.delete(owls, seq, by: 3).status == .forbidden)
                #expect(try await stage.edit(owls, seq, by: 2, "hello").status == .ok)
                #expect(try await stage.delete(owls, seq, by: 1).status == .noContent)

                let read = try await stage.send(owls, from: 1, "read me")
                #expect(try await stage.call(2, .put, Stage.path(owls) + "/read", ["seq": read]).status == .noContent)
                let receipts = try await stage.call(
                    1, .get, Stage.path(owls) + "/messages/\(owls)-\(read)/receipts")
                #expect(receipts["read"] as? [String] == ["2"])

                // Who isn't in it finds nothing there.
                #expect(try await stage.call(4, .get, Stage.path(owls) + "/messages").status == .forbidden)
                #expect(try await stage.call(4, .put, Stage.path(owls) + "/read", ["seq": 1]).status == .notFound)
                try await stage.indexing { try await stage.indexed() }
                let find = Stage.group + "/search?q=read"
                #expect(try await stage.call(2, .get, find).items.count == 1)
                #expect(try await stage.call(4, .get, find).items.isEmpty)
                // Who was removed finds what was said before, and nothing after.
                var removed = LogMember()
                removed.user = 3
                removed.change = .removed
                try await stage.change(owls, by: 1, "out", removed)
                try await stage.send(owls, from: 1, "read this without 3")
                try await stage.indexing { try await stage.indexed() }
                #expect(try await stage.call(2, .get, find).items.count == 2)
                #expect(try await stage.call(3, .get, find).items.count == 1)
            }
        }

        @Test func onlyYoungMessagesAreEdited() async throws {
            var configuration = MessagesConfiguration()
            configuration.editWithin = .seconds(60)
            try await Stage.run(configuration: configuration) { stage in
                let mine = try await stage.direct(1, 2)
                try await stage.send(mine, from: 1, "one")
                #expect(try await stage.edit(mine, 1, by: 1, "two").status == .ok)
                _ = try await stage.database.query(
                    "UPDATE relay.events SET sent_at = sent_at - interval '2 minutes' WHERE conversation = $1",
                    [.int8(Int64(mine))])
                #expect(try await stage.edit(mine, 1, by: 1, "three").status == .forbidden)
            }
        }
    }
}

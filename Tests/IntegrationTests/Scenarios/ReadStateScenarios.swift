import Client
import Foundation
import Testing

extension ClusterSuite {
    /// What is unread, who has read what, and what is quiet.
    @Suite struct ReadStateScenarios {
        @Test(arguments: Place.allCases)
        func unreadAndMentionsAreTheSameOnAllDevices(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let phone = try await Account.login(cluster.rest, login: bob.username)
            let (laptop, mobile) = try await (
                ChatConnection.connect(bob, node: "chat-1"), ChatConnection.connect(phone, node: "chat-2")
            )
            let before = try #require(try await conversation.listed(for: bob)["unread"].int)
            try await conversation.post("one", by: ada)
            try await conversation.post("two, @bob", by: ada, mentions: [bob])
            let third = try await conversation.post("three", by: ada)
            let mine = try await conversation.post("my own", by: bob)
            let ids = try #require(mine["seq"].int)
            for device in [bob, phone] {
                let listed = try await conversation.listed(for: device)
                #expect(listed["unread"].int == before + 3)
                #expect(listed["mentions"] == 1)
                #expect(listed["head"].int == ids)
            }
            // Read up to the second on one device: the other knows at once.
            let second = try #require(third["seq"].int) - 1
            _ = try await laptop.event(in: conversation) { $0["id"] == third["id"] }
            laptop.send(["type": "read", "conversation": .string(conversation.id), "seq": .integer(Int64(second))])
            try await mobile.wait("own read") { frames, _ in
                frames.contains {
                    $0["type"] == "receipt" && $0["conversation"].string == conversation.id
                        && $0["user"].string == bob.user && $0["read"].int == second
                }
            }
            for device in [bob, phone] {
                try await eventually {
                    let listed = try await conversation.listed(for: device)
                    if listed["unread"] != 1 || listed["mentions"] != 0 || listed["read"].int != second {
                        throw NotYet("\(listed)")
                    }
                }
            }
            // Backwards is not: cursors only go forward.
            #expect(try await bob.call("PUT", "\(conversation.path)/read", ["seq": 1]).status == 204)
            #expect(
                try await phone.call("PUT", "\(conversation.path)/read", ["seq": .integer(Int64(ids))]).status == 204)
            try await eventually {
                let unread = try await conversation.listed(for: bob)["unread"].int
                if unread != 0 { throw NotYet("\(unread ?? -1) unread") }
            }
            try await laptop.close()
            try await mobile.close()
        }

        @Test(arguments: Place.allCases) func aDeletedMentionCountsNoMore(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let message = try #require(try await conversation.post("@bob", by: ada, mentions: [bob])["id"].string)
            #expect(try await conversation.listed(for: bob)["mentions"] == 1)
            let path = conversation.path(of: message)
            _ = try await ada.json("PATCH", path, ["body": ["text": "nobody"]])
            #expect(try await conversation.listed(for: bob)["mentions"] == 0)
            _ = try await ada.json("PATCH", path, ["body": ["text": "@bob", "mentions": [.string(bob.user)]]])
            #expect(try await conversation.listed(for: bob)["mentions"] == 1)
            #expect(try await ada.call("DELETE", path).status == 204)
            #expect(try await conversation.listed(for: bob)["mentions"] == 0)
        }

        @Test(arguments: Place.allCases) func receiptsSayWhoHasItAndWhoReadIt(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let ack = try await sender.message(conversation: conversation.id, "who reads this?")
            let (message, seq) = (try #require(ack["id"].string), try #require(ack["seq"].int))
            let receipts = { try await ada.json("GET", "\(conversation.path(of: message))/receipts") }
            #expect(try await receipts()["read"].array?.isEmpty == true)
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            _ = try await receiver.event(in: conversation) { $0["id"] == ack["id"] }
            receiver.received([conversation.id: seq])
            try await sender.wait("delivered") { frames, _ in
                frames.contains {
                    $0["type"] == "receipt" && $0["delivered"].int == seq && $0["user"].string == bob.user
                }
            }
            #expect(try await receipts()["delivered"].array?.compactMap(\.string) == [bob.user])
            #expect(try await receipts()["read"].array?.isEmpty == true)
            receiver.send(["type": "read", "conversation": .string(conversation.id), "seq": .integer(Int64(seq))])
            try await sender.wait("read") { frames, _ in
                frames.contains { $0["type"] == "receipt" && $0["read"].int == seq && $0["user"].string == bob.user }
            }
            #expect(try await receipts()["read"].array?.compactMap(\.string) == [bob.user])
            let missing = conversation.path(of: "\(conversation.id)-9999") + "/receipts"
            #expect(try await ada.call("GET", missing).status == 404)
            let eve = try await People.register(cluster, "eve")
            #expect(try await eve.call("GET", "\(conversation.path(of: message))/receipts").status >= 403)
            try await sender.close()
            try await receiver.close()
        }

        @Test(arguments: Place.allCases, [true, false])
        func thePrivacySwitchHidesBothWays(_ place: Place, byTheReader: Bool) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            // Either of the two hides theirs: neither sees the other's.
            let hider = byTheReader ? bob : ada
            let changed = try await hider.json("PATCH", "/user-service/v1/users/me", ["read_receipts": false])
            #expect(changed["read_receipts"] == false)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let phone = try await Account.login(cluster.rest, login: bob.username)
            let (receiver, own) = try await (
                ChatConnection.connect(bob, node: "chat-2"), ChatConnection.connect(phone, node: "chat-3")
            )
            let ack = try await sender.message(conversation: conversation.id, "do you read this?")
            let (message, seq) = (try #require(ack["id"].string), try #require(ack["seq"].int))
            // What a connection has not been given, it can't have read.
            _ = try await receiver.event(in: conversation) { $0["id"] == ack["id"] }
            receiver.received([conversation.id: seq])
            receiver.send(["type": "read", "conversation": .string(conversation.id), "seq": .integer(Int64(seq))])
            // One's own devices always know.
            try await own.wait("own read") { frames, _ in
                frames.contains { $0["type"] == "receipt" && $0["read"].int == seq }
            }
            // What is sent after the receipt would have been: when it is there, the receipt did not come.
            let answer = try await receiver.message(conversation: conversation.id, "yes")
            _ = try await sender.event(in: conversation) { $0["id"] == answer["id"] }
            #expect(!sender.frames("receipt").contains { $0["user"].string == bob.user })
            let receipts = try await ada.json("GET", "\(conversation.path(of: message))/receipts")
            #expect(receipts["read"].array?.isEmpty == true && receipts["delivered"].array?.isEmpty == true)
            if place == .direct {
                let listed = try await conversation.listed(for: ada)
                #expect(listed["peer_read"] == 0 && listed["peer_delivered"] == 0)
            }
            for connection in [sender, receiver, own] { try await connection.close() }
        }

        @Test(arguments: Place.allCases) func muteShowsOnEveryDevice(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let phone = try await Account.login(cluster.rest, login: bob.username)
            let (laptop, mobile) = try await (
                ChatConnection.connect(bob, node: "chat-1"), ChatConnection.connect(phone, node: "chat-2")
            )
            let other = try await ChatConnection.connect(ada, node: "chat-3")
            #expect(try await conversation.listed(for: bob)["muted"] == false)
            let until = "2099-01-01T00:00:00.000Z"
            #expect(try await bob.call("PUT", "\(conversation.path)/mute", ["until": .string(until)]).status == 204)
            for connection in [laptop, mobile] {
                try await connection.wait("muted") { frames, _ in
                    frames.contains {
                        $0["type"] == "muted" && $0["conversation"].string == conversation.id
                            && $0["until"].string == until
                    }
                }
            }
            for device in [bob, phone] {
                let listed = try await conversation.listed(for: device)
                #expect(listed["muted"] == true && listed["muted_until"].string == until)
            }
            #expect(try await conversation.listed(for: ada)["muted"] == false)
            #expect(try await phone.call("PUT", "\(conversation.path)/mute", ["until": nil]).status == 204)
            try await laptop.wait("no longer muted") { frames, _ in
                frames.last { $0["type"] == "muted" }?["until"].isNull == true
            }
            #expect(try await conversation.listed(for: bob)["muted"] == false)
            #expect(other.frames("muted").isEmpty)
            for connection in [laptop, mobile, other] { try await connection.close() }
        }
    }
}

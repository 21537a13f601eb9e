import Client
import Foundation
import Testing

extension ClusterSuite {
    /// Edits, deletes and reactions, over both interfaces, in both kinds of conversation.
    @Suite struct AmendmentScenarios {
        @Test(arguments: Place.allCases) func anEditReachesEverybodyAndEveryDevice(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let other = try await ChatConnection.connect(
                try await Account.login(cluster.rest, login: ada.username), node: "chat-2")
            let receiver = try await ChatConnection.connect(bob, node: "chat-3")
            let sent = try await sender.message(conversation: conversation.id, "lunch at noon")
            let message = try #require(sent["id"].string)

            let ack = try await sender.edit(message, in: conversation, "lunch at one")
            #expect(ack["type"] == "ack")
            #expect(ack["seq"].int == sent["seq"].int.map { $0 + 1 })
            #expect(ack["duplicate"] == false)
            for connection in [sender, other, receiver] {
                let event = try await connection.event(in: conversation, kind: "edit", of: message)
                #expect(event["id"] == ack["id"])
                #expect(event["sender"].string == ada.user)
                #expect(event["body"]["text"] == "lunch at one")
            }
            for account in [ada, bob] {
                let now = try await conversation.message(message, for: account)
                #expect(now["body"]["text"] == "lunch at one")
                #expect(now["edited_at"].string?.hasSuffix("Z") == true)
                #expect(now["deleted"].isNull)
            }
            // The old text is in no log that anybody still gets.
            let log = try await conversation.log(for: bob)
            #expect(!Promise.texts(log).contains("lunch at noon"))
            #expect(log.last?["kind"] == "edit")
            for connection in [sender, other, receiver] { try await connection.close() }
        }

        @Test(arguments: Place.allCases) func anEditMadeTwiceWithOneRefCountsOnce(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let first = try await ChatConnection.connect(ada, node: "chat-1")
            let second = try await ChatConnection.connect(ada, node: "chat-2")
            let message = try #require(try await first.message(conversation: conversation.id, "one")["id"].string)
            let once = try await first.edit(message, in: conversation, "two", ref: "edit-1")
            let again = try await second.edit(message, in: conversation, "two", ref: "edit-1")
            #expect(once["duplicate"] == false)
            #expect(again["duplicate"] == true)
            #expect(again["id"] == once["id"])
            let another = try await first.edit(message, in: conversation, "three", ref: "edit-2")
            #expect(another["seq"].int == once["seq"].int.map { $0 + 1 })
            let edits = try await conversation.log(for: bob).filter { $0["kind"] == "edit" }
            #expect(edits.count == 2)
            #expect(try await conversation.message(message, for: bob)["body"]["text"] == "three")
            try await first.close()
            try await second.close()
        }

        @Test(arguments: Place.allCases) func aDeletedTextIsGoneEverywhere(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let word = "secret\(UInt32.random(in: 0...UInt32.max))"
            let message = try #require(
                try await sender.message(conversation: conversation.id, "a \(word)")["id"].string)
            _ = try await sender.edit(message, in: conversation, "the \(word) again")
            _ = try await sender.react(message, in: conversation, "👍")
            try await eventually {
                if try await Search.ids(word, for: bob, place).isEmpty { throw NotYet("\(word) is not found yet") }
            }

            let ack = try await sender.delete(message, in: conversation)
            #expect(ack["type"] == "ack")
            // Search first: there is nothing to wait for.
            #expect(try await Search.ids(word, for: bob, place).isEmpty)
            #expect(try await Search.ids(word, for: ada, place).isEmpty)
            let event = try await receiver.event(in: conversation, kind: "delete", of: message)
            #expect(event["id"] == ack["id"])
            let now = try await conversation.message(message, for: bob)
            #expect(now["deleted"] == true)
            #expect(now["body"].isNull)
            #expect(now["reactions"].isNull)
            let log = try await conversation.log(for: bob)
            #expect(!log.contains { $0["body"]["text"].string?.contains(word) == true })
            #expect(log.filter { $0["deleted"] == true }.count == 2, "the message and its edit")
            let polled = try await bob.json("GET", "/relay-service/v1/events?limit=100")["items"].array ?? []
            #expect(!polled.isEmpty && !polled.contains { $0["body"]["text"].string?.contains(word) == true })

            let again = try await sender.delete(message, in: conversation)
            #expect(again["type"] == "ack" && again["duplicate"] == true && again["id"] == ack["id"])
            #expect(try await sender.edit(message, in: conversation, "back")["code"] == "conflict")
            #expect(try await receiver.react(message, in: conversation, "👍")["code"] == "conflict")
            try await sender.close()
            try await receiver.close()
        }

        @Test(arguments: Place.allCases) func reactionsComeAndGo(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let message = try #require(try await sender.message(conversation: conversation.id, "cake?")["id"].string)
            let ack = try await receiver.react(message, in: conversation, "🎂")
            #expect(ack["type"] == "ack")
            let event = try await sender.event(in: conversation, kind: "reaction", of: message)
            #expect(event["emoji"] == "🎂" && event["removed"] == false && event["sender"].string == bob.user)
            let twice = try await receiver.react(message, in: conversation, "🎂")
            #expect(twice["duplicate"] == true)
            // Over REST, and a second emoji.
            let path = conversation.path(of: message)
            #expect(try await ada.call("PUT", "\(path)/reactions/%F0%9F%8E%82").status == 204)
            #expect(try await ada.call("PUT", "\(path)/reactions/%F0%9F%91%8D").status == 204)
            let reactions = try await conversation.message(message, for: bob)["reactions"].array ?? []
            let users = Dictionary(
                uniqueKeysWithValues: reactions.map {
                    ($0["emoji"].string ?? "", Set($0["users"].array?.compactMap(\.string) ?? []))
                })
            #expect(users == ["🎂": [ada.user, bob.user], "👍": [ada.user]])

            let back = try await receiver.react(message, in: conversation, "🎂", remove: true)
            #expect(back["type"] == "ack")
            let removal = try await sender.event(in: conversation) { $0["removed"] == true }
            #expect(removal["emoji"] == "🎂" && removal["message"].string == message)
            #expect(try await ada.call("DELETE", "\(path)/reactions/%F0%9F%8E%82").status == 204)
            #expect(try await conversation.message(message, for: bob)["reactions"].array?.count == 1)
            let again = try await receiver.react(message, in: conversation, "🎂", remove: true)
            #expect(again["duplicate"] == true && again["id"] == back["id"])
            let never = try await receiver.react(message, in: conversation, "👀", remove: true)
            #expect(never["code"] == "not_found")
            for bad in ["", "no", "👍👍"] {
                #expect(try await receiver.react(message, in: conversation, bad)["code"] == "invalid", "\(bad)")
            }
            #expect(try await ada.call("PUT", "\(path)/reactions/no").status == 400)
            try await sender.close()
            try await receiver.close()
        }

        @Test(arguments: Place.allCases) func amendmentsOverREST(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let receiver = try await ChatConnection.connect(bob)
            let sent = try await conversation.post("before", by: ada)
            let message = try #require(sent["id"].string)
            let path = conversation.path(of: message)
            let edited = try await ada.json("PATCH", path, ["body": ["text": "after"], "client_id": "edit"])
            #expect(edited["kind"] == "edit" && edited["message"].string == message)
            let again = try await ada.json("PATCH", path, ["body": ["text": "after"], "client_id": "edit"])
            #expect(again["id"] == edited["id"])
            _ = try await receiver.event(in: conversation, kind: "edit", of: message)
            #expect(try await conversation.message(message, for: bob)["body"]["text"] == "after")
            #expect(try await ada.call("PATCH", path, ["body": ["text": ""]]).status == 400)
            #expect(try await bob.call("PATCH", path, ["body": ["text": "mine"]]).status == 403)
            #expect(try await bob.call("DELETE", path).status == 403)
            #expect(try await ada.call("DELETE", path).status == 204)
            #expect(try await ada.call("DELETE", path).status == 204)
            _ = try await receiver.event(in: conversation, kind: "delete", of: message)
            #expect(try await ada.call("PATCH", path, ["body": ["text": "back"]]).status == 409)
            #expect(try await ada.call("DELETE", conversation.path(of: "\(conversation.id)-999")).status == 404)
            try await receiver.close()
        }

        @Test(arguments: Place.allCases) func onlyWhoMayAmends(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let eve = try await People.register(cluster, "eve")
            let conversation = try await place.open(ada, bob)
            let message = try #require(try await conversation.post("mine", by: ada)["id"].string)
            let other = try await ChatConnection.connect(bob)
            let stranger = try await ChatConnection.connect(eve)
            #expect(try await other.edit(message, in: conversation, "yours")["code"] == "forbidden")
            #expect(try await other.delete(message, in: conversation)["code"] == "forbidden")
            #expect(try await other.react(message, in: conversation, "👍")["type"] == "ack")
            for answer in [
                try await stranger.edit(message, in: conversation, "hers"),
                try await stranger.delete(message, in: conversation),
                try await stranger.react(message, in: conversation, "👍"),
            ] {
                #expect(answer["code"] == "forbidden" || answer["code"] == "not_found", "\(answer)")
            }
            // Only messages are amended, and only those of the conversation named.
            let last = try #require(try await conversation.log(for: ada).last?["id"].string)
            #expect(try await other.react(last, in: conversation, "👍")["code"] == "not_found")
            let elsewhere = try await place.open(ada, eve)
            #expect(try await other.react(message, in: elsewhere, "👍")["code"].string != nil)
            #expect(try await conversation.message(message, for: ada)["body"]["text"] == "mine")
            try await other.close()
            try await stranger.close()
        }

        @Test func adminsOfAGroupDeleteOthersMessages() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let carl = try await People.register(cluster, "carl")
            let conversation = Conversation(place: .group, id: try await Groups.create(by: ada, members: [bob, carl]))
            #expect(try await Groups.setRole("admin", of: bob, in: conversation.id, by: ada).status == 200)
            let messages = try await [
                conversation.post("one", by: carl), conversation.post("two", by: carl),
                conversation.post("three", by: ada),
            ].compactMap { $0["id"].string }
            let admin = try await ChatConnection.connect(bob)
            let member = try await ChatConnection.connect(carl)
            #expect(try await admin.delete(messages[0], in: conversation)["type"] == "ack")
            #expect(try await ada.call("DELETE", conversation.path(of: messages[1])).status == 204)
            #expect(try await member.delete(messages[2], in: conversation)["code"] == "forbidden")
            #expect(try await admin.edit(messages[2], in: conversation, "x")["code"] == "forbidden")
            let event = try await member.event(in: conversation, kind: "delete", of: messages[0])
            #expect(event["sender"].string == bob.user)
            try await admin.close()
            try await member.close()
        }

        @Test func repliesAndMentionsAreKeptAsTheyWereSent() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await Place.direct.open(ada, bob)
            let first = try #require(try await conversation.post("what do you think?", by: ada)["id"].string)
            let receiver = try await ChatConnection.connect(ada)
            let sender = try await ChatConnection.connect(bob)
            let body: JSONValue = [
                "text": "**yes**, @ada", "format": "markdown", "reply_to": .string(first),
                "mentions": [.string(ada.user)],
            ]
            let ack = try await sender.ask("send", in: conversation, ["client_id": "reply", "body": body])
            #expect(ack["type"] == "ack")
            let event = try await receiver.event(in: conversation) { $0["id"] == ack["id"] }
            #expect(event["body"] == body)
            #expect(try await conversation.message(try #require(ack["id"].string), for: ada)["body"] == body)
            let elsewhere = try await ask(sender, conversation, replyTo: "\(conversation.id)1-1")
            #expect(elsewhere["code"] == "invalid")
            try await receiver.close()
            try await sender.close()
        }

        private func ask(
            _ sender: ChatConnection, _ conversation: Conversation, replyTo: String
        ) async throws -> JSONValue {
            try await sender.ask(
                "send", in: conversation,
                ["client_id": "elsewhere", "body": ["text": "x", "reply_to": .string(replyTo)]])
        }
    }
}

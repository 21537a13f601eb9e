import Client
import Foundation
import Testing

extension ClusterSuite {
    /// Who is blocked says nothing to the blocker directly.
    @Suite struct BlockScenarios {
        private func block(_ user: Account, by account: Account, _ method: String = "PUT") async throws -> RESTResponse
        {
            try await account.call(method, "/user-service/v1/blocks/\(user.user)")
        }

        @Test func aBlockedUsersMessagesAreForbidden() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await Place.direct.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            #expect(try await sender.message(conversation: conversation.id, "before")["type"] == "ack")

            #expect(try await block(ada, by: bob).status == 204)
            let list = try await bob.json("GET", "/user-service/v1/blocks")["items"].array ?? []
            #expect(list.count == 1)
            #expect(list.first?["id"].string == ada.user)
            #expect(try await sender.message(conversation: conversation.id, "now")["code"] == "forbidden")
            #expect(try await sender.message(to: bob.user, "now")["code"] == "forbidden")
            let refused = try await ada.call(
                "POST", "\(Place.direct.prefix)/messages",
                ["to": .string(bob.user), "client_id": "blocked", "body": ["text": "now"]])
            #expect(refused.status == 403 && refused.json["code"] == "forbidden")
            // The blocker may still write, and unblock.
            #expect(try await receiver.message(conversation: conversation.id, "leave me alone")["type"] == "ack")
            #expect(try await block(ada, by: bob).status == 204)
            #expect(try await block(ada, by: bob, "DELETE").status == 204)
            #expect(try await sender.message(conversation: conversation.id, "sorry")["type"] == "ack")
            _ = try await receiver.event(in: conversation) { $0["body"]["text"] == "sorry" }
            let texts = Promise.texts(try await conversation.history(for: bob))
            #expect(texts == ["sorry", "leave me alone", "before", "first"])
            #expect(try await bob.json("GET", "/user-service/v1/blocks")["items"].array?.isEmpty == true)
            try await sender.close()
            try await receiver.close()
        }

        @Test func aBlockHoldsBeforeTheFirstMessage() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            #expect(try await block(ada, by: bob).status == 204)
            let sender = try await ChatConnection.connect(ada)
            #expect(try await sender.message(to: bob.user, "hello")["code"] == "forbidden")
            let listed = try await bob.json("GET", "\(Place.direct.prefix)/conversations")["items"].array ?? []
            #expect(!listed.contains { $0["last_event"]["body"]["text"] == "hello" })
            try await sender.close()
        }

        @Test func groupsAreNotTouchedButAddingIs() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await Place.group.open(ada, bob)
            #expect(try await block(ada, by: bob).status == 204)
            let reader = try await ChatConnection.connect(bob)
            try await conversation.post("to all", by: ada)
            _ = try await reader.event(in: conversation) { $0["body"]["text"] == "to all" }
            let another = try await Groups.create(by: ada)
            let added = try await Groups.setRole("member", of: bob, in: another, by: ada)
            #expect(added.status == 403 && added.json["code"] == "forbidden")
            try await reader.close()
        }

        @Test func whoCannotBeBlocked() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            #expect(try await ada.call("PUT", "/user-service/v1/blocks/7").status == 404)
            let oneself = try await ada.call("PUT", "/user-service/v1/blocks/\(ada.user)").status
            #expect((400..<500).contains(oneself))
            #expect(try await cluster.rest.call("PUT", "/user-service/v1/blocks/\(ada.user)").status == 401)
        }
    }
}

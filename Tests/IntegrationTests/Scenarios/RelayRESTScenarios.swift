import Client
import Foundation
import Testing

extension ClusterSuite {
    /// The log for clients without a WebSocket.
    @Suite struct RelayRESTScenarios {
        private func pending(_ account: Account) async throws -> JSONValue {
            try await account.json("GET", "/relay-service/v1/pending")
        }

        private func received(_ cursors: [String: Int], _ account: Account) async throws -> Int {
            let members = cursors.mapValues { JSONValue.integer(Int64($0)) }
            return try await account.call("POST", "/relay-service/v1/received", ["cursors": .object(members)]).status
        }

        @Test(arguments: Place.allCases) func eventsComeInPagesUntilAcknowledged(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            for number in 1...12 { try await conversation.post("message \(number)", by: ada) }
            let head = try #require(try await conversation.listed(for: bob)["head"].int)
            let counted = try await pending(bob)
            #expect(counted["device"].string == bob.device)
            #expect(counted["total"].int == head)
            #expect(
                counted["conversations"].array == [
                    [
                        "conversation": .string(conversation.id), "delivered": 0, "head": .integer(Int64(head)),
                        "pending": .integer(Int64(head)),
                    ]
                ])
            var events: [JSONValue] = []
            for _ in 0..<10 {
                let page = try await bob.json("GET", "/relay-service/v1/events?limit=5")
                let items = page["items"].array ?? []
                // The same again, until it is acknowledged.
                #expect(try await bob.json("GET", "/relay-service/v1/events?limit=5") == page)
                events += items
                #expect(page["more"].bool == (events.count < head))
                guard let last = items.last?["seq"].int else { break }
                #expect(try await received([conversation.id: last], bob) == 204)
            }
            try Promise.inOrder(events, from: 1)
            #expect(events.count == head)
            #expect(try await pending(bob)["total"] == 0)
            // Backwards changes nothing; too far counts as all; a stranger's conversation is passed over.
            #expect(try await received([conversation.id: 1], bob) == 204)
            #expect(try await pending(bob)["total"] == 0)
            let eve = try await People.register(cluster, "eve")
            #expect(try await received([conversation.id: head], eve) == 204)
            #expect(try await pending(eve)["conversations"].array?.isEmpty == true)
        }

        @Test func aPollWaitsForWhatHappensInAGroup() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await Place.group.open(ada, bob)
            let head = try #require(try await conversation.listed(for: bob)["head"].int)
            #expect(try await received([conversation.id: head], bob) == 204)
            async let polled = bob.json("GET", "/relay-service/v1/events?wait_s=20")
            try await Task.sleep(for: .milliseconds(300))  // the poll should be waiting; it is right either way
            let message = try await conversation.post("wake up", by: ada)
            let events = try await polled["items"].array ?? []
            #expect(events.map { $0["id"] } == [message["id"]])
            // A removal is the last thing that comes.
            #expect(try await received([conversation.id: head + 1], bob) == 204)
            #expect(try await Groups.remove(bob, from: conversation.id, by: ada).status == 204)
            try await conversation.post("without Bob", by: ada)
            let last = try await bob.json("GET", "/relay-service/v1/events?wait_s=5")["items"].array ?? []
            #expect(last.map { $0["change"].string } == ["removed"])
            #expect(try await received([conversation.id: head + 2], bob) == 204)
            #expect(try await pending(bob)["total"] == 0)
        }

        @Test func presenceOfManyAtOnce() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let connection = try await ChatConnection.connect(bob)
            let unknown = (1...498).map { String(9_000_000_000_000_000_000 + $0) }
            let ids = ([bob.user, ada.user] + unknown).joined(separator: ",")
            try await eventually {
                let items = try await ada.json("GET", "/last-seen-service/v1/users?ids=\(ids)")["items"].array ?? []
                let byUser = Dictionary(uniqueKeysWithValues: items.map { ($0["user"].string ?? "", $0) })
                #expect(Set(byUser.keys) == [ada.user, bob.user])
                if byUser[bob.user]?["online"] != true { throw NotYet("\(items)") }
            }
            let many = try await ada.call("GET", "/last-seen-service/v1/users?ids=\(ids),7")
            #expect(many.status == 400 && many.json["errors"][0]["field"] == "ids")
            // Who hides it shows null.
            _ = try await bob.json("PATCH", "/user-service/v1/users/me", ["last_seen_visibility": "nobody"])
            try await eventually {
                let one = try await ada.json("GET", "/last-seen-service/v1/users/\(bob.user)")
                if !one["online"].isNull || !one["last_seen"].isNull { throw NotYet("\(one)") }
            }
            try await connection.close()
        }
    }
}

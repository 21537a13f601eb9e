import Client
import Foundation
import Testing

extension ClusterSuite {
    /// Several devices of one user.
    @Suite struct DeviceScenarios {
        @Test(arguments: Place.allCases)
        func aNewDeviceGetsItsConversationsAndTheirRecentHistory(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let (long, short) = try await (
                place.open(ada, bob), place.open(ada, try await People.register(cluster, "carl"))
            )
            let sender = try await ChatConnection.connect(ada)
            for number in 1...150 { _ = try await sender.message(conversation: long.id, "message \(number)") }
            let head = try #require(try await long.listed(for: ada)["head"].int)

            let tablet = try await Account.login(cluster.rest, login: ada.username)
            let connection = try await ChatConnection.connect(tablet)
            #expect(connection.welcome["resumed"] == true)
            let events = connection.events(in: long.id)
            try Promise.inOrder(events, from: head - 99)
            #expect(events.count == 100)
            #expect(Promise.texts(events).last == "message 150")
            #expect(!connection.events(in: short.id).isEmpty)
            let listed = try await tablet.json("GET", "\(place.prefix)/conversations")["items"].array ?? []
            #expect(Set(listed.compactMap { $0["id"].string }) == [long.id, short.id])
            // The rest is history.
            let first = try #require(events.first?["seq"].int)
            let older = try await long.history(for: tablet, "?before=\(first)&limit=100")
            #expect(older.count == head - 100 - (place == .group ? 3 : 0))
            try await sender.close()
            try await connection.close()
        }

        @Test(arguments: Place.allCases) func whatOneSendsShowsOnTheOthers(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let phone = try await Account.login(cluster.rest, login: ada.username)
            let (laptop, mobile) = try await (
                ChatConnection.connect(ada, node: "chat-1"), ChatConnection.connect(phone, node: "chat-2")
            )
            let receiver = try await ChatConnection.connect(bob, node: "chat-3")
            let ack = try await laptop.message(conversation: conversation.id, "from my desk", clientID: "desk-1")
            let seen = try await mobile.event(in: conversation) { $0["id"] == ack["id"] }
            #expect(seen["client_id"] == "desk-1")
            #expect(seen["sender"].string == ada.user)
            let others = try await receiver.event(in: conversation) { $0["id"] == ack["id"] }
            #expect(others["client_id"].isNull)
            // Each has a cursor of its own.
            laptop.received([conversation.id: try #require(ack["seq"].int)])
            try await eventually {
                let pending = try await ada.json("GET", "/relay-service/v1/pending")["total"].int
                if pending != 0 { throw NotYet("\(pending ?? -1) pending") }
            }
            #expect(try await phone.json("GET", "/relay-service/v1/pending")["total"].int ?? 0 > 0)
            for connection in [laptop, mobile, receiver] { try await connection.close() }
        }

        @Test func oneIsLoggedOutAndTheOtherStays() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            let phone = try await Account.login(cluster.rest, login: ada.username)
            let (laptop, mobile) = try await (ChatConnection.connect(ada), ChatConnection.connect(phone))
            let devices = try await ada.json("GET", "/user-service/v1/devices")["items"].array ?? []
            #expect(Set(devices.compactMap { $0["id"].string }) == [ada.device, phone.device])
            #expect(devices.first { $0["current"] == true }?["id"].string == ada.device)
            #expect(try await ada.call("DELETE", "/user-service/v1/devices/\(phone.device)").status == 204)
            #expect(try await mobile.waitForClose() == 4401)
            #expect(laptop.closeCode == nil)
            #expect(try await phone.call("POST", "/user-service/v1/tickets").status == 401)
            #expect(try await ada.call("POST", "/user-service/v1/tickets").status == 201)
            // The same device again, with what it had.
            let again = try await Account.login(cluster.rest, login: ada.username, device: ada.device)
            #expect(again.device == ada.device)
            try await laptop.close()
        }
    }
}

import Client
import Foundation
import Testing

extension ClusterSuite {
    /// What two people with clients rely on while all is well.
    @Suite struct ChatScenarios {
        @Test func twoUsersChatOnDifferentNodes() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let onFirst = try await ChatConnection.connect(ada, node: "chat-1")
            let onSecond = try await ChatConnection.connect(bob, node: "chat-2")
            #expect(onFirst.welcome["node"] == "chat-1")
            #expect(onSecond.welcome["node"] == "chat-2")
            #expect(onFirst.welcome["resumed"] == true)

            let ack = try await onFirst.message(to: bob.user, "hello")
            #expect(ack["type"] == "ack")
            #expect(ack["seq"] == 1)
            #expect(ack["duplicate"] == false)
            let conversation = try #require(ack["conversation"].string)
            try await onSecond.waitForEvents(1, in: conversation)
            let event = onSecond.events(in: conversation)[0]
            #expect(event["kind"] == "message")
            #expect(event["sender"].string == ada.user)
            #expect(event["body"]["text"] == "hello")
            #expect(event["id"] == ack["id"])
            #expect(event["client_id"].isNull)

            let reply = try await onSecond.message(conversation: conversation, "hello yourself")
            #expect(reply["seq"] == 2)
            try await onFirst.waitForEvents(2, in: conversation)
            // The sender's own copy carries the client_id, and both see the same order.
            #expect(!onFirst.events(in: conversation)[0]["client_id"].isNull)
            try Promise.inOrder(onFirst.events(in: conversation), from: 1)
            try await onFirst.close()
            try await onSecond.close()
        }

        @Test func messagesToAnOfflineDeviceArriveInOrderOnceAndNotAgainAfterReceived() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada)
            var conversation = ""
            for number in 1...50 {
                let ack = try await sender.message(to: bob.user, "message \(number)")
                #expect(ack["seq"].int == number)
                conversation = try #require(ack["conversation"].string)
            }
            let pending = try await bob.json("GET", "/relay-service/v1/pending")
            #expect(pending["total"] == 50)

            let first = try await ChatConnection.connect(bob, node: "chat-2")
            #expect(Promise.texts(first.events(in: conversation)) == (1...50).map { "message \($0)" })
            #expect(first.frames("synced")[0]["cursors"][conversation] == 50)
            first.received([conversation: 20])
            // Nothing answers `received`; the log says when it has it.
            try await eventually {
                let left = try await bob.json("GET", "/relay-service/v1/pending")["total"].int
                if left != 30 { throw NotYet("\(left ?? -1) pending, not 30") }
            }
            try await first.close()

            let second = try await ChatConnection.connect(bob, node: "chat-3")
            try Promise.inOrder(second.events(in: conversation), from: 21)
            #expect(second.events(in: conversation).count == 30)
            second.received([conversation: 50])
            try await eventually {
                let left = try await bob.json("GET", "/relay-service/v1/pending")["total"].int
                if left != 0 { throw NotYet("\(left ?? -1) pending, not 0") }
            }
            try await second.close()
            let third = try await ChatConnection.connect(bob, node: "chat-1")
            #expect(third.events.isEmpty)
            try await third.close()
            try await sender.close()
        }

        @Test func oneClientIDSentToTwoNodesAtOnceMakesOneMessage() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let first = try await ChatConnection.connect(ada, node: "chat-1")
            let second = try await ChatConnection.connect(ada, node: "chat-2")
            for round in 1...20 {
                let clientID = "round-\(round)-\(UUID().uuidString)"
                async let one = first.message(to: bob.user, "round \(round)", clientID: clientID)
                async let other = second.message(to: bob.user, "round \(round)", clientID: clientID)
                let acks = try await [one, other]
                #expect(acks.map { $0["seq"].int } == [round, round])
                #expect(acks[0]["id"] == acks[1]["id"])
                #expect(Set(acks.map { $0["duplicate"].bool }) == [true, false])
            }
            let receiver = try await ChatConnection.connect(bob)
            #expect(Promise.texts(receiver.events) == (1...20).map { "round \($0)" })
            for connection in [first, second, receiver] { try await connection.close() }
        }

        @Test func aTicketWorksOnce() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            let url = try await ada.webSocketURL()
            let connection = try await ChatConnection.open(url: url)
            await #expect(throws: WebSocketFailure.refused(status: 401)) { _ = try await ChatConnection.open(url: url) }
            connection.hello()
            try await connection.wait("synced") { frames, _ in frames.contains { $0["type"] == "synced" } }
            try await connection.close()
            let forged = url.replacingOccurrences(of: "ticket=", with: "ticket=x")
            await #expect(throws: WebSocketFailure.refused(status: 401)) {
                _ = try await ChatConnection.open(url: forged)
            }
            let foreign = try await ada.webSocketURL()
            await #expect(throws: WebSocketFailure.refused(status: 403)) {
                _ = try await ChatConnection.open(url: foreign, headers: [("origin", "https://elsewhere.example")])
            }
        }

        @Test func anAccessTokenOpensAConnectionToo() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            let url = "ws" + cluster.rest.base.dropFirst(4) + "/chat-service/v1/ws"
            let connection = try await ChatConnection.open(
                url: url, headers: [("authorization", "Bearer \(ada.accessToken)")])
            connection.hello()
            try await connection.wait("synced") { frames, _ in frames.contains { $0["type"] == "synced" } }
            #expect(connection.welcome["user"].string == ada.user)
            try await connection.close()
        }

        @Test func readAndDeliveredReceiptsReachTheSender() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let ack = try await sender.message(to: bob.user, "seen?")
            let conversation = try #require(ack["conversation"].string)
            try await receiver.waitForEvents(1, in: conversation)
            receiver.received([conversation: 1])
            try await sender.wait("delivered receipt") { frames, _ in
                frames.contains { $0["type"] == "receipt" && $0["delivered"] == 1 && $0["user"].string == bob.user }
            }
            receiver.send(["type": "read", "conversation": .string(conversation), "seq": 1])
            try await sender.wait("read receipt") { frames, _ in
                frames.contains { $0["type"] == "receipt" && $0["read"] == 1 && $0["user"].string == bob.user }
            }
            try await sender.close()
            try await receiver.close()
        }

        @Test func typingAndPresence() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let watcher = try await ChatConnection.connect(ada, node: "chat-1")
            watcher.send(["type": "watch", "users": [.string(bob.user)]])
            try await watcher.wait("presence: offline") { frames, _ in
                frames.contains { $0["type"] == "presence" && $0["user"].string == bob.user && $0["online"] == false }
            }
            let other = try await ChatConnection.connect(bob, node: "chat-2")
            try await watcher.wait("presence: online") { frames, _ in
                frames.last { $0["type"] == "presence" }?["online"] == true
            }
            let ack = try await watcher.message(to: bob.user, "are you writing?")
            let conversation = try #require(ack["conversation"].string)
            other.send(["type": "typing", "conversation": .string(conversation), "active": true])
            try await watcher.wait("typing") { frames, _ in
                frames.contains { $0["type"] == "typing" && $0["user"].string == bob.user && $0["active"] == true }
            }
            #expect(other.frames("typing").isEmpty)
            try await other.close()
            try await watcher.wait("presence: offline again") { frames, _ in
                let last = frames.last { $0["type"] == "presence" }
                return last?["online"] == false && last?["last_seen"].string != nil
            }
            let seen = try await ada.json("GET", "/last-seen-service/v1/users/\(bob.user)")
            #expect(seen["online"] == false)
            #expect(seen["last_seen"].string?.hasSuffix("Z") == true)
            try await watcher.close()
        }

        @Test func historyAndConversationsOverREST() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            var conversation = ""
            for number in 1...7 {
                let body: JSONValue = [
                    "to": .string(bob.user), "client_id": .string("rest-\(number)"),
                    "body": ["text": .string("number \(number)")],
                ]
                let sent = try await ada.call("POST", "/message-service/v1/messages", body)
                #expect(sent.status == 201)
                #expect(sent.json["seq"].int == number)
                let again = try await ada.call("POST", "/message-service/v1/messages", body)
                #expect(again.status == 200)
                #expect(again.json["id"] == sent.json["id"])
                conversation = try #require(sent.json["conversation"].string)
            }
            let items = try await bob.json("GET", "/message-service/v1/conversations")["items"]
            #expect(items.array?.count == 1)
            #expect(items[0]["id"].string == conversation)
            #expect(items[0]["kind"] == "direct")
            #expect(items[0]["peer"]["id"].string == ada.user)
            #expect(items[0]["peer"]["username"].string == ada.username)
            #expect(items[0]["head"] == 7)
            #expect(items[0]["unread"] == 7)
            #expect(items[0]["last_event"]["body"]["text"] == "number 7")

            let path = "/message-service/v1/conversations/\(conversation)/messages"
            let newest = try await bob.json("GET", "\(path)?limit=3")
            #expect(newest["items"].array?.compactMap { $0["seq"].int } == [7, 6, 5])
            let older = try await bob.json("GET", "\(path)?before=5&limit=3")
            #expect(older["items"].array?.compactMap { $0["seq"].int } == [4, 3, 2])
            let after = try await bob.json("GET", "\(path)?after=5")
            #expect(after["items"].array?.compactMap { $0["seq"].int } == [6, 7])

            let read = try await bob.call(
                "PUT", "/message-service/v1/conversations/\(conversation)/read", ["seq": 7])
            #expect((200..<300).contains(read.status))
            try await eventually {
                let unread = try await bob.json("GET", "/message-service/v1/conversations")["items"][0]["unread"].int
                if unread != 0 { throw NotYet("unread \(unread ?? -1)") }
            }
            let stranger = try await People.register(cluster, "eve")
            #expect(try await stranger.call("GET", path).status == 403)
            #expect(try await cluster.rest.call("GET", path).status == 401)
        }

        @Test func longPollForClientsWithoutAWebSocket() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            async let polled = bob.json("GET", "/relay-service/v1/events?wait_s=20")
            try await Task.sleep(for: .milliseconds(300))  // the poll should be waiting; it is right either way
            let sent = try await ada.json(
                "POST", "/message-service/v1/messages",
                ["to": .string(bob.user), "client_id": "poll", "body": ["text": "wake up"]])
            let events = try await polled["items"]
            #expect(events.array?.count == 1)
            #expect(events[0]["body"]["text"] == "wake up")
            let conversation = try #require(sent["conversation"].string)
            let received = try await bob.call(
                "POST", "/relay-service/v1/received", ["cursors": .object([conversation: 1])])
            #expect(received.status == 204)
            #expect(try await bob.json("GET", "/relay-service/v1/events")["items"].array?.isEmpty == true)
        }

        @Test func aDeviceThatIsLoggedOutLosesItsConnection() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            let connection = try await ChatConnection.connect(ada)
            let answer = try await ada.call("DELETE", "/user-service/v1/devices/current")
            #expect(answer.status == 204)
            #expect(try await connection.waitForClose() == 4401)
            #expect(try await ada.call("POST", "/user-service/v1/tickets").status == 401)
        }

        @Test func discoverySpreadsConnectionsEvenly() async throws {
            let cluster = try await TestCluster.shared()
            var counts: [String: Int] = [:]
            for _ in 0..<300 {
                let answer = try await cluster.rest.json("GET", "/discovery-service/v1/node")
                counts[try #require(answer["node"]["id"].string), default: 0] += 1
                #expect(answer["membership"]["stale"] == false)
            }
            #expect(counts.count == 3)
            for (node, count) in counts { #expect((90...110).contains(count), "\(node) got \(count) of 300") }
        }

        @Test func threeHundredRealConnectionsLandEvenly() async throws {
            let cluster = try await TestCluster.shared()
            let account = try await People.register(cluster, "crowd")
            let connections = try await withThrowingTaskGroup(of: ChatConnection.self) { group in
                var open: [ChatConnection] = []
                var started = 0
                for _ in 0..<20 {
                    started += 1
                    group.addTask { try await ChatConnection.connect(account) }
                }
                for try await connection in group {
                    open.append(connection)
                    if started < 300 {
                        started += 1
                        group.addTask { try await ChatConnection.connect(account) }
                    }
                }
                return open
            }
            var counts: [String: Int] = [:]
            for connection in connections { counts[connection.welcome["node"].string ?? "?", default: 0] += 1 }
            for (node, count) in counts { #expect((90...110).contains(count), "\(node) got \(count) of 300") }
            #expect(counts.count == 3)
            for connection in connections { try await connection.close() }
        }
    }
}

import Client
import Foundation
import LocalCluster
import Testing

extension ClusterSuite {
    /// What holds while parts die. Each test leaves the cluster whole again.
    @Suite struct FaultScenarios {
        @Test func aDeviceResumesOnAnotherNodeAfterItsNodeWasKilled() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let conversation = try #require(try await sender.message(to: bob.user, "message 1")["conversation"].string)
            for number in 2...20 { _ = try await sender.message(conversation: conversation, "message \(number)") }
            try await receiver.waitForEvents(20, in: conversation)

            try cluster.signal("chat-2", SIGKILL)
            #expect(try await receiver.waitForClose() > 0)
            for number in 21...40 { _ = try await sender.message(conversation: conversation, "message \(number)") }
            // The client says what it holds: a repeat is not even sent.
            let resumed = try await eventually {
                try await ChatConnection.connect(bob, node: "chat-3", cursors: [conversation: 20])
            }
            #expect(resumed.welcome["node"] != "chat-2")
            #expect(resumed.welcome["resumed"] == true)
            #expect(Promise.texts(resumed.events(in: conversation)) == (21...40).map { "message \($0)" })
            _ = try await sender.message(conversation: conversation, "message 41")
            try await resumed.waitForEvents(21, in: conversation)
            try Promise.inOrder(resumed.events(in: conversation), from: 21)
            try await sender.close()
            try await resumed.close()
            try await cluster.waitUntilWhole()
        }

        @Test func discoveryDropsAKilledNodeInTime() async throws {
            let cluster = try await TestCluster.shared()
            try await cluster.waitUntilWhole()
            let before = try await cluster.nodes()
            let epoch = try #require(before["chat-3"]?["epoch"].int)
            let killed = ContinuousClock.now
            try cluster.signal("chat-3", SIGKILL)
            // Its successor may register before the old node expires: what counts is that the dead one is gone.
            try await eventually(within: .seconds(20)) {
                if try await cluster.nodes()["chat-3"]?["epoch"].int == epoch { throw NotYet("chat-3 is still listed") }
            }
            let took = ContinuousClock.now - killed
            #expect(took < cluster.sessionTimeout + .seconds(1), "took \(took)")
            try await cluster.waitUntilWhole()
        }

        @Test func zooKeeperStoppedChangesNothingForClients() async throws {
            let cluster = try await TestCluster.shared()
            try await cluster.waitUntilWhole()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let conversation = try #require(try await sender.message(to: bob.user, "message 1")["conversation"].string)

            try cluster.signal("zookeeper", SIGSTOP)
            do {
                let stopped = ContinuousClock.now
                var count = 1
                var sawStale = false
                while ContinuousClock.now - stopped < .seconds(30) {
                    count += 1
                    let ack = try await sender.message(conversation: conversation, "message \(count)")
                    #expect(ack["type"] == "ack")
                    let answer = try await cluster.rest.json("GET", "/discovery-service/v1/node")
                    sawStale = sawStale || answer["membership"]["stale"] == true
                    try await Task.sleep(for: .milliseconds(500))  // the pace of a conversation
                }
                #expect(sawStale)
                try await receiver.waitForEvents(count, in: conversation)
                try Promise.inOrder(receiver.events(in: conversation), from: 1)
                #expect(sender.closeCode == nil && receiver.closeCode == nil)
                // A newcomer finds a node, too.
                let newcomer = try await ChatConnection.connect(ada)
                try await newcomer.close()
            } catch {
                try cluster.signal("zookeeper", SIGCONT)
                throw error
            }
            try cluster.signal("zookeeper", SIGCONT)
            try await cluster.waitUntilWhole()
            #expect(try await cluster.rest.json("GET", "/discovery-service/v1/node")["membership"]["stale"] == false)
            #expect(sender.closeCode == nil && receiver.closeCode == nil)
            #expect(try await sender.message(conversation: conversation, "after")["type"] == "ack")
            try await sender.close()
            try await receiver.close()
        }

        @Test func redisKilledAndEmptiedLosesNothing() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let conversation = try #require(try await sender.message(to: bob.user, "message 1")["conversation"].string)
            let old = try cluster.process("redis").pid
            try cluster.signal("redis", SIGKILL)
            let killed = ContinuousClock.now
            for number in 2...100 {
                #expect(try await sender.message(conversation: conversation, "message \(number)")["type"] == "ack")
            }
            try await receiver.waitForEvents(100, in: conversation, within: .seconds(10))
            try Promise.inOrder(receiver.events(in: conversation), from: 1)
            #expect(ContinuousClock.now - killed < .seconds(10))
            try await eventually {
                let now = try cluster.file().process(named: "redis")?.pid
                if now == nil || now == old { throw NotYet("redis is not back") }
            }
            // What was in Redis is rebuilt: presence, the directory, and tickets for newcomers.
            try await eventually {
                let presence = try await ada.json("GET", "/last-seen-service/v1/users/\(bob.user)")
                if presence["online"] != true { throw NotYet("bob is not online") }
                let sessions = try await cluster.rest.json(
                    "GET", "/sessions-service/v1/sessions?user=\(bob.user)", token: cluster.adminToken)
                if sessions["items"].array?.count != 1 { throw NotYet("sessions: \(sessions)") }
            }
            let newcomer = try await eventually { try await ChatConnection.connect(ada) }
            for connection in [sender, receiver, newcomer] { try await connection.close() }
        }

        @Test func postgresKilledLosesNothingAcknowledged() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let conversation = try #require(try await sender.message(to: bob.user, "message 1")["conversation"].string)
            var acknowledged = ["message 1"]
            // Every message is sent until it is acknowledged, with one client_id, as a client does.
            for number in 2...120 {
                let text = "message \(number)"
                let clientID = "pg-\(ada.user)-\(number)"
                if number == 40 {
                    try cluster.signal("postgres", SIGKILL)
                    await cluster.local.stopPart("postgres")
                    let refused = try await sender.message(conversation: conversation, text, clientID: clientID)
                    #expect(refused["code"] == "unavailable", "\(refused)")
                    #expect(refused["retry_after_ms"].int ?? 0 > 0)
                    try await cluster.local.startPart("postgres")
                }
                if number == 80 { try cluster.signal("postgres", SIGKILL) }
                try await eventually(within: .seconds(60)) {
                    let answer = try await sender.message(conversation: conversation, text, clientID: clientID)
                    if answer["type"] == "ack" { return }
                    guard answer["code"] == "unavailable" else { throw Promise.Broken(description: "\(answer)") }
                    throw NotYet("unavailable")
                }
                acknowledged.append(text)
            }
            try await receiver.waitForEvents(120, in: conversation, within: .seconds(30))
            try Promise.inOrder(receiver.events(in: conversation), from: 1)
            #expect(Promise.texts(receiver.events(in: conversation)) == acknowledged)
            let history = try await ada.json(
                "GET", "/message-service/v1/conversations/\(conversation)/messages?after=0&limit=100")
            #expect(history["items"].array?.count == 100)
            try await sender.close()
            try await receiver.close()
            try await cluster.waitUntilWhole()
        }

        @Test func aHungRelayAndAKilledRelayLoseNothing() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let conversation = try #require(try await sender.message(to: bob.user, "message 1")["conversation"].string)
            try cluster.signal("relay", SIGKILL)
            for number in 2...30 {
                try await eventually(within: .seconds(60)) {
                    let answer = try await sender.message(
                        conversation: conversation, "message \(number)", clientID: "relay-\(ada.user)-\(number)")
                    if answer["type"] != "ack" { throw NotYet("\(answer)") }
                }
            }
            try await receiver.waitForEvents(30, in: conversation, within: .seconds(30))
            try Promise.inOrder(receiver.events(in: conversation), from: 1)
            #expect(sender.closeCode == nil && receiver.closeCode == nil)
            try await sender.close()
            try await receiver.close()
            try await cluster.waitUntilWhole()
        }

        @Test func aPartThatDiesIsBackByItself() async throws {
            let cluster = try await TestCluster.shared()
            for name in ["users", "messages", "discovery", "sessions", "last-seen", "nginx"] {
                let old = try cluster.process(name).pid
                try cluster.signal(name, SIGKILL)
                try await eventually(within: .seconds(30)) {
                    let now = try cluster.file().process(named: name)?.pid
                    if now == nil || now == old { throw NotYet("\(name) is not back") }
                }
            }
            try await cluster.waitUntilWhole()
            let (ada, bob) = try await People.two(cluster)
            let connection = try await eventually { try await ChatConnection.connect(ada) }
            let ack = try await eventually {
                let answer = try await connection.message(to: bob.user, "all is well", clientID: "whole-\(ada.user)")
                if answer["type"] != "ack" { throw NotYet("\(answer)") }
                return answer
            }
            #expect(ack["seq"] == 1)
            try await connection.close()
        }
    }
}

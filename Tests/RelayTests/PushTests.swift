import Postgres
import Protocol
import Relay
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct PushTests {
        @Test func eventsReachWhoIsOnlineInOrderAndTheSenderWithItsID() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.attach("a", [1, 3])
                try await bench.attach("b", [2])
                for index in 1...50 { try await bench.send(id, from: 1, "\(index)") }
                try await eventually {
                    bench.pushed.deliveries("b").count == 50 && bench.pushed.deliveries("a").count == 50
                }
                #expect(bench.pushed.deliveries("b").map(\.event.seq) == Array(1...50))
                #expect(bench.pushed.deliveries("b").allSatisfy { $0.handles == [2] && $0.event.clientID.isEmpty })
                #expect(bench.pushed.deliveries("a").map(\.event.seq) == Array(1...50))
                #expect(bench.pushed.deliveries("a").allSatisfy { $0.handles == [1] && !$0.event.clientID.isEmpty })

                // Sent again: pushed again, as it was stored.
                let again = try await bench.send(id, from: 1, "7", text: "something else")
                #expect(again.duplicate && again.seq == 7)
                try await eventually { bench.pushed.deliveries("b").count == 51 }
                #expect(bench.pushed.deliveries("b").last?.event.seq == 7)
                #expect(bench.pushed.deliveries("b").last?.event.body.text == "hello")
            }
        }

        @Test func newMembersGetPushesFromTheMomentTheyAreMembers() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1])
                try await bench.attach("a", [1, 2])
                try await bench.send(11, from: 1, "1")
                try await eventually { bench.pushed.deliveries("a").count == 1 }
                _ = try await bench.database.pipeline([
                    ("INSERT INTO relay.members (conversation, user_id, joined_seq) VALUES (11, 2, 1)", []),
                    ("UPDATE relay.conversations SET membership = membership + 1 WHERE id = 11", []),
                ])
                try await bench.send(11, from: 1, "2")
                try await eventually {
                    bench.pushed.deliveries("a").filter { $0.handles == [2] }.map(\.event.seq) == [2]
                }
            }
        }

        @Test func aNodeThatCannotBeReachedHasToAttachAgain() async throws {
            var configuration = RelayConfiguration()
            configuration.push.retryMilliseconds = 1
            try await Bench.run(configuration: configuration) { bench in
                let id = try await bench.direct(1, 2)
                try await bench.attach("a", [2])
                bench.pushed.setBroken(["a"])
                try await bench.send(id, from: 1, "1")
                try await eventually { bench.relay.pusher.counts.nodes == 0 }
                bench.pushed.setBroken([])
                try await bench.attach("a", [2])
                try await bench.send(id, from: 1, "2")
                try await eventually { bench.pushed.deliveries("a").map(\.event.seq) == [2] }
            }
        }

        @Test func receiptsGoToTheOtherAndToOnesOwnDevices() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.attach("a", [1])
                try await bench.attach("b", [2])
                for index in 1...3 { try await bench.send(id, from: 1, "\(index)") }
                try await bench.acknowledge(id, user: 2, device: 20, delivered: 3, read: 2)
                try await eventually { !bench.pushed.receipts("a").isEmpty && !bench.pushed.receipts("b").isEmpty }
                let told = try #require(bench.pushed.receipts("a").first)
                #expect(told.user == 2 && told.delivered == 3 && told.read == 2 && told.handles == [1])
                let own = try #require(bench.pushed.receipts("b").first)
                #expect(own.user == 2 && own.delivered == 0 && own.read == 2 && own.handles == [2])
                // What didn't move isn't told.
                try await bench.acknowledge(id, user: 2, device: 20, delivered: 1, read: 1)
                try await bench.acknowledge(id, user: 2, device: 20, read: 3)
                try await eventually { bench.pushed.receipts("a").count == 2 }
                #expect(bench.pushed.receipts("a").last?.delivered == 0)
                #expect(bench.pushed.receipts("a").last?.read == 3)
            }
        }

        @Test func whoShowsNothingIsShownNothing() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, Bench.shy)
                try await bench.attach("a", [1])
                try await bench.attach("b", [Bench.shy])
                for index in 1...3 { try await bench.send(id, from: 1, "\(index)") }
                try await bench.acknowledge(id, user: Bench.shy, device: 1, delivered: 3, read: 2)
                try await bench.send(id, from: Bench.shy, "4")
                try await bench.acknowledge(id, user: 1, device: 1, delivered: 4, read: 4)
                try await eventually { bench.pushed.receipts("a").count == 1 && bench.pushed.receipts("b").count == 1 }
                #expect(bench.pushed.receipts("a").map(\.user) == [1])
                #expect(bench.pushed.receipts("b").map(\.read) == [2])
            }
        }

        @Test func typingGoesToTheOthersAndOnlyFromMembers() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                try await bench.attach("a", [1, 2, 3])
                var request = RelayTypingRequest()
                request.conversation = 11
                request.user = 3
                request.active = true
                _ = try await bench.relay.typing(request, context: bench.context())
                request.user = 1
                _ = try await bench.relay.typing(request, context: bench.context())
                try await eventually { !bench.pushed.typings("a").isEmpty }
                #expect(bench.pushed.typings("a").map(\.user) == [1])
                #expect(bench.pushed.typings("a").map(\.handles) == [[2]])
            }
        }
    }
}

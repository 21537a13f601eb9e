import Postgres
import Protocol
import RPC
import Relay
import Testing

extension DatabaseTests {
    /// Who sees what of a group, whenever they were in it.
    @Suite(.serialized) struct MembershipTests {
        @Test func whoJoinsStartsAtTheJoin() async throws {
            try await Bench.run { bench in
                let scribe = Scribe(bench)
                try await bench.group(11, [1])
                for index in 1...5 { try await bench.send(11, from: 1, "\(index)") }
                try await scribe.change(11, 2, .joined)
                try await bench.send(11, from: 1, "6")
                let pages = try await bench.sync(user: 2, device: 20)
                #expect(pages.first?.complete == true)
                #expect(pages.first?.positions.map { [$0.after, $0.head] } == [[5, 7]])
                #expect(pages.flatMap(\.events).map(\.seq) == [6, 7])
                // A client that claims less than it may see gets no more, and nothing is missing.
                let claimed = try await bench.sync(user: 2, device: 20, cursors: [11: 1])
                #expect(claimed.first?.complete == true)
                #expect(claimed.flatMap(\.events).map(\.seq) == [6, 7])
                let gap = try await bench.sync(user: 2, device: 20, all: false, cursors: [11: 6])
                #expect(gap.flatMap(\.events).map(\.seq) == [7])
                let item = try #require(try await bench.conversations(user: 2, device: 20).first)
                #expect(item.delivered == 5 && item.head == 7 && item.unread == 1)
            }
        }

        @Test func whoIsRemovedGetsThatAndNothingAfter() async throws {
            try await Bench.run { bench in
                let scribe = Scribe(bench)
                try await bench.group(11, [1, 2])
                for index in 1...3 { try await bench.send(11, from: 1, "\(index)") }
                try await bench.acknowledge(11, user: 2, device: 20, delivered: 2)
                try await scribe.change(11, 2, .removed)
                for index in 5...6 { try await bench.send(11, from: 1, "\(index)") }
                let events = try await bench.sync(user: 2, device: 20).flatMap(\.events)
                #expect(events.map(\.seq) == [3, 4])
                #expect(events.last?.member.user == 2 && events.last?.member.change == .removed)
                #expect(try await bench.conversations(user: 2).isEmpty)
                var pending = try await self.pending(bench, user: 2, device: 20)
                #expect(pending.map { [$0.id, $0.delivered, $0.head] } == [[11, 2, 4]])
                #expect(pending.first?.lastEvent.member.change == .removed)
                // Once they have it, nothing of it is left but the history.
                try await bench.acknowledge(11, user: 2, device: 20, delivered: 99)
                pending = try await self.pending(bench, user: 2, device: 20)
                #expect(pending.isEmpty)
                #expect(try await bench.sync(user: 2, device: 20).flatMap(\.positions).isEmpty)
                #expect(try await bench.history(11, user: 2).messages.map(\.event.seq) == [3, 2, 1])
                // Where the client says that it lost something, it is there again.
                let again = try await bench.sync(user: 2, device: 20, cursors: [11: 2])
                #expect(again.first?.complete == true)
                #expect(again.flatMap(\.events).map(\.seq) == [3, 4])
                // Another device of theirs has acknowledged nothing.
                #expect(try await bench.sync(user: 2, device: 21).flatMap(\.events).map(\.seq) == [1, 2, 3, 4])
            }
        }

        @Test func whoComesBackStartsAtTheLastJoin() async throws {
            try await Bench.run { bench in
                let scribe = Scribe(bench)
                try await bench.group(11, [1, 2])
                try await bench.send(11, from: 1, "1")
                try await bench.acknowledge(11, user: 2, device: 20, delivered: 1)
                try await scribe.change(11, 2, .left)
                for index in 3...5 { try await bench.send(11, from: 1, "\(index)") }
                try await scribe.change(11, 2, .joined)
                try await bench.send(11, from: 1, "7")
                let pages = try await bench.sync(user: 2, device: 20)
                #expect(pages.first?.complete == true)
                #expect(pages.first?.positions.map { [$0.after, $0.head] } == [[5, 7]])
                #expect(pages.flatMap(\.events).map(\.seq) == [6, 7])
                let claimed = try await bench.sync(user: 2, device: 20, cursors: [11: 2])
                #expect(claimed.first?.complete == true && claimed.flatMap(\.events).map(\.seq) == [6, 7])
                let item = try #require(try await bench.conversations(user: 2, device: 20).first)
                #expect(item.delivered == 5 && item.unread == 1)
                #expect(try await pending(bench, user: 2, device: 20).map { [$0.delivered, $0.head] } == [[5, 7]])
                #expect(try await bench.history(11, user: 2).messages.map(\.event.seq) == [7])
            }
        }

        @Test func whoIsRemovedDuringASyncGetsWhatWasThereBefore() async throws {
            var configuration = RelayConfiguration()
            configuration.syncPageEvents = 2
            try await Bench.run(configuration: configuration) { bench in
                let scribe = Scribe(bench)
                try await bench.group(11, [1, 2])
                for index in 1...6 { try await bench.send(11, from: 1, "\(index)") }
                var request = RelaySyncRequest()
                request.user = 2
                request.device = 20
                request.all = true
                var seqs: [UInt64] = []
                var isFirst = true
                try await bench.relay.sync(request) { page in
                    if isFirst {
                        isFirst = false
                        try await scribe.change(11, 2, .removed)
                        try await bench.send(11, from: 1, "8")
                    }
                    seqs += page.events.map(\.seq)
                }
                #expect(seqs == [1, 2, 3, 4, 5, 6])
                let rest = try await bench.sync(user: 2, device: 20, cursors: [11: 6])
                #expect(rest.flatMap(\.events).map(\.seq) == [7])
            }
        }

        private func pending(_ bench: Bench, user: UInt64, device: UInt64) async throws -> [RelayConversation] {
            var request = RelayConversationsRequest()
            request.user = user
            request.device = device
            request.pendingOnly = true
            return try await bench.relay.conversations(request).conversations
        }
    }
}

import Postgres
import Protocol
import RPC
import Relay
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct ReadingTests {
        @Test func syncHandsOutWhatADeviceLacksInPages() async throws {
            var configuration = RelayConfiguration()
            configuration.syncPageEvents = 10
            configuration.syncPageBytes = 2_000
            try await Bench.run(configuration: configuration) { bench in
                let one = try await bench.direct(1, 2)
                let two = try await bench.direct(1, 3)
                let empty = try await bench.direct(1, 4)
                for index in 0..<25 { try await bench.send(one, from: 2, "a\(index)") }
                for index in 0..<3 {
                    try await bench.send(two, from: 1, "b\(index)", text: String(repeating: "x", count: 1500))
                }
                try await bench.acknowledge(one, user: 1, device: 10, delivered: 5)
                let pages = try await bench.sync(user: 1, device: 10)
                let first = try #require(pages.first)
                #expect(first.complete && first.events.isEmpty)
                let positions = Dictionary(uniqueKeysWithValues: first.positions.map { ($0.conversation, $0) })
                #expect(positions.count == 3)
                #expect(positions[one]?.after == 5 && positions[one]?.head == 25)
                #expect(positions[two]?.after == 0 && positions[two]?.head == 3)
                #expect(positions[empty]?.after == 0 && positions[empty]?.head == 0)
                #expect(
                    pages.dropFirst().allSatisfy { !$0.events.isEmpty && $0.events.count <= 10 && $0.positions.isEmpty }
                )
                let events = pages.flatMap(\.events)
                #expect(events.filter { $0.conversation == one }.map(\.seq) == Array(6...25))
                #expect(events.filter { $0.conversation == two }.map(\.seq) == [1, 2, 3])
                // A sender's own id is told to the sender alone.
                #expect(events.allSatisfy { $0.clientID.isEmpty == ($0.sender != 1) })
                // The long ones don't fit one page.
                #expect(pages.filter { $0.events.contains { $0.conversation == two } }.count == 3)

                // What the client holds counts, not what was acknowledged; a device without a cursor begins at the beginning.
                let held = try await bench.sync(user: 1, device: 10, cursors: [one: 24, two: 3])
                #expect(held.flatMap(\.events).map(\.seq) == [25])
                #expect(try await bench.sync(user: 1, device: 11).flatMap(\.events).count == 28)
                let gap = try await bench.sync(user: 1, device: 10, all: false, cursors: [two: 1])
                #expect(gap.first?.positions.count == 1)
                #expect(gap.flatMap(\.events).map(\.seq) == [2, 3])
                // Not one's own conversation: nothing.
                #expect(
                    try await bench.sync(user: 9, device: 90, all: false, cursors: [two: 0]).first?.positions.isEmpty
                        == true)
            }
        }

        @Test func whoLeftSeesNothingAfter() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                for index in 0..<5 { try await bench.send(11, from: 1, "\(index)") }
                _ = try await bench.database.query(
                    "UPDATE relay.members SET left_seq = 3 WHERE conversation = 11 AND user_id = 2")
                _ = try await bench.database.query(
                    "INSERT INTO relay.members (conversation, user_id, joined_seq) VALUES (11, 3, 4)")
                #expect(try await bench.sync(user: 2, device: 20).flatMap(\.events).map(\.seq) == [1, 2, 3])
                #expect(try await bench.sync(user: 3, device: 30).flatMap(\.events).map(\.seq) == [5])
                await expectFailure(.forbidden) { try await bench.send(11, from: 2, "x") }
                #expect(try await history(bench, 11, user: 2).map(\.event.seq) == [3, 2, 1])
                #expect(try await history(bench, 11, user: 3).map(\.event.seq) == [5])
                #expect(try await bench.conversations(user: 2).isEmpty)
            }
        }

        @Test func historyGoesBothWays() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                for index in 1...10 {
                    try await bench.send(id, from: UInt64(1 + index % 2), "\(index)", text: "\(index)")
                }
                #expect(try await history(bench, id, user: 1, limit: 3).map(\.event.seq) == [10, 9, 8])
                #expect(try await history(bench, id, user: 1, before: 4, limit: 3).map(\.event.seq) == [3, 2, 1])
                #expect(try await history(bench, id, user: 1, after: 8).map(\.event.seq) == [9, 10])
                #expect(try await history(bench, id, user: 1, fromStart: true, limit: 2).map(\.event.seq) == [1, 2])
                await expectFailure(.forbidden) { try await history(bench, id, user: 3) }
                await expectFailure(.notFound) { try await history(bench, 99, user: 1) }
            }
        }

        @Test func conversationsComeNewestFirstInPages() async throws {
            try await Bench.run { bench in
                var ids: [UInt64] = []
                for peer in UInt64(2)...8 { ids.append(try await bench.direct(1, peer)) }
                for (index, id) in ids.enumerated() where index != 3 {
                    try await bench.send(id, from: 1, "\(index)")
                    try await Task.sleep(for: .milliseconds(2))  // their order is that of milliseconds
                }
                var request = RelayConversationsRequest()
                request.user = 1
                request.limit = 4
                var seen: [UInt64] = []
                repeat {
                    let page = try await bench.relay.conversations(request)
                    seen += page.conversations.map(\.id)
                    request.cursor = page.next
                } while !request.cursor.isEmpty
                // One where nothing was ever said is not shown.
                #expect(seen.count == 6)
                #expect(Set(seen) == Set(ids.enumerated().filter { $0.offset != 3 }.map(\.element)))
                request.cursor = "nonsense"
                let broken = request
                await expectFailure(.invalid) { try await bench.relay.conversations(broken) }
                let first = try #require(try await bench.conversations(user: 1).first)
                #expect(first.peer == 8 && first.kind == .direct && first.lastEvent.clientID == "6")
            }
        }

        @Test func cursorsOnlyMoveForwardAndNotPastTheHead() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                for index in 1...6 { try await bench.send(id, from: 2, "\(index)") }
                try await bench.acknowledge(id, user: 1, device: 10, delivered: 4, read: 2)
                try await bench.acknowledge(id, user: 1, device: 10, delivered: 1, read: 1)
                var mine = try #require(try await bench.conversations(user: 1, device: 10).first)
                #expect(mine.delivered == 4 && mine.read == 2 && mine.unread == 4)
                var theirs = try #require(try await bench.conversations(user: 2, device: 20).first)
                #expect(theirs.peerDelivered == 4 && theirs.peerRead == 2 && theirs.unread == 0)
                try await bench.acknowledge(id, user: 1, device: 10, delivered: 999, read: 999)
                mine = try #require(try await bench.conversations(user: 1, device: 10).first)
                #expect(mine.delivered == 6 && mine.read == 6 && mine.unread == 0)
                // Who isn't a member moves nothing; another device has a cursor of its own.
                try await bench.acknowledge(id, user: 3, device: 30, delivered: 5, read: 5)
                try await bench.acknowledge(id, user: 1, device: 11, delivered: 2)
                #expect(try await bench.conversations(user: 1, device: 11).first?.delivered == 2)
                let rows = try await bench.database.query("SELECT count(*) FROM relay.cursors").rows
                #expect(try rows.first?.int8(0) == 2)
                theirs = try #require(try await bench.conversations(user: 2).first)
                #expect(theirs.peerRead == 6)
            }
        }

        @Test func ownMessagesAreNeverUnread() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                func unread(_ user: UInt64) async throws -> UInt64 {
                    try #require(try await bench.conversations(user: user).first).unread
                }
                try await bench.send(id, from: 1, "1")
                #expect(try await unread(1) == 0)
                #expect(try await unread(2) == 1)
                // Answering without having read: what came before stays unread, the answer isn't.
                try await bench.send(id, from: 2, "2")
                try await bench.send(id, from: 2, "3")
                #expect(try await unread(2) == 1)
                #expect(try await unread(1) == 2)
                #expect(try await bench.conversations(user: 2).first?.read == 0)
                try await bench.acknowledge(id, user: 2, device: 20, read: 1)
                #expect(try await unread(2) == 0)
                try await bench.send(id, from: 1, "4")
                #expect(try await unread(2) == 1)
                try await bench.acknowledge(id, user: 2, device: 20, read: 4)
                #expect(try await unread(2) == 0)
                try await bench.acknowledge(id, user: 1, device: 10, read: 3)
                #expect(try await unread(1) == 0)
                try await bench.send(id, from: 2, "5")
                #expect(try await unread(1) == 1)
                #expect(try await unread(2) == 0)
            }
        }

        @Test func receiptsSayWhoHasItAndWhoReadIt() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2, 3, 4])
                try await bench.send(11, from: 1, "1")
                try await bench.acknowledge(11, user: 2, device: 20, delivered: 1)
                try await bench.acknowledge(11, user: 3, device: 30, read: 1)
                var request = RelayReceiptsRequest()
                request.conversation = 11
                request.user = 1
                request.seq = 1
                let receipts = try await bench.relay.receipts(request, context: bench.context())
                #expect(receipts.delivered == [2, 3])
                #expect(receipts.read == [3])
                request.seq = 2
                let missing = request
                await expectFailure(.notFound) { try await bench.relay.receipts(missing, context: bench.context()) }
                request.user = 9
                let foreign = request
                await expectFailure(.forbidden) { try await bench.relay.receipts(foreign, context: bench.context()) }
            }
        }

        @Test func mutingIsAUsersOwn() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "1")
                var request = RelayMuteRequest()
                request.conversation = id
                request.user = 1
                request.untilMs = 4_000_000_000_000
                _ = try await bench.relay.mute(request, context: bench.context())
                #expect(try await bench.conversations(user: 1).first?.mutedUntilMs == 4_000_000_000_000)
                #expect(try await bench.conversations(user: 2).first?.mutedUntilMs == 0)
                request.untilMs = 0
                _ = try await bench.relay.mute(request, context: bench.context())
                #expect(try await bench.conversations(user: 1).first?.mutedUntilMs == 0)
                request.user = 3
                let foreign = request
                await expectFailure(.notFound) { try await bench.relay.mute(foreign, context: bench.context()) }
            }
        }

        private func history(
            _ bench: Bench, _ conversation: UInt64, user: UInt64, before: UInt64 = 0, after: UInt64 = 0,
            fromStart: Bool = false, limit: UInt32 = 0
        ) async throws -> [RelayMessage] {
            try await bench.history(
                conversation, user: user, before: before, after: after, fromStart: fromStart, limit: limit
            ).messages
        }
    }
}

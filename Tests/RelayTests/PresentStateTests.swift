import Postgres
import Protocol
import RPC
import Relay
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct PresentStateTests {
        @Test func historyShowsMessagesAsTheyAreNow() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                let scribe = Scribe(bench)
                for index in 1...4 { try await bench.send(id, from: 1, "m\(index)", text: "text \(index)") }
                try await scribe.edit(id, 2, by: 1, "edited")
                try await scribe.react(id, 1, by: 2, "👍")
                try await scribe.react(id, 1, by: 1, "🎉")
                try await scribe.react(id, 1, by: 1, "👍")
                try await scribe.react(id, 1, by: 2, "🎉")
                try await scribe.react(id, 1, by: 2, "🎉", removed: true)
                try await scribe.edit(id, 3, by: 1, "a secret")
                try await scribe.delete(id, 3, by: 1)

                let page = try await bench.history(id, user: 2, fromStart: true).messages
                #expect(page.map(\.event.seq) == [1, 2, 3, 4])
                #expect(page.allSatisfy { $0.event.clientID.isEmpty })
                #expect(page[0].reactions.map(\.emoji) == ["👍", "🎉"])
                #expect(page[0].reactions.map(\.users) == [[2, 1], [1]])
                #expect(page[0].editedAtMs == 0 && !page[0].deleted)
                #expect(page[1].event.body.text == "edited" && page[1].editedAtMs >= page[1].event.sentAtMs)
                #expect(page[2].deleted && page[2].event.deleted && !page[2].event.hasBody)
                #expect(page[2].reactions.isEmpty)
                #expect(page[3].event.body.text == "text 4" && page[3].reactions.isEmpty)
                #expect(try await bench.history(id, user: 1, limit: 1).messages.first?.event.clientID == "m4")

                // What happened is there for who asks for it, and for who catches up: without what was deleted.
                let raw = try await bench.history(id, user: 2, fromStart: true, raw: true).messages.map(\.event)
                let events = try await bench.sync(user: 2, device: 20).flatMap(\.events)
                #expect(raw == events)
                #expect(events.map(\.seq) == Array(1...12))
                #expect(
                    events.map(\.kind) == [
                        .message, .message, .message, .message, .edit, .reaction, .reaction, .reaction, .reaction,
                        .reaction, .edit, .delete,
                    ])
                #expect(events.filter(\.deleted).map(\.seq) == [3, 11])
                #expect(events.filter(\.deleted).allSatisfy { !$0.hasBody })
                #expect(events[1].body.text == "edited" && events[4].body.text == "edited" && events[4].target == 2)
                #expect(events[9].emoji == "🎉" && events[9].removed && !events[8].removed)
                #expect(events[11].target == 3 && !events[11].hasBody)
            }
        }

        /// A deleted text whose row still had it would be shown by nobody.
        @Test func whatIsDeletedHasNoBodyWhateverItsRowHolds() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                try await bench.send(id, from: 1, "m1")
                _ = try await bench.database.query("UPDATE relay.events SET deleted_at = now()")
                #expect(try await bench.history(id, user: 2).messages.first?.event.hasBody == false)
                #expect(try await bench.sync(user: 2, device: 20).flatMap(\.events).first?.deleted == true)
                #expect(try await bench.conversations(user: 2).first?.lastEvent.hasBody == false)
            }
        }

        @Test func changesOfAGroupAreShownToWhoAsks() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                let scribe = Scribe(bench)
                try await scribe.rename(11, "The group", members: 2)
                try await bench.send(11, from: 1, "m1")
                try await scribe.change(11, 3, .joined)
                try await bench.send(11, from: 3, "m2")
                try await scribe.react(11, 2, by: 3, "👍")
                #expect(try await bench.history(11, user: 1).messages.map(\.event.seq) == [4, 2])
                let changes = try await bench.history(11, user: 1, changes: true).messages
                #expect(changes.map(\.event.seq) == [4, 3, 2, 1])
                #expect(changes[1].event.member.user == 3 && changes[1].event.member.change == .joined)
                #expect(changes[3].event.group.name == "The group")
                #expect(try await bench.history(11, user: 1, raw: true).messages.map(\.event.seq) == [5, 4, 3, 2, 1])
                #expect(try await bench.history(11, user: 3, changes: true).messages.map(\.event.seq) == [4, 3])
            }
        }

        @Test func lookupGivesWhatMayBeSeenInTheOrderAskedFor() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                let direct = try await bench.direct(2, 3)
                let foreign = try await bench.direct(1, 3)
                let scribe = Scribe(bench)
                for index in 1...4 { try await bench.send(11, from: 1, "m\(index)", text: "text \(index)") }
                try await bench.send(direct, from: 3, "d")
                try await bench.send(foreign, from: 3, "f")
                try await scribe.react(11, 3, by: 2, "👍")
                try await scribe.delete(11, 2, by: 1)
                try await scribe.change(11, 2, .left)
                try await bench.send(11, from: 1, "late")
                func lookup(_ user: UInt64, _ places: [(UInt64, UInt64)]) async throws -> [RelayMessage] {
                    var request = RelayLookupRequest()
                    request.user = user
                    request.messages = places.map { conversation, seq in
                        var cursor = RelayCursor()
                        cursor.conversation = conversation
                        cursor.seq = seq
                        return cursor
                    }
                    return try await bench.relay.lookup(request, context: bench.context()).messages
                }
                // Deleted: 2; no message: 5; after the end: 8; not theirs: the foreign one; none: 99.
                let found = try await lookup(
                    2, [(11, 3), (direct, 1), (11, 8), (foreign, 1), (11, 2), (11, 1), (11, 5), (99, 1), (11, 99)])
                #expect(found.map(\.event.conversation) == [11, direct, 11])
                #expect(found.map(\.event.seq) == [3, 1, 1])
                #expect(found.first?.reactions.map(\.users) == [[2]])
                #expect(found.allSatisfy { $0.event.clientID.isEmpty })
                #expect(try await lookup(1, [(11, 8)]).first?.event.clientID == "late")
                #expect(try await lookup(1, []).isEmpty)
                await expectFailure(.invalid) { try await lookup(1, Array(repeating: (11, 1), count: 257)) }
            }
        }

        @Test func windowsSayWhatAUserMayRead() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                try await bench.group(13, [1, 2])
                let direct = try await bench.direct(2, 3)
                _ = try await bench.direct(2, 4)
                let scribe = Scribe(bench)
                for index in 1...4 { try await bench.send(11, from: 1, "m\(index)") }
                try await scribe.change(11, 5, .joined)
                try await scribe.change(11, 2, .removed)
                try await bench.send(11, from: 1, "late")
                try await bench.send(13, from: 1, "other")
                try await bench.send(direct, from: 2, "d")
                func windows(
                    _ user: UInt64, _ kind: RelayConversationKind = .unspecified, only: UInt64 = 0
                ) async throws -> [[UInt64]] {
                    var request = RelayWindowsRequest()
                    request.user = user
                    request.kind = kind
                    request.only = only
                    return try await bench.relay.windows(request, context: bench.context()).windows
                        .map { [$0.conversation, $0.after, $0.until] }.sorted { $0[0] < $1[0] }
                }
                #expect(try await windows(2) == [[11, 0, 6], [13, 0, 1], [direct, 0, 1]])
                #expect(try await windows(2, .direct) == [[direct, 0, 1]])
                #expect(try await windows(2, .group) == [[11, 0, 6], [13, 0, 1]])
                #expect(try await windows(2, only: 13) == [[13, 0, 1]])
                #expect(try await windows(5) == [[11, 4, 7]])
                #expect(try await windows(5, only: 13).isEmpty)
            }
        }

        @Test func contactsAreThoseWhoSaidSomething() async throws {
            try await Bench.run { bench in
                let one = try await bench.direct(5, 2)
                let two = try await bench.direct(5, 9)
                _ = try await bench.direct(5, 3)
                let own = try await bench.direct(5, 5)
                for id in [one, two, own] { try await bench.send(id, from: 5, "\(id)") }
                try await bench.send(two, from: 9, "back")
                var request = RelayContactsRequest()
                request.user = 5
                request.peers = [9, 4, 3, 2, 5]
                #expect(try await bench.relay.contacts(request, context: bench.context()).peers == [9, 5])
                request.user = 2
                #expect(try await bench.relay.contacts(request, context: bench.context()).peers == [5])
            }
        }

        @Test func aGroupInTheListHasWhatThePageShows() async throws {
            try await Bench.run { bench in
                try await bench.group(11, [1, 2])
                let scribe = Scribe(bench)
                try await scribe.rename(11, "The group", members: 2)
                for index in 1...3 { try await bench.send(11, from: 1, "m\(index)") }
                try await scribe.mention(11, 2, 2)
                try await scribe.mention(11, 4, 2)
                _ = try await bench.database.query("UPDATE relay.members SET role = 3 WHERE user_id = 1")
                var item = try #require(try await bench.conversations(user: 2, device: 20).first)
                #expect(item.kind == .group && item.group.name == "The group" && item.memberCount == 2)
                #expect(item.role == .member && item.mentions == 2 && item.unread == 3)
                #expect(item.peer == 0 && item.peerRead == 0)
                #expect(try await bench.conversations(user: 1).first?.role == .owner)
                #expect(try await bench.conversations(user: 1).first?.mentions == 0)
                try await bench.acknowledge(11, user: 2, device: 20, read: 3)
                item = try #require(try await bench.conversations(user: 2, device: 20).first)
                #expect(item.mentions == 1 && item.unread == 1)
            }
        }
    }
}

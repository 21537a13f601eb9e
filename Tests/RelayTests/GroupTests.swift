import ChatModel
import NIOConcurrencyHelpers
import NIOCore
import Postgres
import Protocol
import RPC
import Relay
import SwiftProtobuf
import Testing

extension DatabaseTests {
    @Suite(.serialized) struct GroupTests {
        @Test func aGroupIsMadeOnceAndEveryChangeIsAnEvent() async throws {
            try await Bench.run(relays: 2) { bench in
                await expectFailure(.notFound) { try await bench.change(11, "early", name: "no") }
                let made = try await bench.change(
                    11, "make", create: true, name: "g", [(1, .joined, .owner), (2, .joined, .member)])
                #expect(made.seq == 3 && !made.duplicate)
                let again = try await bench.change(
                    11, "make", create: true, name: "g", on: 1, [(1, .joined, .owner), (2, .joined, .member)])
                #expect(again.seq == 3 && again.duplicate)
                #expect(
                    try await rows(bench, "SELECT user_id, joined_seq, read_seq, role FROM relay.members ORDER BY 1")
                        == [[1, 0, 0, 3], [2, 0, 0, 1]])
                #expect(
                    try await rows(bench, "SELECT seq, kind, ordinal, sender FROM relay.events ORDER BY 1")
                        == [[1, 6, 0, 1], [2, 5, 0, 1], [3, 5, 0, 1]])
                try await bench.send(11, from: 2, "1")
                // What changes nothing makes no event.
                let nothing = try await bench.change(
                    11, "nothing", name: "g",
                    [(2, .joined, .admin), (9, .left, .unspecified), (8, .banned, .unspecified), (1, .role, .owner)])
                #expect(nothing.seq == 4 && !nothing.duplicate)
                #expect(try await bench.change(11, "nothing", name: "g").duplicate)
                // One who joins has read what was there, and sees from the join on.
                let mixed = try await bench.change(
                    11, "mixed", by: 9, name: "h",
                    [(3, .joined, .member), (2, .role, .admin), (1, .left, .unspecified)])
                #expect(mixed.seq == 8)
                #expect(
                    try await rows(
                        bench,
                        """
                        SELECT user_id, joined_seq, read_seq, read_ordinal, role, coalesce(left_seq, 0)
                        FROM relay.members ORDER BY 1
                        """) == [[1, 0, 0, 0, 3, 8], [2, 0, 0, 0, 2, 0], [3, 5, 5, 1, 1, 0]])
                #expect(
                    try await rows(bench, "SELECT head, ordinal, membership, member_count FROM relay.conversations")
                        == [[8, 1, 3, 2]])
                let body = try await bench.database.query("SELECT body FROM relay.events WHERE seq = 6").rows
                #expect(try body.first?.optionalBytes(0) != nil)
                await expectFailure(.forbidden) { try await bench.send(11, from: 1, "x") }
                // Back again: as new.
                try await bench.change(11, "back", [(1, .joined, .member)])
                #expect(
                    try await rows(
                        bench, "SELECT joined_seq, coalesce(left_seq, 0), role FROM relay.members WHERE user_id = 1")
                        == [[8, 0, 1]])
                // The end.
                #expect(try await bench.change(11, "end", name: "h", deleted: true).seq == 10)
                #expect(try await value(bench, "SELECT count(*) FROM relay.members WHERE left_seq = 10") == 3)
                #expect(try await value(bench, "SELECT member_count FROM relay.conversations") == 0)
                await expectFailure(.forbidden) { try await bench.send(11, from: 3, "x") }
                await expectFailure(.notFound) { try await bench.change(try await bench.direct(1, 2), "x", name: "x") }
                await expectFailure(.invalid) {
                    try await bench.change(11, "twice", [(5, .joined, .member), (5, .left, .member)])
                }
                await expectFailure(.invalid) { try await bench.change(11, "") }
                try await expectNoGaps(bench)
            }
        }

        @Test func pushesFollowWhoIsIn() async throws {
            try await Bench.run { bench in
                try await bench.attach("a", [1, 2, 3, 4])
                try await bench.change(
                    11, "make", create: true, name: "g", [(1, .joined, .owner), (2, .joined, .member)])
                try await bench.send(11, from: 1, "1")
                try await bench.change(11, "add", [(3, .joined, .member), (4, .joined, .member)])
                try await bench.send(11, from: 1, "2")
                try await bench.change(11, "remove", [(2, .removed, .unspecified), (4, .left, .unspecified)])
                try await bench.send(11, from: 1, "3")
                try await bench.change(11, "back", [(2, .joined, .member)])
                try await bench.change(11, "end", name: "g", deleted: true)
                try await eventually { bench.pushed.seqs(of: 3).last == 12 }
                #expect(bench.pushed.seqs(of: 1) == Array(1...12))
                #expect(bench.pushed.seqs(of: 2) == Array(1...8) + [11, 12])
                #expect(bench.pushed.seqs(of: 3) == Array(5...12))
                #expect(bench.pushed.seqs(of: 4) == Array(6...9))
                let events = bench.pushed.deliveries("a").map(\.event)
                #expect(events.first { $0.seq == 1 }?.group.name == "g")
                #expect(events.first { $0.seq == 8 }?.member.change == .removed)
                #expect(events.allSatisfy { $0.kind != .member || $0.clientID.isEmpty })
            }
        }

        /// What another relay changed is read, and so is who left with an event that is still to be pushed.
        @Test func pushesFollowChangesOfAnotherRelay() async throws {
            try await Bench.run(relays: 2) { bench in
                try await bench.attach("a", [1, 2, 3])
                try await bench.change(
                    11, "make", create: true, name: "g", [(1, .joined, .owner), (2, .joined, .member)])
                try await bench.send(11, from: 1, "1")
                try await bench.change(11, "swap", on: 1, [(3, .joined, .member), (2, .removed, .unspecified)])
                try await bench.send(11, from: 1, "2")
                try await bench.change(11, "on", name: "h", on: 1)
                try await eventually { bench.pushed.seqs(of: 3).contains(8) }
                try await eventually { bench.pushed.seqs(of: 3).count == 4 }
                #expect(Set(bench.pushed.seqs(of: 1)) == Set(1...8))
                #expect(Set(bench.pushed.seqs(of: 2)) == Set(1...6))
                #expect(Set(bench.pushed.seqs(of: 3)) == Set(5...8))
                // Told again, it is pushed again, to the same.
                #expect(
                    try await bench.change(11, "swap", [(3, .joined, .member), (2, .removed, .unspecified)]).duplicate)
                try await eventually { bench.pushed.seqs(of: 2).filter { $0 == 6 }.count == 2 }
                #expect(Set(bench.pushed.seqs(of: 2)) == Set(1...6))
            }
        }

        @Test func changesAndMessagesOnTwoRelaysAtOnceLeaveNoGap() async throws {
            try await Bench.run(relays: 2) { bench in
                try await bench.attach("a", Array(1...40))
                try await bench.change(
                    11, "make", create: true, name: "g", (UInt64(1)...20).map { ($0, .joined, .member) })
                try await withThrowingTaskGroup { group in
                    for user in UInt64(1)...10 {
                        group.addTask {
                            for index in 0..<20 {
                                let seq = try await bench.send(11, from: user, "\(index)", on: index % 2).seq
                                try await bench.amend(
                                    11, seq, from: user, .edit, ref: "\(index)", text: "x", on: (index + 1) % 2)
                            }
                        }
                    }
                    for user in UInt64(11)...40 {
                        group.addTask {
                            for index in 0..<6 {
                                let isIn = (index % 2 == 0) == (user <= 20)
                                try await bench.change(
                                    11, "\(user)-\(index)", by: user, on: (Int(user) + index) % 2,
                                    [(user, isIn ? .left : .joined, .member)])
                                // As a service does that did not see the answer.
                                let again = try await bench.change(
                                    11, "\(user)-\(index)", by: user, on: index % 2,
                                    [(user, isIn ? .left : .joined, .member)])
                                #expect(again.duplicate)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                try await expectNoGaps(bench)
                let head = Int(try await value(bench, "SELECT head FROM relay.conversations") ?? 0)
                #expect(head == 21 + 400 + 180)
                #expect(try await value(bench, "SELECT member_count FROM relay.conversations") == 20)
                #expect(try await value(bench, "SELECT count(*) FROM relay.members WHERE left_seq IS NULL") == 20)
                let windows = try await windows(bench)
                try await eventually { Set(bench.pushed.seqs(of: 1)).count == head }
                // Nobody is pushed what they may not see, at any time.
                for user in UInt64(11)...40 {
                    let allowed = try #require(windows[user])
                    for seq in bench.pushed.seqs(of: user) {
                        #expect(allowed.contains { seq > $0.0 && seq <= $0.1 }, "user \(user) was pushed \(seq)")
                    }
                }
            }
        }

        /// However a message and its sender's removal race, the message is before it or refused.
        @Test func whoIsRemovedSaysNothingAfterIt() async throws {
            try await Bench.run(relays: 2) { bench in
                try await bench.change(
                    11, "make", create: true, name: "g", (UInt64(1)...10).map { ($0, .joined, .member) })
                try await withThrowingTaskGroup { group in
                    for user in UInt64(2)...10 {
                        group.addTask {
                            var index = 0
                            do {
                                while true {
                                    index += 1
                                    try await bench.send(11, from: user, "\(index)", on: index % 2)
                                }
                            } catch {
                                #expect((error as? RPCError)?.code == .forbidden)
                            }
                        }
                    }
                    for user in UInt64(2)...10 {
                        try await bench.change(
                            11, "remove \(user)", on: Int(user) % 2, [(user, .removed, .unspecified)])
                    }
                    try await group.waitForAll()
                }
                #expect(
                    try await value(
                        bench,
                        """
                        SELECT count(*) FROM relay.members m
                        JOIN relay.events e ON e.conversation = m.conversation AND e.sender = m.user_id AND e.seq > m.left_seq
                        """) == 0)
                try await expectNoGaps(bench)
            }
        }

        @Test func aLostConnectionDoublesNothing() async throws {
            try await Bench.run { bench in
                try await bench.change(
                    11, "make", create: true, name: "g", (UInt64(1)...8).map { ($0, .joined, .member) })
                let first = try await bench.send(11, from: 1, "first").seq
                let isOver = NIOLockedValueBox(false)
                try await withThrowingTaskGroup { group in
                    for user in UInt64(1)...4 {
                        group.addTask {
                            for index in 0..<40 {
                                try await until { try await bench.send(11, from: user, "\(index)", mentions: [8]) }
                                guard index < Limits.reactionsPerUser else { continue }
                                try await until {
                                    try await bench.amend(11, first, from: user, .reaction, emoji: "\(index)")
                                }
                            }
                        }
                    }
                    group.addTask {
                        for index in 0..<40 {
                            try await until {
                                try await bench.change(
                                    11, "c\(index)", [(20, index % 2 == 0 ? .joined : .left, .member)])
                            }
                        }
                    }
                    group.addTask {
                        for _ in 0..<10 where !isOver.withLockedValue({ $0 }) {
                            _ = try await bench.database.query(
                                """
                                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                                WHERE application_name LIKE 'roost-relay-append-%' AND datname = current_database()
                                """)
                            try await Task.sleep(for: .milliseconds(40))
                        }
                    }
                    for _ in 0..<5 { try await group.next() }
                    isOver.withLockedValue { $0 = true }
                    try await group.waitForAll()
                }
                try await expectNoGaps(bench)
                #expect(try await value(bench, "SELECT count(*) FROM relay.events WHERE kind = 1") == 161)
                #expect(try await value(bench, "SELECT count(*) FROM relay.events WHERE kind = 4") == 80)
                #expect(try await value(bench, "SELECT count(*) FROM relay.events WHERE kind = 5") == 48)
                #expect(try await value(bench, "SELECT count(*) FROM relay.mentions") == 160)
            }
        }

        @Test func receiptsOfSmallGroupsAreToldAndShownBothWays() async throws {
            try await Bench.run { bench in
                try await bench.attach("a", [1, 2, 3, Bench.shy])
                try await bench.group(11, [1, 2, 3, Bench.shy])
                try await bench.group(13, [1, 2] + Array(100...140))
                try await bench.send(11, from: 1, "1")
                try await bench.send(13, from: 1, "2")
                try await bench.acknowledge(13, user: 2, device: 20, delivered: 1, read: 1)
                try await bench.acknowledge(11, user: Bench.shy, device: 1, delivered: 1, read: 1)
                try await bench.acknowledge(11, user: 2, device: 20, delivered: 1, read: 1)
                try await eventually { bench.pushed.receipts("a").count == 4 }
                let told = bench.pushed.receipts("a")
                // Of the large one, and of who shows nothing, only the reader's own devices are told.
                #expect(told[0].conversation == 13 && told[0].handles == [2] && told[0].delivered == 0)
                #expect(told[1].user == Bench.shy && told[1].handles == [UInt32(Bench.shy)])
                #expect(told[2].user == 2 && told[2].delivered == 1 && Set(told[2].handles) == [1, 3])
                #expect(told[3].user == 2 && told[3].read == 1 && told[3].handles == [2])
            }
        }

        @Test func signalsOfAUserReachTheirOwnDevices() async throws {
            var configuration = RelayConfiguration()
            configuration.typingMembers = 3
            try await Bench.run(configuration: configuration) { bench in
                try await bench.attach("a", [1, 2, 3, 4])
                try await bench.group(11, [1, 2, 3])
                try await bench.group(13, [1, 2, 3, 4])
                var mute = RelayMuteRequest()
                mute.conversation = 11
                mute.user = 1
                mute.untilMs = 99
                _ = try await bench.relay.mute(mute, context: bench.context())
                mute.untilMs = 0
                _ = try await bench.relay.mute(mute, context: bench.context())
                try await eventually { bench.pushed.mutes("a").count == 2 }
                #expect(bench.pushed.mutes("a").map(\.untilMs) == [99, 0])
                #expect(bench.pushed.mutes("a").allSatisfy { $0.handles == [1] && $0.conversation == 11 })
                var typing = RelayTypingRequest()
                typing.user = 1
                for conversation in [13, 11] as [UInt64] {
                    typing.conversation = conversation
                    _ = try await bench.relay.typing(typing, context: bench.context())
                }
                #expect(bench.pushed.typings("a").map(\.conversation) == [11])
                #expect(bench.pushed.typings("a").map { Set($0.handles) } == [[2, 3]])
            }
        }

        @Test func aNewDeviceIsGivenTheEndOfWhatIsLong() async throws {
            var configuration = RelayConfiguration()
            configuration.newDeviceEvents = 5
            try await Bench.run(configuration: configuration) { bench in
                let long = try await bench.direct(1, 2)
                let short = try await bench.direct(1, 3)
                for index in 0..<12 { try await bench.send(long, from: 2, "\(index)") }
                for index in 0..<4 { try await bench.send(short, from: 3, "\(index)") }
                var request = RelayAddDeviceRequest()
                request.user = 1
                request.device = 77
                _ = try await bench.relay.addDevice(request, context: bench.context())
                let events = try await bench.sync(user: 1, device: 77).flatMap(\.events)
                #expect(events.filter { $0.conversation == long }.map(\.seq) == Array(8...12))
                #expect(events.filter { $0.conversation == short }.map(\.seq) == Array(1...4))
                // Again: what it has acknowledged meanwhile holds.
                try await bench.acknowledge(long, user: 1, device: 77, delivered: 12)
                _ = try await bench.relay.addDevice(request, context: bench.context())
                #expect(try await bench.sync(user: 1, device: 77).flatMap(\.events).count == 4)
            }
        }

        @Test func unreadIsCountedAlsoWhereTheEventReadIsNoLongerKept() async throws {
            try await Bench.run { bench in
                let id = try await bench.direct(1, 2)
                for index in 0..<10 { try await bench.send(id, from: 2, "\(index)") }
                _ = try await bench.database.query("DELETE FROM relay.events WHERE seq <= 4")
                try await bench.acknowledge(id, user: 1, device: 10, read: 4)
                #expect(try await bench.conversations(user: 1).first?.unread == 6)
                // One who joins has nothing unread.
                try await bench.change(11, "make", create: true, name: "g", [(1, .joined, .owner)])
                for index in 0..<5 { try await bench.send(11, from: 1, "\(index)") }
                try await bench.change(11, "join", [(5, .joined, .member)])
                #expect(try await bench.conversations(user: 5).first?.unread == 0)
                try await bench.send(11, from: 1, "new")
                #expect(try await bench.conversations(user: 5).first?.unread == 1)
            }
        }

        @Test func aThousandMembersChangeInOneStatement() async throws {
            try await Bench.run { bench in
                let thousand = (UInt64(1)...1000).map { ($0, LogMemberChange.joined, LogGroupRole.member) }
                var times: [Duration] = []
                for (group, id) in [(11, "a"), (13, "b"), (15, "c")] as [(UInt64, String)] {
                    let start = ContinuousClock.now
                    #expect(try await bench.change(group, id, create: true, name: "g", thousand).seq == 1001)
                    times.append(ContinuousClock.now - start)
                }
                let most = (UInt64(1)...10_000).map { ($0, LogMemberChange.joined, LogGroupRole.member) }
                let start = ContinuousClock.now
                #expect(try await bench.change(17, "d", create: true, name: "g", most).seq == 10_001)
                print("1,000 members joined in \(times.min() ?? .zero), 10,000 in \(ContinuousClock.now - start)")
                #expect(try await value(bench, "SELECT member_count FROM relay.conversations WHERE id = 17") == 10_000)
                try await expectNoGaps(bench)
            }
        }

        /// By user the ranges of events (after, until] that the log's member events give them.
        private func windows(_ bench: Bench) async throws -> [UInt64: [(UInt64, UInt64)]] {
            let result = try await bench.database.query(
                "SELECT seq, body FROM relay.events WHERE conversation = 11 AND kind = 5 ORDER BY seq")
            var windows: [UInt64: [(UInt64, UInt64)]] = [:]
            for row in result.rows {
                let seq = UInt64(try row.int8(0))
                let member = try LogMember(serializedBytes: try row.bytes(1))
                if member.change == .joined {
                    windows[member.user, default: []].append((seq <= 21 ? 0 : seq - 1, .max))
                } else {
                    let last = (windows[member.user]?.count ?? 0) - 1
                    windows[member.user]?[last].1 = seq
                }
            }
            return windows
        }

        private func rows(_ bench: Bench, _ query: Statement) async throws -> [[Int64]] {
            let result = try await bench.database.query(query)
            return try result.rows.map { row in try (0..<result.columns.count).map { try row.int8($0) } }
        }

        /// As a client does: until there is an answer.
        private func until(_ body: () async throws -> some Any) async throws {
            while true {
                do {
                    _ = try await body()
                    return
                } catch let error as RPCError where error.code == .unavailable {
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }
    }
}

import Client
import Foundation
import NIOConcurrencyHelpers
import Testing

extension ClusterSuite {
    /// A large group in motion.
    @Suite struct GroupScenarios {
        private static let members = 1000
        private static let comers = 100
        /// Rounds of messages, one by each of the senders, spread over the coming and going.
        private static let rounds = 20

        /// Everybody gets every message once and in order while members come and go; who was removed gets nothing after
        /// that, who comes begins with the join and ends with the leaving.
        @Test(.timeLimit(.minutes(4))) func aThousandMembersSeeOneOrder() async throws {
            let cluster = try await TestCluster.shared()
            let people = try await forEach(Array(0..<Self.members + Self.comers), atATime: 16) {
                try await People.register(cluster, "m\($0)")
            }
            let (owner, comers) = (people[0], Array(people[Self.members...]))
            let id = try await Groups.create(
                by: owner, members: Array(people[1..<Self.members]), visibility: "public")
            // One event for what the group is and one for each member.
            let first = UInt64(Self.members + 1)

            let witness = try await ChatConnection.connect(owner, node: "chat-1", cursors: [id: Int(first)])
            let listeners = try await forEach(Array(people[1...].enumerated()), atATime: 32) { index, account in
                try await Listener.connect(
                    account, node: "chat-\(index % 3 + 1)", conversation: id,
                    held: index < Self.members - 1 ? first : nil)
            }
            let listening = Array(listeners[..<(Self.members - 1)])
            let visitors = Array(listeners[(Self.members - 1)...])
            let victim = listening[Self.members / 2]
            let senders = try await forEach([1, 2, 3], atATime: 3) {
                try await ChatConnection.connect(people[$0], node: "chat-\($0)", cursors: [id: Int(first)])
            }

            let (ticks, tick) = AsyncStream.makeStream(of: Int.self)
            let done = NIOLockedValueBox(0)
            async let churn: Void = {
                defer { tick.finish() }
                _ = try await forEach(comers, atATime: 8) { comer in
                    let joined = try await comer.call("POST", "\(Groups.path)/\(id)/join")
                    #expect(joined.status == 200)
                    let left = try await Groups.remove(comer, from: id, by: comer)
                    #expect(left.status == 204)
                    let count = done.withLockedValue { done in
                        done += 1
                        return done
                    }
                    if count % (Self.comers / Self.rounds) == 0 { tick.yield(count) }
                }
            }()
            var sent = 0
            for await count in ticks {
                if count == Self.comers / 2 {
                    let removed = try await Groups.remove(victim.account, from: id, by: owner)
                    #expect(removed.status == 204)
                }
                let acks = try await forEach(senders, atATime: 3) {
                    try await $0.message(conversation: id, "after \(count)")
                }
                #expect(acks.allSatisfy { $0["type"] == "ack" })
                sent += acks.count
            }
            try await churn
            let end = try await witness.message(conversation: id, "the end")
            let head = try #require(end["seq"].int).magnitude
            // The comings and goings, the removal, the messages: nothing else happened.
            #expect(sent == Self.rounds * 3 && Int(head - UInt(first)) == 2 * Self.comers + 1 + sent + 1)

            let members = listening.filter { $0 !== victim }
            try await eventually(within: .seconds(60)) {
                let behind = members.count { $0.seqs.last != UInt64(head) }
                if behind > 0 { throw NotYet("\(behind) members lack something") }
            }
            let all = Array((first + 1)...UInt64(head))
            #expect(members.count { $0.seqs != all } == 0)
            try await witness.wait("all of it") { frames, _ in
                frames.contains { $0["type"] == "event" && $0["seq"].int == Int(head) }
            }
            try Promise.inOrder(witness.events(in: id), from: Int(first) + 1)

            // What comes to them elsewhere shows that their connections have caught up.
            let outside = [victim] + visitors
            _ = try await forEach(outside, atATime: 8) { listener in
                try await witness.message(to: listener.account.user, "are you there?")
            }
            try await eventually {
                let waiting = outside.count { $0.others == 0 }
                if waiting > 0 { throw NotYet("\(waiting) have not heard") }
            }
            let changes = witness.events(in: id).filter { $0["kind"] == "member" }
            func seq(_ change: String, _ account: Account) throws -> UInt64 {
                let event = changes.first { $0["change"].string == change && $0["user"].string == account.user }
                return UInt64(try #require(event?["seq"].int))
            }
            #expect(victim.seqs == Array((first + 1)...(try seq("removed", victim.account))))
            for visitor in visitors {
                let stay = try seq("joined", visitor.account)...(try seq("left", visitor.account))
                #expect(visitor.seqs == Array(stay))
            }
            #expect(listeners.allSatisfy { $0.closeCode == nil })
            for listener in listeners { listener.close() }
            for connection in senders + [witness] { try await connection.close() }
        }
    }
}

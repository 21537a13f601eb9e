import Protocol
import Relay
import Testing

@Suite struct PushQueueTests {
    private func delivery(_ seq: UInt64, text: String = "") -> ChatDelivery {
        var delivery = ChatDelivery()
        delivery.event.conversation = 1
        delivery.event.seq = seq
        delivery.event.body.text = text
        delivery.handles = [1]
        return delivery
    }

    private func seqs(_ action: PushQueue.Action) -> [UInt64]? {
        guard case .send(let request) = action else { return nil }
        return request.deliveries.map(\.event.seq)
    }

    @Test func oneCallAtATimeAndTheRestBehindIt() {
        var queue = PushQueue(incarnation: 9)
        #expect(seqs(queue.add([delivery(1)])) == [1])
        #expect(seqs(queue.add([delivery(2)])) == nil)
        #expect(seqs(queue.add([delivery(3), delivery(4)])) == nil)
        #expect(seqs(queue.succeeded()) == [2, 3, 4])
        #expect(seqs(queue.succeeded()) == nil)
        #expect(seqs(queue.add([delivery(5)])) == [5])
    }

    @Test func aFailedCallIsMadeAgainBeforeAnythingElse() {
        var queue = PushQueue(incarnation: 9)
        _ = queue.add([delivery(1)])
        _ = queue.add([delivery(2)])
        guard case .wait(let first) = queue.failed() else {
            Issue.record("no pause")
            return
        }
        #expect(seqs(queue.add([delivery(3)])) == nil)
        #expect(seqs(queue.resume()) == [1])
        guard case .wait(let second) = queue.failed() else {
            Issue.record("no pause")
            return
        }
        #expect(second > first)
        #expect(seqs(queue.resume()) == [1])
        #expect(seqs(queue.succeeded()) == [2, 3])
    }

    @Test func afterTooManyFailuresEverythingIsDropped() {
        var limits = PushQueue.Limits()
        limits.failures = 2
        var queue = PushQueue(incarnation: 9, limits: limits)
        _ = queue.add([delivery(1)])
        _ = queue.failed()
        _ = queue.resume()
        guard case .lost = queue.failed() else {
            Issue.record("not lost")
            return
        }
        #expect(seqs(queue.add([delivery(2)])) == nil)
        #expect(queue.depth == 0)
    }

    @Test func overflowIsALossAndNotMemory() {
        var limits = PushQueue.Limits()
        limits.queuedDeliveries = 3
        var queue = PushQueue(incarnation: 9, limits: limits)
        _ = queue.add([delivery(1)])
        _ = queue.add([delivery(2), delivery(3), delivery(4)])
        guard case .lost = queue.add([delivery(5)]) else {
            Issue.record("not lost")
            return
        }
        #expect(queue.depth == 0)
        limits = PushQueue.Limits()
        limits.queuedBytes = 1000
        queue = PushQueue(incarnation: 9, limits: limits)
        guard case .lost = queue.add([delivery(1, text: String(repeating: "x", count: 2000))]) else {
            Issue.record("not lost")
            return
        }
    }

    @Test func aCallIsBoundedByCountAndBytes() {
        var limits = PushQueue.Limits()
        limits.callDeliveries = 2
        var queue = PushQueue(incarnation: 9, limits: limits)
        _ = queue.add([delivery(1)])
        _ = queue.add((2...6).map { delivery($0) })
        #expect(seqs(queue.succeeded()) == [2, 3])
        #expect(seqs(queue.succeeded()) == [4, 5])
        #expect(seqs(queue.succeeded()) == [6])
        limits = PushQueue.Limits()
        limits.callBytes = 500
        queue = PushQueue(incarnation: 9, limits: limits)
        _ = queue.add([delivery(1)])
        _ = queue.add((2...4).map { delivery($0, text: String(repeating: "x", count: 300)) })
        #expect(seqs(queue.succeeded()) == [2, 3])
        #expect(seqs(queue.succeeded()) == [4])
    }

    @Test func signalsGoWithTheNextCall() {
        var queue = PushQueue(incarnation: 9)
        _ = queue.add([delivery(1)])
        var receipt = ChatReceipt()
        receipt.read = 4
        _ = queue.add(receipt)
        var typing = ChatTyping()
        typing.active = true
        _ = queue.add(typing)
        guard case .send(let request) = queue.succeeded() else {
            Issue.record("nothing sent")
            return
        }
        #expect(request.incarnation == 9)
        #expect(request.receipts.map(\.read) == [4])
        #expect(request.typings.map(\.active) == [true])
        #expect(request.deliveries.isEmpty)
    }
}

extension PushQueueTests {
    @Test func signalsAreBoundedByBytes() {
        var limits = PushQueue.Limits()
        limits.queuedSignalBytes = 12_000
        var queue = PushQueue(incarnation: 9, limits: limits)
        _ = queue.add([delivery(1)])
        var typing = ChatTyping()
        typing.handles = Array(0..<1000)
        for _ in 0..<5 { _ = queue.add(typing) }
        var mute = ChatMute()
        mute.handles = [1]
        _ = queue.add(mute)
        guard case .send(let request) = queue.succeeded() else {
            Issue.record("nothing sent")
            return
        }
        #expect(request.typings.count == 2 && request.mutes.count == 1)
    }
}

@Suite struct AudienceTests {
    private func roster(_ nodes: [(String, [UInt64])]) -> RosterTable {
        var table = RosterTable()
        for (node, users) in nodes {
            var update = RosterUpdate()
            update.node = node
            update.incarnation = 1
            update.snapshot = true
            update.joined = users.map { user in
                var entry = RosterEntry()
                entry.handle = UInt32(user)
                entry.user = user
                return entry
            }
            _ = table.apply(update)
        }
        return table
    }

    private func event(_ seq: UInt64, from sender: UInt64, _ clientID: String = "") -> LogEvent {
        var event = LogEvent()
        event.seq = seq
        event.sender = sender
        event.clientID = clientID
        return event
    }

    @Test func everyoneGetsTheirWindow() {
        let members: [MembershipCache.Member] = [
            .init(user: 1), .init(user: 2, after: 5), .init(user: 3, until: 5), .init(user: 4, until: 4),
        ]
        let audience = Audience(members, 5...6, roster([("a", [1, 2]), ("b", [3, 4])]))
        var found: [Int32: [ChatDelivery]] = [:]
        for seq in UInt64(5)...6 { audience.add(event(seq, from: 1), to: &found) }
        #expect(found[0]?.map(\.handles) == [[1], [1, 2]])
        #expect(found[1]?.map(\.handles) == [[3]])
    }

    @Test func theSenderAloneLearnsTheClientID() {
        let audience = Audience(
            [.init(user: 1), .init(user: 2), .init(user: 3)], 1...1, roster([("a", [1, 2]), ("b", [3])]))
        var found: [Int32: [ChatDelivery]] = [:]
        audience.add(event(1, from: 1, "id"), to: &found)
        #expect(found[0]?.map(\.handles) == [[1], [2]])
        #expect(found[0]?.map(\.event.clientID) == ["id", ""])
        #expect(found[1]?.map(\.handles) == [[3]])
        #expect(found[1]?.map(\.event.clientID) == [""])
    }
}

@Suite struct MembershipCacheTests {
    @Test func aChangeIsAppliedInOrder() {
        func change(_ seq: UInt64, _ user: UInt64, _ change: LogMemberChange) -> LogEvent {
            var event = LogEvent()
            event.seq = seq
            event.kind = .member
            event.member.user = user
            event.member.change = change
            return event
        }
        for extra in [0, 10] {
            var members = MembershipCache.Members(
                version: 1, kind: 2, members: [.init(user: 1), .init(user: 2, after: 3), .init(user: 3, until: 7)])
            var changes = [change(9, 4, .joined), change(10, 2, .left), change(11, 3, .joined)]
            for index in 0..<extra { changes.append(change(12 + UInt64(index), 1, .role)) }
            members.apply(changes, version: 2)
            #expect(members.version == 2)
            #expect(
                members.members == [
                    .init(user: 1), .init(user: 2, after: 3, until: 10), .init(user: 4, after: 8),
                    .init(user: 3, after: 10),
                ])
            #expect(Array(members.present) == [1, 4, 3])
        }
    }

    @Test func onlyTheVersionAskedForOrALaterOneCounts() {
        var cache = MembershipCache(limit: 100)
        cache.insert(1, .init(version: 2, kind: 1, members: [.init(user: 7), .init(user: 8)]))
        #expect(cache.members(of: 1, version: 2).map { Array($0.present) } == [7, 8])
        #expect(cache.members(of: 1, version: 0).map { Array($0.present) } == [7, 8])
        #expect(cache.members(of: 1, version: 3) == nil)
        cache.insert(1, .init(version: 1, kind: 1, members: [.init(user: 7)]))
        #expect(cache.members(of: 1, version: 2).map { Array($0.present) } == [7, 8])
    }

    @Test func whatIsUsedStaysAndTheRestGoes() {
        var cache = MembershipCache(limit: 30)
        for conversation in UInt64(1)...100 {
            cache.insert(conversation, .init(version: 1, kind: 1, members: [.init(user: 1), .init(user: 2)]))
            #expect(cache.members(of: 1, version: 1) != nil)
        }
        #expect(cache.members(of: 2, version: 1) == nil)
        #expect(cache.members(of: 100, version: 1) != nil)
    }
}

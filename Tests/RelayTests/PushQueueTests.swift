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

@Suite struct MembershipCacheTests {
    @Test func onlyTheVersionAskedForOrALaterOneCounts() {
        var cache = MembershipCache(limit: 100)
        cache.insert(1, .init(version: 2, kind: 1, users: [7, 8]))
        #expect(cache.members(of: 1, version: 2)?.users == [7, 8])
        #expect(cache.members(of: 1, version: 0)?.users == [7, 8])
        #expect(cache.members(of: 1, version: 3) == nil)
        cache.insert(1, .init(version: 1, kind: 1, users: [7]))
        #expect(cache.members(of: 1, version: 2)?.users == [7, 8])
    }

    @Test func whatIsUsedStaysAndTheRestGoes() {
        var cache = MembershipCache(limit: 30)
        for conversation in UInt64(1)...100 {
            cache.insert(conversation, .init(version: 1, kind: 1, users: [1, 2]))
            #expect(cache.members(of: 1, version: 1) != nil)
        }
        #expect(cache.members(of: 2, version: 1) == nil)
        #expect(cache.members(of: 100, version: 1) != nil)
    }
}

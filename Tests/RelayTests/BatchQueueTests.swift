import Protocol
import RPC
import Relay
import Testing

@Suite struct BatchQueueTests {
    @Test func anElementThatMeetsAnIdleQueueStartsARunAlone() {
        var queue = BatchQueue<Int>(batchLimit: 10, queueLimit: 10)
        #expect(queue.submit(1) == .start)
        #expect(queue.next() == [1])
        #expect(queue.submit(2) == .queued)
        #expect(queue.submit(3) == .queued)
        #expect(queue.next() == [2, 3])
        #expect(queue.next() == [])
        #expect(queue.submit(4) == .start)
    }

    @Test func batchesKeepTheOrderAndTheLimit() {
        var queue = BatchQueue<Int>(batchLimit: 3, queueLimit: 100)
        for element in 0..<8 { _ = queue.submit(element) }
        #expect(queue.next() == [0, 1, 2])
        #expect(queue.next() == [3, 4, 5])
        #expect(queue.next() == [6, 7])
        #expect(queue.next() == [])
    }

    @Test func tooManyAreRefusedAndNothingIsAfterTheEnd() {
        var queue = BatchQueue<Int>(batchLimit: 1, queueLimit: 2)
        #expect(queue.submit(1) == .start)
        #expect(queue.submit(2) == .queued)
        #expect(queue.submit(3) == .refused)
        #expect(queue.next() == [1])
        #expect(queue.submit(4) == .queued)
        #expect(queue.close() == [2, 4])
        #expect(queue.submit(5) == .refused)
        #expect(queue.next() == [])
    }
}

@Suite struct AppendBatchTests {
    private func request(_ sender: UInt64, _ clientID: String, conversation: UInt64 = 1) -> RelayAppendRequest {
        var request = RelayAppendRequest()
        request.conversation = conversation
        request.sender = sender
        request.clientID = clientID
        request.kind = .message
        request.body.text = "\(sender) \(clientID)"
        return request
    }

    private func stored(_ seq: UInt64, _ verdict: AppendOutcome.Verdict = .stored) -> AppendOutcome {
        AppendOutcome(verdict: verdict, conversation: 1, seq: seq, sentAt: 5, membership: 1)
    }

    @Test func aRepeatedClientIDIsOneRowAndTheSecondADuplicate() throws {
        let batch = AppendBatch([request(1, "a"), request(2, "a"), request(1, "a"), request(1, "")])
        #expect(batch.rows.count == 3)
        let outcomes = [stored(1), stored(2), stored(3)]
        #expect(try batch.response(at: 0, outcomes).get().duplicate == false)
        #expect(try batch.response(at: 2, outcomes).get().duplicate)
        #expect(try batch.response(at: 2, outcomes).get().seq == 1)
        #expect(try batch.response(at: 3, outcomes).get().seq == 3)
        #expect(batch.pushes(outcomes).stored.map(\.event.seq) == [1, 2, 3])
    }

    @Test func verdictsReachTheirCallersAlone() throws {
        let batch = AppendBatch([request(1, "a"), request(2, "b"), request(3, "c"), request(4, "d")])
        let outcomes = [stored(1), stored(0, .notFound), stored(0, .forbidden), stored(9, .duplicate)]
        #expect(throws: RPCError.self) { try batch.response(at: 1, outcomes).get() }
        guard case .failure(let error) = batch.response(at: 2, outcomes) else {
            Issue.record("no failure")
            return
        }
        #expect(error.code == .forbidden)
        let pushes = batch.pushes(outcomes)
        #expect(pushes.stored.count == 1)
        #expect(pushes.known.map(\.seq) == [9])
        #expect(pushes.stored.first?.event.body.text == "1 a")
    }
}

@Suite struct AcknowledgementBatchTests {
    @Test func theFurthestOfADeviceCounts() {
        func acknowledgement(_ device: UInt64, _ delivered: UInt64, _ read: UInt64) -> RelayAcknowledgement {
            var value = RelayAcknowledgement()
            value.user = 1
            value.device = device
            value.conversation = 7
            value.delivered = delivered
            value.read = read
            return value
        }
        let merged = AcknowledgementBatch([
            acknowledgement(1, 5, 0), acknowledgement(2, 1, 1), acknowledgement(1, 3, 4),
        ]).merged
        #expect(merged.count == 2)
        #expect(merged[0].delivered == 5 && merged[0].read == 4)
        #expect(merged[1].delivered == 1 && merged[1].read == 1)
    }
}

@Suite struct ConversationCursorTests {
    @Test func itSurvivesItsText() {
        let cursor = ConversationCursor(activeAt: 1_795_000_000_123, conversation: UInt64(Int64.max))
        #expect(ConversationCursor(cursor.text) == cursor)
    }

    @Test(arguments: ["", ".", "a", "a.b.c", "-1.5", "zzzzzzzzzzzzzz.1", "1.zzzzzzzzzzzzzzzzz", "1. 1", "é.1"])
    func otherTextIsNone(text: String) {
        #expect(ConversationCursor(text) == nil)
    }
}

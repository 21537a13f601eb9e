import ChatModel
import Protocol
import Testing

@testable import ChatNode

@Suite struct SendLanesTests {
    private func item(_ ref: String, conversation: UInt64 = 0, to: UInt64 = 0) -> SendLanes.Item {
        var request = MessagesSendRequest()
        request.conversation = conversation
        request.to = to
        return SendLanes.Item(ref: ref, call: .send(request))
    }

    private func deletion(_ ref: String, conversation: UInt64) -> SendLanes.Item {
        var request = MessagesAmendRequest()
        request.conversation = conversation
        request.deletion = .init()
        return SendLanes.Item(ref: ref, call: .amend(request))
    }

    private func called(_ outcome: SendLanes.Outcome) -> String? {
        if case .call(_, let item) = outcome { item.ref } else { nil }
    }

    @Test func oneCallAtATimeForEachConversation() {
        var lanes = SendLanes()
        #expect(called(lanes.add(item("a1", conversation: 1))) == "a1")
        #expect(called(lanes.add(item("a2", conversation: 1))) == nil)
        #expect(called(lanes.add(item("b1", conversation: 2))) == "b1")
        #expect(called(lanes.add(item("a3", conversation: 1))) == nil)
        #expect(lanes.succeeded(.conversation(1), conversation: 1)?.ref == "a2")
        #expect(lanes.refused(.conversation(1))?.ref == "a3")
        #expect(lanes.succeeded(.conversation(1), conversation: 1) == nil)
        #expect(lanes.succeeded(.conversation(2), conversation: 2) == nil)
        #expect(lanes.isEmpty)
    }

    @Test func bothNamesOfAConversationShareALane() {
        var lanes = SendLanes()
        #expect(called(lanes.add(item("1", to: 9))) == "1")
        #expect(called(lanes.add(item("2", to: 9))) == nil)
        #expect(lanes.succeeded(.user(9), conversation: 5)?.ref == "2")
        #expect(called(lanes.add(item("3", conversation: 5))) == nil)  // behind the second
        _ = lanes.succeeded(.user(9), conversation: 5)
        #expect(lanes.succeeded(.user(9), conversation: 5) == nil)
        #expect(called(lanes.add(item("4", conversation: 5))) == "4")
    }

    @Test func whatAmendsWaitsForWhatItAmends() {
        var lanes = SendLanes()
        _ = lanes.add(item("1", to: 9))
        _ = lanes.add(item("2", to: 9))
        #expect(lanes.succeeded(.user(9), conversation: 6)?.ref == "2")
        #expect(called(lanes.add(deletion("3", conversation: 6))) == nil)
        #expect(called(lanes.add(deletion("4", conversation: 8))) == "4")
        #expect(lanes.succeeded(.user(9), conversation: 6)?.ref == "3")
        #expect(lanes.refused(.user(9)) == nil)
    }

    @Test func groupsAreToldByTheirID() {
        let items = [item("1", conversation: 7), item("2", conversation: 8), item("3", to: 9)]
        #expect(items.map(\.isForGroup) == [true, false, false])
        #expect(deletion("4", conversation: 7).isForGroup)
    }

    @Test func aFailureTakesThoseBehindWithIt() {
        var lanes = SendLanes(limit: 2)
        _ = lanes.add(item("1", conversation: 1))
        _ = lanes.add(item("2", conversation: 1))
        _ = lanes.add(item("3", conversation: 1))
        guard case .full = lanes.add(item("4", conversation: 1)) else { return #expect(Bool(false)) }
        #expect(lanes.failed(.conversation(1)).map(\.ref) == ["2", "3"])
        #expect(called(lanes.add(item("5", conversation: 1))) == "5")
        guard case .queued = lanes.add(item("6", conversation: 1)) else { return #expect(Bool(false)) }
    }
}

@Suite struct RateLimiterTests {
    @Test func burstsPassAndTheRateHolds() {
        var limiter = RateLimiter()
        var configuration = RateLimiter.Configuration()
        configuration.unitsPerSecond = 100
        configuration.unitBurst = 200
        var passed = 0
        for _ in 0..<30 where limiter.take(units: 10, bytes: 1, now: 0, configuration) == nil { passed += 1 }
        #expect(passed == 20)
        let wait = limiter.take(units: 10, bytes: 1, now: 0, configuration)
        #expect(wait.map { (100...101).contains($0) } == true)
        #expect(limiter.take(units: 10, bytes: 1, now: 100_000, configuration) == nil)
        #expect(limiter.take(units: 10, bytes: 1, now: 100_000, configuration) != nil)
        limiter.giveBack(units: 10, bytes: 1, configuration)
        #expect(limiter.take(units: 10, bytes: 1, now: 100_000, configuration) == nil)
        #expect(!limiter.isIdle(now: 2_000_000))
        #expect(limiter.isIdle(now: 2_200_000))
    }

    @Test func bytesCount() {
        var limiter = RateLimiter()
        let configuration = RateLimiter.Configuration()
        var waits: [Int64?] = []
        for _ in 0..<40 { waits.append(limiter.take(units: 1, bytes: 64 * 1024, now: 1, configuration)) }
        #expect(waits.prefix(32).allSatisfy { $0 == nil })
        #expect(waits.dropFirst(32).allSatisfy { $0 != nil })
    }

    @Test func whoGoesOnIsFlooding() {
        var refusals = RefusalCount()
        var answers: [Bool] = []
        for _ in 0..<5 { answers.append(refusals.isFlooding(now: 20_000_000, limit: 3)) }
        #expect(answers == [false, false, false, true, true])
        #expect(refusals.isFlooding(now: 31_000_000, limit: 3) == false)
    }
}

@Suite struct UserTableTests {
    private func table(_ change: (inout ChatLimits) -> Void) -> UserTable {
        var limits = ChatLimits()
        change(&limits)
        return UserTable(limits: limits)
    }

    @Test func connectionsAreCounted() {
        let table = table { $0.connectionsPerUser = 2 }
        let (user, other) = (UserID(rawValue: 1), UserID(rawValue: 2))
        #expect([table.open(user), table.open(user), table.open(user)] == [true, true, false])
        #expect(table.open(other))
        table.close(user)
        #expect(table.open(user))
    }

    @Test func devicesDoNotMultiplyAndComingBackDoesNotRenew() {
        let table = table { $0.user.unitBurst = 100 }
        let user = UserID(rawValue: 1)
        #expect(table.open(user))
        var passed = 0
        for _ in 0..<30 where table.take(user, units: 10, bytes: 1, now: 0) == nil { passed += 1 }
        #expect(passed == 10)
        table.close(user)
        table.forget(now: 1)
        #expect(table.open(user))
        #expect(table.take(user, units: 10, bytes: 1, now: 1) != nil)
        table.close(user)
        table.forget(now: 1_000_000)
        #expect(table.count == 0)
    }
}

@Suite struct AcknowledgementBufferTests {
    private func acknowledgement(_ device: UInt64, _ conversation: UInt64, _ delivered: UInt64, _ read: UInt64)
        -> RelayAcknowledgement
    {
        var value = RelayAcknowledgement()
        value.device = device
        value.conversation = conversation
        value.delivered = delivered
        value.read = read
        return value
    }

    @Test func onlyTheFurthestIsKept() {
        var buffer = AcknowledgementBuffer()
        buffer.add(acknowledgement(1, 1, 5, 0))
        buffer.add(acknowledgement(1, 1, 3, 3))
        buffer.add(acknowledgement(2, 1, 1, 0))
        let drained = buffer.drain { _ in 0 }
        #expect(drained.count == 1 && drained[0].count == 2)
        #expect(drained[0].contains(acknowledgement(1, 1, 5, 3)))
        #expect(buffer.isEmpty)
    }

    @Test func batchesAreByPeerAndBounded() {
        var buffer = AcknowledgementBuffer(limit: 100)
        for conversation in 1...150 as ClosedRange<UInt64> { buffer.add(acknowledgement(1, conversation, 1, 0)) }
        #expect(buffer.count == 100)
        let drained = buffer.drain(size: 30) { $0.rawValue % 2 }
        #expect(drained.map(\.count).sorted() == [20, 20, 30, 30])
        #expect(drained.allSatisfy { batch in Set(batch.map { $0.conversation % 2 }).count == 1 })
    }
}

@Suite struct WatchTableTests {
    @Test func hiddenUsersAreNotReported() {
        var table = WatchTable()
        let user = UserID(rawValue: 1)
        table.watch(user, by: 1, viewer: UserID(rawValue: 11))
        table.watch(user, by: 2, viewer: UserID(rawValue: 12))
        #expect(table.watchers(of: user).isEmpty)
        #expect(Set(table.viewers(of: user).map(\.viewer.rawValue)) == [11, 12])
        let watched = [table.answered(user, by: 1, isHidden: false), table.answered(user, by: 2, isHidden: true)]
        #expect(watched == [true, true])
        #expect(table.watchers(of: user) == [1])
        table.unwatch(user, by: 1)
        let isStillWatched = table.answered(user, by: 1, isHidden: false)
        #expect(!isStillWatched)
        table.unwatch(user, by: 2)
        #expect(table.isEmpty)
    }
}

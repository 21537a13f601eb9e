import Testing

@testable import Postgres

@Suite struct PoolStateMachineTests {
    private func machine(capacity: Int = 2, queueLimit: Int = 10) -> PoolStateMachine {
        PoolStateMachine(
            capacity: capacity, queueLimit: queueLimit,
            backoff: Backoff(base: .milliseconds(100), limit: .seconds(2)))
    }

    /// `#expect` can't call a mutating method by itself.
    private func abandon(_ id: UInt64, in pool: inout PoolStateMachine) -> Bool { pool.abandon(id) }

    @Test func growsWithDemandAndReusesTheLast() {
        var pool = machine()
        #expect(pool.start() == [.connect(slot: 0)])
        #expect(pool.start() == [])
        #expect(pool.connected(slot: 0) == [])
        #expect(pool.request(1) == [.lease(1, slot: 0)])
        #expect(pool.request(2) == [.connect(slot: 1)])
        #expect(pool.request(3) == [])  // all slots are taken
        #expect(pool.connected(slot: 1) == [.lease(2, slot: 1)])
        #expect(pool.released(slot: 1) == [.lease(3, slot: 1)])
        #expect(pool.released(slot: 0) == [])
        #expect(pool.released(slot: 1) == [])
        #expect(pool.request(4) == [.lease(4, slot: 1)])
    }

    @Test func requestsBeforeStartWait() {
        var pool = machine()
        #expect(pool.request(1) == [])
        #expect(pool.request(2) == [])
        #expect(pool.start() == [.connect(slot: 0), .connect(slot: 1)])
    }

    @Test func queueIsBoundedAndAbandonedRequestsFreeIt() {
        var pool = machine(capacity: 1, queueLimit: 2)
        _ = pool.start()
        for id in 1...2 { #expect(pool.request(UInt64(id)) == []) }
        #expect(pool.request(3) == [.refuse(3, .queueFull)])
        #expect(abandon(1, in: &pool))
        #expect(!abandon(1, in: &pool))
        #expect(!abandon(3, in: &pool))
        #expect(pool.request(4) == [])
        #expect(pool.connected(slot: 0) == [.lease(2, slot: 0)])
        #expect(pool.released(slot: 0) == [.lease(4, slot: 0)])
        #expect(!abandon(4, in: &pool))
    }

    @Test func pausesGrowAndOneConnectionProbes() {
        var pool = machine(capacity: 4)
        _ = pool.start()
        for id in 1...4 { _ = pool.request(UInt64(id)) }
        #expect(pool.slots == [.connecting, .connecting, .connecting, .connecting])
        #expect(pool.connectFailed(slot: 0, jitter: 0) == [.retry(after: .milliseconds(50))])
        for slot in 1...3 { #expect(pool.connectFailed(slot: slot, jitter: 0) == []) }  // one pause for all
        #expect(pool.request(5) == [])
        #expect(pool.retryDue() == [.connect(slot: 0)])
        #expect(pool.retryDue() == [])
        #expect(pool.connectFailed(slot: 0, jitter: 0.5) == [.retry(after: .milliseconds(1200))])
        #expect(pool.retryDue() == [.connect(slot: 0)])
        #expect(
            pool.connected(slot: 0) == [.lease(1, slot: 0), .connect(slot: 1), .connect(slot: 2), .connect(slot: 3)])
        #expect(pool.failedAttempts == 0)
    }

    @Test func backoff() {
        let backoff = Backoff(base: .milliseconds(100), limit: .seconds(2))
        #expect(backoff.pause(afterFailures: 1, jitter: 0) == .milliseconds(50))
        #expect(backoff.pause(afterFailures: 1, jitter: 1) == .milliseconds(100))
        #expect(backoff.pause(afterFailures: 3, jitter: 1) == .milliseconds(400))
        #expect(backoff.pause(afterFailures: 1000, jitter: 1) == .seconds(2))
    }

    @Test func lostConnectionsAreReplaced() {
        var pool = machine()
        _ = pool.start()
        _ = pool.connected(slot: 0)
        #expect(pool.lost(slot: 0) == [.connect(slot: 0)])  // one is kept
        #expect(pool.lost(slot: 0) == [])
        _ = pool.connected(slot: 0)
        _ = pool.request(1)
        _ = pool.request(2)
        _ = pool.connected(slot: 1)
        #expect(pool.request(3) == [])
        #expect(pool.lost(slot: 0) == [.connect(slot: 0)])  // for request 3
        #expect(pool.released(slot: 0) == [])  // late
        #expect(pool.lost(slot: 1) == [])
        #expect(pool.connected(slot: 0) == [.lease(3, slot: 0)])
    }

    @Test func closing() {
        var pool = machine(capacity: 3)
        _ = pool.start()
        _ = pool.connected(slot: 0)
        _ = pool.request(1)
        _ = pool.request(2)
        #expect(pool.close() == [.refuse(2, .closed), .close(slot: 1)])
        #expect(pool.close() == [])
        #expect(pool.request(3) == [.refuse(3, .closed)])
        #expect(pool.connected(slot: 1) == [])
        #expect(pool.released(slot: 0) == [.close(slot: 0), .finished])
        #expect(pool.lost(slot: 0) == [])
        var unused = machine()
        #expect(unused.close() == [.finished])
    }

    /// Whatever happens, no connection is leased twice and no request is answered twice.
    @Test(arguments: 0..<20) func invariants(seed: UInt64) {
        var random = SplitMix(state: seed)
        var pool = machine(capacity: 3, queueLimit: 5)
        var leased: [Int: UInt64] = [:]
        var connecting: Set<Int> = []
        var open: Set<Int> = []
        var pending: Set<UInt64> = []
        var isPausing = false
        var next: UInt64 = 0
        func check(_ actions: [PoolStateMachine.Action]) {
            for action in actions {
                switch action {
                case .lease(let id, let slot):
                    #expect(open.contains(slot) && leased[slot] == nil)
                    let known = pending.remove(id) != nil
                    #expect(known)
                    leased[slot] = id
                case .connect(let slot):
                    #expect(!open.contains(slot))
                    let isNew = connecting.insert(slot).inserted
                    #expect(isNew)
                case .retry:
                    #expect(!isPausing)
                    isPausing = true
                case .refuse(let id, _):
                    let known = pending.remove(id) != nil
                    #expect(known)
                case .close, .finished: Issue.record("not closing")
                }
            }
        }
        check(pool.start())
        for _ in 0..<2000 {
            switch random.next() % 7 {
            case 0, 1:
                next += 1
                pending.insert(next)
                check(pool.request(next))
            case 2:
                if let id = pending.sorted().first, pool.abandon(id) { pending.remove(id) }
            case 3:
                if let slot = connecting.sorted().first {
                    connecting.remove(slot)
                    open.insert(slot)
                    check(pool.connected(slot: slot))
                }
            case 4:
                if let slot = connecting.sorted().last {
                    connecting.remove(slot)
                    check(pool.connectFailed(slot: slot, jitter: 0.3))
                }
            case 5:
                if let slot = leased.keys.sorted().first {
                    leased[slot] = nil
                    check(pool.released(slot: slot))
                }
            case _:
                if isPausing {
                    isPausing = false
                    check(pool.retryDue())
                } else if let slot = open.sorted().first {
                    open.remove(slot)
                    leased[slot] = nil
                    check(pool.lost(slot: slot))
                }
            }
            #expect(pool.waitingCount == pending.count)
            #expect(pending.isEmpty || !connecting.isEmpty || isPausing || leased.count == 3)
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

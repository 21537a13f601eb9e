import RPC
import Testing

@Suite struct PoolTests {
    private final class Connection: PooledConnection, @unchecked Sendable {
        let id: String
        var outstanding = 0
        init(_ id: String) { self.id = id }
    }

    private func pool() -> PoolStateMachine {
        PoolStateMachine(
            role: "relay", connectionsPerPeer: 1, minBackoff: .milliseconds(50), maxBackoff: .seconds(2), seed: 7)
    }

    private func peers(_ count: Int) -> [RPCPeer] {
        (0..<count).map { RPCPeer(id: "relay-\($0)", address: "127.0.0.1:\(7000 + $0)", epoch: 1) }
    }

    private func attempts(_ directives: [PoolStateMachine.Directive]) -> [(RPCPeer, PoolStateMachine.Token)] {
        directives.compactMap { if case .connect(let peer, let token) = $0 { (peer, token) } else { nil } }
    }

    private func rest(_ directives: [PoolStateMachine.Directive]) -> Duration? {
        directives.lazy.compactMap { if case .rest(_, let pause) = $0 { pause } else { nil } }.first
    }

    private func used(_ pick: PoolStateMachine.Pick) -> String? {
        if case .use(let connection) = pick { (connection as? Connection)?.id } else { nil }
    }

    /// A pool all of whose peers are connected, with their tokens by id.
    private func connected(_ count: Int) -> (PoolStateMachine, [String: PoolStateMachine.Token], [String: Connection]) {
        var pool = pool()
        var tokens: [String: PoolStateMachine.Token] = [:]
        var connections: [String: Connection] = [:]
        _ = pool.update(peers(count))
        for (peer, token) in attempts(pool.activate()) {
            tokens[peer.id] = token
            connections[peer.id] = Connection(peer.id)
            _ = pool.opened(token, connections[peer.id]!)
        }
        return (pool, tokens, connections)
    }

    @Test func connectsWhenFirstUsedAndThenToNewPeers() {
        var pool = pool()
        let atFirst = attempts(pool.update(peers(2)))
        #expect(atFirst.isEmpty)
        let used = attempts(pool.activate())
        #expect(used.count == 2)
        let again = attempts(pool.activate())
        #expect(again.isEmpty)
        let added = attempts(pool.update(peers(3)))
        #expect(added.map(\.0.id) == ["relay-2"])
        // The same id with another epoch is another process.
        let restarted = RPCPeer(id: "relay-0", address: "127.0.0.1:7000", epoch: 2)
        let replaced = attempts(pool.update([restarted] + peers(3).dropFirst()))
        #expect(replaced.map(\.0) == [restarted])
    }

    @Test func theSameKeyGoesToTheSamePeerAndMovesOnlyWhenItsPeerLeaves() {
        var (pool, _, _) = connected(5)
        let before = (0..<1000).map { used(pool.pick(key: UInt64($0), peer: nil)) }
        let again = (0..<1000).map { used(pool.pick(key: UInt64($0), peer: nil)) }
        #expect(before == again)
        for id in 0..<5 {
            let share = before.count { $0 == "relay-\(id)" }
            #expect((120...280).contains(share), "relay-\(id) has \(share) of 1000")
        }
        _ = pool.update(peers(4))
        for key in 0..<1000 {
            let now = used(pool.pick(key: UInt64(key), peer: nil))
            #expect(now == before[key] || before[key] == "relay-4")
            #expect(now == pool.owner(ofKey: UInt64(key))?.id)
        }
    }

    @Test func aKeyGoesToTheNextWhenItsPeerFailsAndBackAfterwards() throws {
        var (pool, tokens, connections) = connected(3)
        let picked = used(pool.pick(key: 1, peer: nil))
        let owner = try #require(picked)
        let token = try #require(tokens[owner])
        let pause = rest(pool.failed(token, connections[owner], "lost"))
        #expect(pause != nil)
        let second = used(pool.pick(key: 1, peer: nil))
        let next = try #require(second)
        #expect(next != owner)
        #expect(pool.owner(ofKey: 1)?.id == owner)
        let again = attempts(pool.rested(token))
        #expect(again.count == 1)
        // While it is only trying again it isn't waited for.
        let picked1 = used(pool.pick(key: 1, peer: nil))
        #expect(picked1 == next)
        let isKept = pool.opened(again[0].1, Connection(owner))
        #expect(isKept)
        let picked2 = used(pool.pick(key: 1, peer: nil))
        #expect(picked2 == owner)
    }

    @Test func aKeyWaitsForItsPeersFirstConnection() {
        var pool = pool()
        _ = pool.update(peers(2))
        let tokens = Dictionary(uniqueKeysWithValues: attempts(pool.activate()).map { ($0.0.id, $0.1) })
        let owner = pool.owner(ofKey: 1)!.id
        let other = owner == "relay-0" ? "relay-1" : "relay-0"
        _ = pool.opened(tokens[other]!, Connection(other))
        let picked3 = used(pool.pick(key: 1, peer: nil))
        #expect(picked3 == nil)
        let picked4 = used(pool.pick(key: nil, peer: nil))
        #expect(picked4 == other)
        _ = pool.failed(tokens[owner]!, nil, "connection refused")
        let picked5 = used(pool.pick(key: 1, peer: nil))
        #expect(picked5 == other)
    }

    @Test func theLessBusyOfTwo() {
        var (pool, _, connections) = connected(2)
        connections["relay-0"]!.outstanding = 5
        for _ in 0..<50 {
            let picked = used(pool.pick(key: nil, peer: nil))
            #expect(picked == "relay-1")
        }
        (pool, _, connections) = connected(8)
        var counts: [String: Int] = [:]
        for _ in 0..<8000 {
            let id = used(pool.pick(key: nil, peer: nil))!
            connections[id]!.outstanding += 1
            counts[id, default: 0] += 1
        }
        #expect(counts.values.allSatisfy { (950...1050).contains($0) }, "\(counts)")
    }

    @Test func backoffGrowsToItsLimitWithJitter() {
        var pool = pool()
        _ = pool.update(peers(1))
        var (_, token) = attempts(pool.activate())[0]
        for attempt in 0..<12 {
            let pause = rest(pool.failed(token, nil, "refused"))!
            let full = min(Duration.seconds(2), .milliseconds(50) * (1 << attempt))
            #expect(pause >= full / 2 && pause <= full)
            token = attempts(pool.rested(token))[0].1
        }
    }

    @Test func reasonsAreGiven() {
        var pool = pool()
        guard case .wait("no relay is registered") = pool.pick(key: nil, peer: nil) else {
            Issue.record("wrong reason")
            return
        }
        _ = pool.update(peers(1))
        let (_, token) = attempts(pool.activate())[0]
        _ = pool.failed(token, nil, "connection refused")
        guard case .wait(let reason) = pool.pick(key: nil, peer: nil) else {
            Issue.record("no reason")
            return
        }
        #expect(reason.contains("relay-0: connection refused"))
        guard case .none("no relay named relay-9 is registered") = pool.pick(key: nil, peer: "relay-9") else {
            Issue.record("wrong reason")
            return
        }
        guard case .none = pool.pick(key: nil, peer: "relay-0") else {
            Issue.record("waits for a peer that has failed")
            return
        }
    }

    @Test func aConnectionToAPeerThatHasLeftIsNotKept() {
        var pool = pool()
        _ = pool.update(peers(1))
        let (_, token) = attempts(pool.activate())[0]
        _ = pool.update([])
        let isKept = pool.opened(token, Connection("relay-0"))
        #expect(!isKept)
        let late = pool.failed(token, nil, "late")
        #expect(late.isEmpty)
    }
}

@Suite struct LivenessTests {
    @Test func pingsWhenQuietAndGivesUp() {
        var liveness = Liveness(interval: 10, timeout: 25, now: 0)
        #expect(liveness.check(now: 5) == .none)
        #expect(liveness.check(now: 10) == .ping(1))
        #expect(liveness.check(now: 20) == .none)
        #expect(liveness.check(now: 30) == .none)
        #expect(liveness.check(now: 40) == .dead)
    }

    @Test func anySignOfLifeCounts() {
        var liveness = Liveness(interval: 10, timeout: 25, now: 0)
        #expect(liveness.check(now: 10) == .ping(1))
        liveness.sawLife(now: 12)
        #expect(liveness.check(now: 20) == .none)
        #expect(liveness.check(now: 30) == .ping(2))
    }

    @Test func ownPausesAreNotThePeersFault() {
        var liveness = Liveness(interval: 10, timeout: 25, now: 0)
        #expect(liveness.check(now: 10) == .ping(1))
        #expect(liveness.check(now: 1000) == .none)
        #expect(liveness.check(now: 1010) == .none)
        #expect(liveness.check(now: 1020) == .none)
        #expect(liveness.check(now: 1030) == .dead)
    }
}

@Suite struct RetryBudgetTests {
    @Test func retriesAreAShareOfCalls() {
        var budget = RetryBudget(capacity: 2, ratio: 0.5)
        let is1 = budget.spend()
        #expect(is1)
        let is2 = budget.spend()
        #expect(is2)
        let is3 = budget.spend()
        #expect(!is3)
        budget.earn()
        let is4 = budget.spend()
        #expect(!is4)
        budget.earn()
        let is5 = budget.spend()
        #expect(is5)
        for _ in 0..<100 { budget.earn() }
        let is6 = budget.spend()
        #expect(is6)
        let is7 = budget.spend()
        #expect(is7)
        let is8 = budget.spend()
        #expect(!is8)
    }
}

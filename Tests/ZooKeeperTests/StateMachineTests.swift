import Testing

@testable import ZooKeeper

private let start = ContinuousClock.now
private let one = ZooKeeperSession(id: 1, password: [1])
private let two = ZooKeeperSession(id: 2, password: [2])

@Suite struct SessionStateMachineTests {
    private var machine = SessionStateMachine(timeout: .seconds(3))

    private mutating func connect(_ session: ZooKeeperSession, at offset: Duration = .zero) -> ZooKeeperState? {
        let handle = self.machine.open(now: start + offset).handle
        return self.machine.handle(
            .connected(session, timeout: .seconds(3)), from: handle, now: start + offset
        ).publish
    }

    @Test mutating func resumesASession() {
        let published = self.connect(one)
        #expect(published == .connected)
        let lost = self.machine.handle(.disconnected, from: 1, now: start)
        #expect(lost == SessionStateMachine.Directive(publish: .suspended))
        let lostAgain = self.machine.handle(.disconnected, from: 1, now: start + .seconds(1))
        #expect(lostAgain == SessionStateMachine.Directive())
        #expect(self.machine.session == one)
        #expect(self.machine.suspendedFor(now: start + .seconds(2)) == .seconds(2))
        #expect(!self.machine.isPresumedExpired(now: start + .milliseconds(999)))
        #expect(self.machine.isPresumedExpired(now: start + .seconds(1)))
        let back = self.machine.handle(.connected(one, timeout: .seconds(3)), from: 1, now: start + .seconds(2))
        #expect(back.publish == .connected)
        #expect(self.machine.suspendedFor(now: start) == nil)
        #expect(self.machine.connections == 2)
        #expect(self.machine.sessions == [1])
    }

    @Test mutating func replacesAnExpiredSession() {
        _ = self.connect(one)
        let expired = self.machine.handle(.expired, from: 1, now: start)
        #expect(expired == SessionStateMachine.Directive(publish: .expired, replacesHandle: true))
        #expect(self.machine.session == nil)
        let (handle, resumed, directive) = self.machine.open(now: start)
        #expect(resumed == nil && directive.publish == .connecting)
        // What the dead handle still says is void.
        let late = self.machine.handle(.connected(one, timeout: .seconds(3)), from: 1, now: start)
        #expect(late == SessionStateMachine.Directive())
        let again = self.machine.handle(.connected(two, timeout: .seconds(3)), from: handle, now: start)
        #expect(again.publish == .connected)
        #expect(self.machine.sessions == [1, 2])
    }

    @Test mutating func reopensWhatStaysSuspended() {
        _ = self.connect(one)
        _ = self.machine.handle(.disconnected, from: 1, now: start)
        #expect(self.machine.untilTick(now: start + .seconds(1)) == .seconds(2))
        let early = self.machine.tick(now: start + .milliseconds(2999))
        let due = self.machine.tick(now: start + .seconds(3))
        #expect(!early.replacesHandle && due.replacesHandle)
        let reopened = self.machine.open(now: start + .seconds(3))
        #expect(reopened.resuming == one)
        #expect(self.machine.published == .suspended)
        // It counts from the first loss, and is tried again after as long.
        #expect(self.machine.suspendedFor(now: start + .seconds(4)) == .seconds(4))
        #expect(self.machine.untilTick(now: start + .seconds(4)) == .seconds(2))
        let gone = self.machine.handle(.expired, from: reopened.handle, now: start + .seconds(5))
        #expect(gone.publish == .expired)
    }

    @Test mutating func endsForGood() {
        _ = self.connect(one)
        let closed = self.machine.close()
        #expect(closed.publish == .closed)
        for event: SessionStateMachine.Event in [
            .disconnected, .expired, .authFailed, .connected(one, timeout: .seconds(3)),
        ] {
            let directive = self.machine.handle(event, from: 1, now: start)
            #expect(directive == SessionStateMachine.Directive())
        }
        #expect(self.machine.isPresumedExpired(now: start))
    }
}

@Suite struct GroupStateMachineTests {
    private var machine = GroupStateMachine(grace: .seconds(5))

    private func member(_ name: String, _ czxid: Int64 = 1) -> GroupMember {
        GroupMember(name: name, data: [], czxid: czxid, version: 0)
    }

    /// Everything is read: these are there.
    private mutating func read(_ members: [GroupMember], at offset: Duration = .zero) -> GroupSnapshot {
        self.machine.listed(members.map(\.name))
        for member in members { self.machine.read(member) }
        self.machine.complete()
        _ = self.machine.settle(now: start + offset)
        return self.machine.snapshot
    }

    @Test mutating func followsTheGroup() {
        #expect(self.machine.snapshot.stale)
        self.machine.connected(session: 1, now: start)
        let first = self.read([self.member("b"), self.member("a")])
        #expect(first.members.map(\.name) == ["a", "b"] && !first.stale && first.version == 1)
        let unchanged = self.machine.settle(now: start)
        #expect(!unchanged)
        let second = self.read([self.member("a")])
        #expect(second.members.map(\.name) == ["a"] && second.version == 2)
    }

    @Test mutating func keepsTheLastWhileSuspended() {
        self.machine.connected(session: 1, now: start)
        _ = self.read([self.member("a")])
        self.machine.disconnected()
        let changed = self.machine.settle(now: start)
        #expect(changed && self.machine.snapshot.stale && self.machine.snapshot.members.map(\.name) == ["a"])
        // The same session: what is read is the truth.
        self.machine.connected(session: 1, now: start)
        let healed = self.read([])
        #expect(healed.members.isEmpty && !healed.stale)
    }

    @Test mutating func healsUnderANewSession() {
        self.machine.connected(session: 1, now: start)
        _ = self.read([self.member("a"), self.member("b")])
        self.machine.disconnected()
        _ = self.machine.settle(now: start)
        self.machine.connected(session: 2, now: start)
        let empty = self.read([])
        #expect(empty.members.map(\.name) == ["a", "b"] && empty.stale)
        #expect(self.machine.untilSettle(now: start + .seconds(1)) == .seconds(4))
        let half = self.read([self.member("a", 2)], at: .seconds(1))
        #expect(half.members == [self.member("a", 2), self.member("b")] && half.stale)
        let whole = self.read([self.member("a", 2), self.member("b", 3)], at: .seconds(2))
        #expect(whole.members.map(\.czxid) == [2, 3] && !whole.stale)
        let later = self.read([], at: .seconds(2))
        #expect(later.members.isEmpty && !later.stale)
    }

    @Test mutating func givesUpOnWhoDoesNotComeBack() {
        self.machine.connected(session: 1, now: start)
        _ = self.read([self.member("a")])
        self.machine.connected(session: 2, now: start)
        let waiting = self.read([], at: .seconds(4))
        #expect(waiting.members.count == 1 && waiting.stale)
        let changed = self.machine.settle(now: start + .seconds(5))
        #expect(changed && self.machine.snapshot.members.isEmpty && !self.machine.snapshot.stale)
    }
}

@Suite struct RegistrationTests {
    private func node(owner: Int64) -> ZooKeeperReading<[UInt8]> {
        .present(
            [],
            ZooKeeperStat(
                czxid: 1, mzxid: 1, pzxid: 1, createdAt: 0, modifiedAt: 0, version: 4, childrenVersion: 0,
                aclVersion: 0, ephemeralOwner: owner, dataLength: 0, childrenCount: 0))
    }

    @Test func decides() {
        func step(_ found: ZooKeeperReading<[UInt8]>, takesOver: Bool = false) -> EphemeralRegistration.Step {
            EphemeralRegistration.step(found, session: 7, earlier: [5, 7], takesOver: takesOver)
        }
        #expect(step(.missing) == .create)
        #expect(step(self.node(owner: 7)) == .keep)
        #expect(step(self.node(owner: 5)) == .replace(version: 4))
        #expect(step(self.node(owner: 9)) == .wait)
        #expect(step(self.node(owner: 9), takesOver: true) == .replace(version: 4))
    }
}

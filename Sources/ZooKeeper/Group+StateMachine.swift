/// A child of a group's node, with its data.
package struct GroupMember: Sendable, Equatable {
    package var name: String
    package var data: [UInt8]
    /// The transaction that created it: the epoch of this registration.
    package var czxid: Int64
    /// The version of the data: grows with each change of the same registration.
    package var version: Int32

    package init(name: String, data: [UInt8], czxid: Int64, version: Int32) {
        self.name = name
        self.data = data
        self.czxid = czxid
        self.version = version
    }
}

/// The members of a group as of one moment, in the order of their names.
package struct GroupSnapshot: Sendable, Equatable {
    package var members: [GroupMember]
    /// ZooKeeper can't be reached, or came back without all that were there: some of this may be out of date.
    package var stale: Bool
    /// Grows with each change of the two above.
    package var version: UInt64

    package init(members: [GroupMember], stale: Bool, version: UInt64) {
        self.members = members
        self.stale = stale
        self.version = version
    }
}

/// What is known of a group, without I/O: it takes what was read from ZooKeeper and what became of the session, and says
/// what to believe.
///
/// While the connection is lost the last known membership is kept, and is stale. When it is back *with the same session*,
/// what is read then is the truth. *With a new session* the servers may have lost everything, and the members that are
/// missing may be about to register again: they are kept for a time of `grace`, and the view is stale as long as any is.
struct GroupStateMachine {
    private enum State {
        /// No connection, or not everything has been read since it was made.
        case unsure
        case sure
        /// Everything has been read, but under a new session: who is missing counts until then.
        case healing(until: ContinuousClock.Instant)
    }

    private var state = State.unsure
    private var session: Int64?
    private var healingUntil: ContinuousClock.Instant?
    private var found: [String: GroupMember] = [:]
    private let grace: Duration
    private(set) var snapshot = GroupSnapshot(members: [], stale: true, version: 0)

    init(grace: Duration) {
        self.grace = grace
    }

    /// There is a connection, under this session; everything is about to be read.
    mutating func connected(session: Int64, now: ContinuousClock.Instant) {
        if let previous = self.session, previous != session { self.healingUntil = now + self.grace }
        self.session = session
        self.state = .unsure
    }

    mutating func disconnected() {
        self.state = .unsure
    }

    /// The names of all members; those of them that aren't known must be read.
    mutating func listed(_ names: [String]) {
        let names = Set(names)
        self.found = self.found.filter { names.contains($0.key) }
    }

    mutating func read(_ member: GroupMember) {
        self.found[member.name] = member
    }

    mutating func missing(_ name: String) {
        self.found[name] = nil
    }

    /// All that was listed has been read.
    mutating func complete() {
        self.state = self.healingUntil.map { .healing(until: $0) } ?? .sure
    }

    /// Whether the snapshot has changed.
    mutating func settle(now: ContinuousClock.Instant) -> Bool {
        var members = self.snapshot.members
        var stale = true
        switch self.state {
        case .unsure: break
        case .sure:
            (members, stale) = (self.sorted(self.found.values), false)
        case .healing(let until):
            let absent = members.filter { self.found[$0.name] == nil }
            if absent.isEmpty || now >= until {
                self.state = .sure
                self.healingUntil = nil
                (members, stale) = (self.sorted(self.found.values), false)
            } else {
                members = self.sorted(Array(self.found.values) + absent)
            }
        }
        if members == self.snapshot.members && stale == self.snapshot.stale { return false }
        self.snapshot = GroupSnapshot(members: members, stale: stale, version: self.snapshot.version + 1)
        return true
    }

    /// When `settle` may have something to do though nothing has happened.
    func untilSettle(now: ContinuousClock.Instant) -> Duration? {
        switch self.state {
        case .healing(let until): max(until - now, .zero)
        case .unsure, .sure: nil
        }
    }

    private func sorted(_ members: some Sequence<GroupMember>) -> [GroupMember] {
        members.sorted { $0.name < $1.name }
    }
}

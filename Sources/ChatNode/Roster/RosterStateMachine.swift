package import Protocol

/// Who is connected to this node, and what each follower (every relay, the directory, presence) knows of it.
///
/// Changes are gathered into revisions. A follower that holds revision n is sent what lies between n and the newest; one
/// of which that isn't known is sent everybody (a snapshot). One update is under way to a follower at a time.
package struct RosterStateMachine {
    package enum FollowerKind: Hashable, Sendable { case relay, sessions, lastSeen }

    package struct FollowerID: Hashable, Sendable {
        package var kind: FollowerKind
        /// The peer's id; empty where any instance will do.
        package var id: String

        package init(kind: FollowerKind, id: String = "") {
            self.kind = kind
            self.id = id
        }
    }

    /// An update to be sent.
    package struct Sending: Sendable {
        package var follower: FollowerID
        package var update: RosterUpdate
    }

    private struct Follower {
        /// nil: it needs a snapshot.
        var held: UInt64?
        var inFlight: (revision: UInt64, isSnapshot: Bool)?
        /// When it was last known to hold everything, or was added.
        var currentAt: Int64
        var sentAt: Int64 = .min
        var notBefore: Int64 = .min
        var failures = 0
        /// Not waited for: connections may be syncing without its knowing them.
        var isLate = false
    }

    private struct Batch {
        var revision: UInt64
        var joined: [RosterEntry]
        var left: [UInt32]
    }

    package struct Configuration: Sendable {
        /// How long a relay may take before connections no longer wait for it, ms.
        package var patience: Int64 = 2000
        /// Between updates where nothing changes, ms.
        package var relayRenewal: Int64 = 2500
        package var leaseRenewal: Int64 = 1000
        /// Entries of changes kept for followers that are behind; past it they get a snapshot.
        package var historyLimit = 50_000
        package init() {}
    }

    private let node: String
    private let incarnation: UInt64
    private let configuration: Configuration
    /// The node's czxid; 0 while it has none.
    package var epoch: Int64 = 0
    package private(set) var revision: UInt64 = 0
    private var entries: [UInt32: RosterEntry] = [:]
    private var joined: [RosterEntry] = []
    private var left: [UInt32] = []
    private var history: [Batch] = []
    private var historySize = 0
    /// Every change after this revision is in the history.
    private var historyBase: UInt64 = 0
    private var followers: [FollowerID: Follower] = [:]

    package init(node: String, incarnation: UInt64, configuration: Configuration = .init()) {
        self.node = node
        self.incarnation = incarnation
        self.configuration = configuration
    }

    package var count: Int { entries.count }

    // MARK: Connections

    /// A connection that is to be known; the revision that will have it.
    package mutating func join(_ entry: RosterEntry) -> UInt64 {
        entries[entry.handle] = entry
        joined.append(entry)
        return revision + 1
    }

    package mutating func leave(_ handle: UInt32) {
        guard entries.removeValue(forKey: handle) != nil else { return }
        left.append(handle)
    }

    // MARK: Followers

    /// The relays that there are now. True: the set changed, so that pushes may have been missed.
    package mutating func setRelays(_ ids: Set<String>, now: Int64) -> Bool {
        let known = Set(followers.keys.filter { $0.kind == .relay }.map(\.id))
        for id in known.subtracting(ids) { followers[FollowerID(kind: .relay, id: id)] = nil }
        for id in ids.subtracting(known) { add(FollowerID(kind: .relay, id: id), now: now) }
        // A new one is heard of again when it has the snapshot.
        return !known.subtracting(ids).isEmpty
    }

    package mutating func add(_ follower: FollowerID, now: Int64) {
        if followers[follower] == nil { followers[follower] = Follower(currentAt: now) }
    }

    /// The revision that every relay which is waited for holds.
    package var reached: UInt64 {
        var lowest = revision
        for (id, follower) in followers where id.kind == .relay && !follower.isLate {
            lowest = min(lowest, follower.held ?? 0)
        }
        return lowest
    }

    /// Gathers the changes into a revision and gives what is to be sent now.
    package mutating func tick(now: Int64) -> [Sending] {
        if !joined.isEmpty || !left.isEmpty {
            revision += 1
            historySize += joined.count + left.count
            history.append(Batch(revision: revision, joined: joined, left: left))
            joined = []
            left = []
        }
        trim()
        var sendings: [Sending] = []
        for (id, var follower) in followers {
            if now - follower.currentAt > configuration.patience, follower.held ?? 0 < revision || follower.held == nil
            {
                follower.isLate = true
            }
            if follower.inFlight == nil, now >= follower.notBefore, let update = update(id, follower, now) {
                follower.inFlight = (revision, update.snapshot)
                follower.sentAt = now
                sendings.append(Sending(follower: id, update: update))
            }
            if follower.held == revision { follower.currentAt = now }
            followers[id] = follower
        }
        return sendings
    }

    private func update(_ id: FollowerID, _ follower: Follower, _ now: Int64) -> RosterUpdate? {
        var update = RosterUpdate()
        update.node = node
        update.incarnation = incarnation
        update.epoch = epoch
        update.revision = revision
        guard let held = follower.held, held >= historyBase else {
            update.snapshot = true
            update.joined = Array(entries.values)
            return update
        }
        update.base = held
        if held == revision {
            let renewal = id.kind == .relay ? configuration.relayRenewal : configuration.leaseRenewal
            return now >= follower.sentAt + renewal ? update : nil
        }
        var joined: [RosterEntry] = []
        var left: Set<UInt32> = []
        for batch in history where batch.revision > held {
            joined += batch.joined
            left.formUnion(batch.left)
        }
        // A handle is used once: who came and went meanwhile was never here.
        var came: Set<UInt32> = []
        for entry in joined where left.contains(entry.handle) { came.insert(entry.handle) }
        update.joined = came.isEmpty ? joined : joined.filter { !came.contains($0.handle) }
        update.left = left.subtracting(came).sorted()
        return update
    }

    /// A follower answered. True: it may have missed connections that synced meanwhile, so they must read the log again.
    package mutating func answered(_ id: FollowerID, snapshotNeeded: Bool, now: Int64) -> Bool {
        guard var follower = followers[id], let sent = follower.inFlight else { return false }
        follower.inFlight = nil
        follower.failures = 0
        defer { followers[id] = follower }
        if snapshotNeeded {
            // Refused though everybody was in it: not at once again.
            if sent.isSnapshot { follower.notBefore = now + 200 }
            follower.held = nil
            return false
        }
        follower.held = sent.revision
        follower.currentAt = now
        let missed = follower.isLate || sent.isSnapshot
        follower.isLate = false
        return missed && id.kind == .relay && !entries.isEmpty
    }

    /// A follower did not answer, or with an error: whether it applied the update is unknown, and comes out next time.
    package mutating func failed(_ id: FollowerID, now: Int64) {
        guard var follower = followers[id], follower.inFlight != nil else { return }
        follower.inFlight = nil
        follower.failures += 1
        follower.isLate = true
        follower.notBefore = now + min(1000, 50 << Int64(min(follower.failures, 5)))
        followers[id] = follower
    }

    /// Drops the changes that nobody needs any more, or all of them where they are too many.
    private mutating func trim() {
        let needed =
            historySize > configuration.historyLimit
            ? revision : followers.values.compactMap { $0.held ?? $0.inFlight?.revision }.min() ?? revision
        guard needed > historyBase else { return }
        historyBase = needed
        history.removeAll { batch in
            guard batch.revision <= needed else { return false }
            historySize -= batch.joined.count + batch.left.count
            return true
        }
    }
}

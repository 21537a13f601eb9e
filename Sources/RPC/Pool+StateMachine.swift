import Cluster

/// A connection as the pool's decisions see it.
package protocol PooledConnection: AnyObject, Sendable {
    /// Calls that are open on it.
    var outstanding: Int { get }
}

/// The connections to all peers of one role: which to open and when, and which one a call takes. No I/O: it is told what
/// happened and says what to do.
///
/// Each connection of a peer:
///
///     idle --activated--> connecting --opened--> ready --lost, GOAWAY--> resting
///                             └--failed--> resting --after back-off--> connecting
package struct PoolStateMachine: Sendable {
    /// One attempt to connect and the connection that came of it.
    package typealias Token = UInt64

    /// What the shell has to do.
    package enum Directive: Sendable {
        /// Open a connection, then tell `opened` or `failed`.
        case connect(RPCPeer, Token)
        /// Call `rested` with this token after the time.
        case rest(Token, Duration)
        /// Take no new calls; close when the open ones have ended.
        case retire(any PooledConnection)
    }

    /// Which connection a call takes.
    package enum Pick: Sendable {
        case use(any PooledConnection)
        /// None now; one may come. The reason is for the error when it doesn't.
        case wait(String)
        /// None will come.
        case none(String)
    }

    private enum State: Sendable {
        case idle
        case connecting
        case ready(any PooledConnection)
        case resting
    }

    private struct Slot: Sendable {
        var state = State.idle
        var token: Token = 0
        /// Attempts that failed since the last connection worked.
        var failures = 0

        /// It may become ready and has not failed yet.
        var isHopeful: Bool {
            switch state {
            case .idle, .connecting: failures == 0
            case .ready, .resting: false
            }
        }
    }

    private struct Entry: Sendable {
        var peer: RPCPeer
        var hash: UInt64
        var slots: [Slot]
        var lastError: String?

        /// Its ready connection with the fewest open calls.
        var best: (connection: any PooledConnection, outstanding: Int)? {
            var best: (connection: any PooledConnection, outstanding: Int)?
            for slot in slots {
                guard case .ready(let connection) = slot.state else { continue }
                if slots.count == 1 { return (connection, connection.outstanding) }
                let outstanding = connection.outstanding
                if best == nil || outstanding < best!.outstanding { best = (connection, outstanding) }
            }
            return best
        }

        var isReady: Bool {
            slots.contains { if case .ready = $0.state { true } else { false } }
        }

        var isHopeful: Bool { slots.contains(where: \.isHopeful) }
    }

    private let role: String
    private let connectionsPerPeer: Int
    private let minBackoff: Duration
    private let maxBackoff: Duration
    private var random: SplitMix64
    private var entries: [Entry] = []
    private var nextToken: Token = 1
    private var isActive = false
    private var isClosed = false

    package init(
        role: String, connectionsPerPeer: Int, minBackoff: Duration, maxBackoff: Duration, seed: UInt64
    ) {
        self.role = role
        self.connectionsPerPeer = max(1, connectionsPerPeer)
        self.minBackoff = minBackoff
        self.maxBackoff = maxBackoff
        random = SplitMix64(seed: seed)
    }

    /// Who serves the role, as last told.
    package var peers: [RPCPeer] { entries.map(\.peer) }

    /// Opens connections from now on: the first call was made.
    package mutating func activate() -> [Directive] {
        guard !isActive, !isClosed else { return [] }
        isActive = true
        return connectIdle()
    }

    /// Who serves the role now. A peer with another epoch or address is another peer.
    package mutating func update(_ peers: [RPCPeer]) -> [Directive] {
        guard !isClosed else { return [] }
        var directives: [Directive] = []
        var known: [RPCPeer: Entry] = [:]
        for entry in entries { known[entry.peer] = entry }
        entries = []
        for peer in peers.sorted(by: { ($0.id, $0.epoch) < ($1.id, $1.epoch) }) {
            // The same id twice, while an old registration lingers: the newer one counts.
            if entries.last?.peer.id == peer.id {
                directives += retire(entries.removeLast())
            }
            entries.append(
                known.removeValue(forKey: peer)
                    ?? Entry(
                        peer: peer, hash: Rendezvous.hash(peer.id),
                        slots: Array(repeating: Slot(), count: connectionsPerPeer)))
        }
        for entry in known.values { directives += retire(entry) }
        return isActive ? directives + connectIdle() : directives
    }

    /// No more connections; those that are there are to be closed.
    package mutating func close() -> [any PooledConnection] {
        isClosed = true
        defer { entries = [] }
        return entries.flatMap { entry in
            entry.slots.compactMap { if case .ready(let connection) = $0.state { connection } else { nil } }
        }
    }

    /// A connection works. False: it isn't wanted any more; close it.
    package mutating func opened(_ token: Token, _ connection: any PooledConnection) -> Bool {
        guard let (entry, slot) = find(token) else { return false }
        entries[entry].slots[slot].state = .ready(connection)
        entries[entry].slots[slot].failures = 0
        entries[entry].lastError = nil
        return true
    }

    /// A connection could not be opened (`nil`), or was lost, or takes no new calls any more.
    package mutating func failed(
        _ token: Token, _ connection: (any PooledConnection)?, _ error: String
    ) -> [Directive] {
        guard let (entry, slot) = find(token) else { return [] }
        switch entries[entry].slots[slot].state {
        case .connecting:
            break
        case .ready(let current):
            // One of several addresses that were tried at once may fail after another one has won.
            guard connection === current else { return [] }
        case .idle, .resting:
            return []
        }
        entries[entry].lastError = error
        entries[entry].slots[slot].failures += 1
        entries[entry].slots[slot].state = .resting
        return [.rest(token, backoff(entries[entry].slots[slot].failures))]
    }

    /// The pause after a failure is over.
    package mutating func rested(_ token: Token) -> [Directive] {
        guard let (entry, slot) = find(token), case .resting = entries[entry].slots[slot].state else { return [] }
        return [connect(entry, slot)]
    }

    /// The peer that calls with this key belong to, whether it can be reached or not.
    package func owner(ofKey key: UInt64) -> RPCPeer? {
        heaviest(key) { _ in true }.map { entries[$0].peer }
    }

    /// Chooses for a call: the peer named, else by key, else the less busy of two.
    package mutating func pick(key: UInt64?, peer id: String?) -> Pick {
        guard !isClosed else { return .none("the pool of \(role) is closed") }
        if let id { return pick(peer: id) }
        if let key {
            guard let index = heaviest(key, where: { $0.isReady || $0.isHopeful }) else { return .wait(unreachable) }
            return entries[index].best.map { .use($0.connection) } ?? .wait(unreachable)
        }
        return lessBusy().map { .use($0) } ?? .wait(unreachable)
    }

    private func pick(peer id: String) -> Pick {
        guard let entry = entries.first(where: { $0.peer.id == id }) else {
            return .none("no \(role) named \(id) is registered")
        }
        if let best = entry.best { return .use(best.connection) }
        let reason = entry.lastError ?? "not connected yet"
        return entry.isHopeful ? .wait("\(role)/\(id): \(reason)") : .none("\(role)/\(id): \(reason)")
    }

    private mutating func lessBusy() -> (any PooledConnection)? {
        let ready = entries.count { $0.isReady }
        guard ready > 0 else { return nil }
        let first = Int.random(in: 0..<ready, using: &random)
        guard let one = entries[nthReady(first)].best else { return nil }
        guard ready > 1 else { return one.connection }
        let second = (first + 1 + Int.random(in: 0..<(ready - 1), using: &random)) % ready
        guard let other = entries[nthReady(second)].best else { return one.connection }
        return other.outstanding < one.outstanding ? other.connection : one.connection
    }

    private func nthReady(_ n: Int) -> Int {
        var left = n
        for index in entries.indices where entries[index].isReady {
            if left == 0 { return index }
            left -= 1
        }
        return 0
    }

    private func heaviest(_ key: UInt64, where eligible: (Entry) -> Bool) -> Int? {
        let mixed = Rendezvous.mix(key)
        var best: (index: Int, weight: UInt64)?
        for index in entries.indices where eligible(entries[index]) {
            let weight = Rendezvous.mix(mixed ^ entries[index].hash)
            if best == nil || weight > best!.weight { best = (index, weight) }
        }
        return best?.index
    }

    private var unreachable: String {
        if entries.isEmpty { return "no \(role) is registered" }
        let reasons = entries.map { "\($0.peer.id): \($0.lastError ?? "not connected yet")" }
        return "no \(role) can be reached (\(reasons.joined(separator: "; ")))"
    }

    private mutating func connectIdle() -> [Directive] {
        var directives: [Directive] = []
        for entry in entries.indices {
            for slot in entries[entry].slots.indices {
                guard case .idle = entries[entry].slots[slot].state else { continue }
                directives.append(connect(entry, slot))
            }
        }
        return directives
    }

    private mutating func connect(_ entry: Int, _ slot: Int) -> Directive {
        let token = nextToken
        nextToken += 1
        entries[entry].slots[slot].state = .connecting
        entries[entry].slots[slot].token = token
        return .connect(entries[entry].peer, token)
    }

    private func retire(_ entry: Entry) -> [Directive] {
        entry.slots.compactMap { slot in
            if case .ready(let connection) = slot.state { .retire(connection) } else { nil }
        }
    }

    private func find(_ token: Token) -> (entry: Int, slot: Int)? {
        for entry in entries.indices {
            for slot in entries[entry].slots.indices where entries[entry].slots[slot].token == token {
                return (entry, slot)
            }
        }
        return nil
    }

    /// Doubles with each failure, and spreads between half of that and all of it.
    private mutating func backoff(_ failures: Int) -> Duration {
        let full = min(maxBackoff, minBackoff * (1 << min(failures - 1, 16)))
        return full / 2 + full / 2 * Double.random(in: 0...1, using: &random)
    }
}

package import Protocol

/// Who is connected where, as the chat nodes tell it: user -> connections. A value without I/O.
///
/// A node's entries are known in one of two ways: `followed` (every update since its snapshot was applied) or not at all.
/// Whatever does not build on what is held is refused, and the node answers with a snapshot.
package struct RosterTable: Sendable {
    /// One connection of a user.
    package struct Connection: Sendable, Hashable {
        /// The index of its node; only good for this table.
        package var slot: Int32
        package var handle: UInt32
        package var device: UInt64
    }

    /// A chat node's process that has told who is connected to it.
    package struct Node: Sendable, Hashable {
        package var id: String
        package var incarnation: UInt64

        package init(id: String, incarnation: UInt64) {
            self.id = id
            self.incarnation = incarnation
        }
    }

    private struct Entry {
        var user: UInt64
        var device: UInt64
    }

    private struct Held {
        var node: Node
        var epoch: Int64
        var revision: UInt64
        var entries: [UInt32: Entry] = [:]
        /// Since when the membership does not name it: any clock's milliseconds.
        var goneSince: Int64?
    }

    package enum Outcome: Sendable, Equatable {
        /// Applied. `replaced`: what was held of this node's earlier process, or of an earlier snapshot, is gone.
        case applied(replaced: Bool)
        /// It does not build on what is held: nothing was applied, a snapshot is needed.
        case snapshotNeeded
        /// It is older than what is held: nothing to do.
        case outdated
    }

    private var slots: [String: Int32] = [:]
    private var held: [Int32: Held] = [:]
    private var users: [UInt64: [Connection]] = [:]
    private var nextSlot: Int32 = 0

    package init() {}

    /// Connections known.
    package private(set) var connections = 0
    /// The nodes that are followed.
    package var nodes: [Node] { held.values.map(\.node) }

    /// The connections of a user.
    package func connections(of user: UInt64) -> [Connection] { users[user] ?? [] }

    package func node(_ slot: Int32) -> Node? { held[slot]?.node }

    package mutating func apply(_ update: RosterUpdate) -> Outcome {
        let slot = slots[update.node]
        let current = slot.flatMap { held[$0] }
        if update.snapshot {
            if let current, update.incarnation != current.node.incarnation, update.epoch != 0,
                update.epoch < current.epoch
            {
                return .outdated
            }
            if let current, update.incarnation == current.node.incarnation, update.revision < current.revision {
                return .outdated
            }
            remove(update.node)
            insert(update)
            return .applied(replaced: current != nil)
        }
        guard let slot, let current, current.node.incarnation == update.incarnation else { return .snapshotNeeded }
        if update.revision <= current.revision { return .outdated }
        guard update.base == current.revision else { return .snapshotNeeded }
        for handle in update.left { remove(handle, slot) }
        for entry in update.joined { add(entry, slot) }
        held[slot]?.revision = update.revision
        if update.epoch != 0 { held[slot]?.epoch = update.epoch }
        return .applied(replaced: false)
    }

    /// Forgets what a process of a node told: its pushes are lost, so it must attach (and its clients read) again.
    package mutating func forget(_ node: Node) {
        guard let slot = slots[node.id], held[slot]?.node == node else { return }
        remove(node.id)
    }

    /// Drops the nodes that the membership has not named for `grace` milliseconds; answers who they were.
    package mutating func expire(serving: Set<String>, now: Int64, grace: Int64) -> [Node] {
        var dropped: [Node] = []
        for (slot, entry) in held {
            if serving.contains(entry.node.id) {
                held[slot]?.goneSince = nil
            } else if let since = entry.goneSince {
                if now - since >= grace { dropped.append(entry.node) }
            } else {
                held[slot]?.goneSince = now
            }
        }
        for node in dropped { remove(node.id) }
        return dropped
    }

    private mutating func insert(_ update: RosterUpdate) {
        let slot = nextSlot
        nextSlot += 1
        slots[update.node] = slot
        held[slot] = Held(
            node: Node(id: update.node, incarnation: update.incarnation), epoch: update.epoch,
            revision: update.revision)
        held[slot]?.entries.reserveCapacity(update.joined.count)
        for entry in update.joined { add(entry, slot) }
    }

    private mutating func add(_ entry: RosterEntry, _ slot: Int32) {
        remove(entry.handle, slot)
        held[slot]?.entries[entry.handle] = Entry(user: entry.user, device: entry.device)
        users[entry.user, default: []].append(
            Connection(slot: slot, handle: entry.handle, device: entry.device))
        connections += 1
    }

    private mutating func remove(_ handle: UInt32, _ slot: Int32) {
        guard let entry = held[slot]?.entries.removeValue(forKey: handle) else { return }
        removeConnection(of: entry.user, handle, slot)
    }

    private mutating func remove(_ node: String) {
        guard let slot = slots.removeValue(forKey: node), let entry = held.removeValue(forKey: slot) else { return }
        for (handle, connection) in entry.entries { removeConnection(of: connection.user, handle, slot) }
    }

    private mutating func removeConnection(of user: UInt64, _ handle: UInt32, _ slot: Int32) {
        guard let index = users[user]?.firstIndex(where: { $0.slot == slot && $0.handle == handle }) else { return }
        users[user]?.remove(at: index)
        if users[user]?.isEmpty == true { users[user] = nil }
        connections -= 1
    }
}

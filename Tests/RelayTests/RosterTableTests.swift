import Protocol
import Relay
import Testing

@Suite struct RosterTableTests {
    private func update(
        _ node: String, _ incarnation: UInt64, base: UInt64, revision: UInt64, joined: [(UInt32, UInt64)] = [],
        left: [UInt32] = [], snapshot: Bool = false, epoch: Int64 = 0
    ) -> RosterUpdate {
        var update = RosterUpdate()
        update.node = node
        update.incarnation = incarnation
        update.base = base
        update.revision = revision
        update.snapshot = snapshot
        update.epoch = epoch
        update.left = left
        update.joined = joined.map { handle, user in
            var entry = RosterEntry()
            entry.handle = handle
            entry.user = user
            entry.device = user * 10
            return entry
        }
        return update
    }

    @Test func onlyWhatBuildsOnWhatIsHeldIsApplied() {
        var table = RosterTable()
        #expect(table.apply(update("a", 1, base: 0, revision: 1, joined: [(1, 7)])) == .snapshotNeeded)
        #expect(table.connections == 0)
        #expect(
            table.apply(update("a", 1, base: 0, revision: 5, joined: [(1, 7)], snapshot: true))
                == .applied(replaced: false))
        #expect(table.apply(update("a", 1, base: 6, revision: 7, joined: [(2, 7)])) == .snapshotNeeded)
        #expect(table.apply(update("a", 1, base: 5, revision: 6, joined: [(2, 7)])) == .applied(replaced: false))
        #expect(table.apply(update("a", 1, base: 5, revision: 6, joined: [(2, 7)])) == .outdated)
        #expect(table.connections(of: 7).map(\.handle) == [1, 2])
        #expect(table.apply(update("a", 1, base: 6, revision: 7, left: [1, 99])) == .applied(replaced: false))
        #expect(table.connections(of: 7).map(\.handle) == [2])
    }

    @Test func aNewProcessReplacesTheOldOneAndItsLateSnapshotChangesNothing() {
        var table = RosterTable()
        _ = table.apply(update("a", 1, base: 0, revision: 3, joined: [(1, 7)], snapshot: true, epoch: 10))
        #expect(
            table.apply(update("a", 2, base: 0, revision: 1, joined: [(1, 8)], snapshot: true, epoch: 11))
                == .applied(replaced: true))
        #expect(table.connections(of: 7).isEmpty)
        #expect(
            table.apply(update("a", 1, base: 0, revision: 9, joined: [(1, 7)], snapshot: true, epoch: 10)) == .outdated)
        #expect(table.apply(update("a", 1, base: 3, revision: 4, joined: [(2, 7)])) == .snapshotNeeded)
        #expect(table.connections(of: 8).count == 1)
    }

    @Test func nodesThatAreGoneAreDroppedAfterTheGrace() {
        var table = RosterTable()
        _ = table.apply(update("a", 1, base: 0, revision: 1, joined: [(1, 7)], snapshot: true))
        _ = table.apply(update("b", 2, base: 0, revision: 1, joined: [(1, 7)], snapshot: true))
        #expect(table.expire(serving: ["a"], now: 1000, grace: 500).isEmpty)
        #expect(table.expire(serving: ["a", "b"], now: 1400, grace: 500).isEmpty)
        #expect(table.expire(serving: ["a"], now: 1600, grace: 500).isEmpty)
        #expect(table.expire(serving: ["a"], now: 2100, grace: 500).map(\.id) == ["b"])
        #expect(table.connections(of: 7).count == 1)
        #expect(table.connections == 1)
    }

    @Test func aForgottenNodeHasToSendASnapshot() {
        var table = RosterTable()
        _ = table.apply(update("a", 1, base: 0, revision: 1, joined: [(1, 7)], snapshot: true))
        table.forget(.init(id: "a", incarnation: 2))
        #expect(table.connections == 1)
        table.forget(.init(id: "a", incarnation: 1))
        #expect(table.connections == 0)
        #expect(table.apply(update("a", 1, base: 1, revision: 2)) == .snapshotNeeded)
    }

    /// Nodes that come, go, lose updates and restart, against the plainest model.
    @Test func randomUpdatesAgainstAModel() {
        var random = SplitMix(seed: 42)
        var table = RosterTable()
        struct Model {
            var incarnation: UInt64
            var revision: UInt64 = 0
            var entries: [UInt32: UInt64] = [:]
            var attached = false
        }
        var nodes = ["a": Model(incarnation: 1), "b": Model(incarnation: 2), "c": Model(incarnation: 3)]
        var incarnation: UInt64 = 3
        for _ in 0..<5_000 {
            let name = ["a", "b", "c"][Int(random.next() % 3)]
            var node = nodes[name]!
            if random.next() % 50 == 0 {
                incarnation += 1
                node = Model(incarnation: incarnation)
            }
            var joined: [(UInt32, UInt64)] = []
            var left: [UInt32] = []
            for _ in 0..<random.next() % 4 {
                let handle = UInt32(random.next() % 20)
                if node.entries[handle] != nil {
                    if !joined.contains(where: { $0.0 == handle }) {
                        node.entries[handle] = nil
                        left.append(handle)
                    }
                } else if !left.contains(handle) {
                    let user = random.next() % 10
                    node.entries[handle] = user
                    joined.append((handle, user))
                }
            }
            let base = node.revision
            node.revision += 1
            let isLost = random.next() % 20 == 0
            if !isLost {
                var outcome = table.apply(
                    update(name, node.incarnation, base: base, revision: node.revision, joined: joined, left: left))
                if outcome == .snapshotNeeded {
                    outcome = table.apply(
                        update(
                            name, node.incarnation, base: 0, revision: node.revision,
                            joined: node.entries.map { ($0.key, $0.value) }, snapshot: true))
                }
                guard case .applied = outcome else {
                    Issue.record("not applied: \(outcome)")
                    return
                }
                node.attached = true
            } else {
                node.attached = false
            }
            nodes[name] = node
            guard nodes.values.allSatisfy(\.attached) else { continue }
            var expected: [UInt64: Int] = [:]
            for node in nodes.values { for user in node.entries.values { expected[user, default: 0] += 1 } }
            for user in UInt64(0)..<10 {
                let connections = table.connections(of: user)
                #expect(connections.count == expected[user] ?? 0)
                for connection in connections {
                    let node = table.node(connection.slot)
                    #expect(node.flatMap { nodes[$0.id]?.entries[connection.handle] } == user)
                    #expect(node?.incarnation == node.flatMap { nodes[$0.id]?.incarnation })
                }
            }
            #expect(table.connections == expected.values.reduce(0, +))
        }
    }
}

/// Vigna's SplitMix64: the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Hands out the least-loaded node, and counts what it handed out, so that ten thousand clients that ask between two load
/// reports still land evenly.
///
/// A node's load is what it last reported plus what it was handed since and hasn't reported yet. What was handed out is
/// taken off again as the node's reports grow by it; what never arrives is forgotten after one to two `memory` periods.
package struct LeastLoadedPicker: Sendable {
    private struct Node {
        var member: Member
        /// Decides between nodes of one load: the lowest goes first.
        let tie: UInt64
        /// Handed out in the present period and in the one before, and not seen in a report.
        var recent = 0
        var older = 0

        var outstanding: Int { self.recent + self.older }

        mutating func rotate() {
            self.older = self.recent
            self.recent = 0
        }

        mutating func settle(_ arrived: Int) {
            let fromOlder = min(self.older, arrived)
            self.older -= fromOlder
            self.recent -= min(self.recent, arrived - fromOlder)
        }
    }

    private let seed: UInt64
    private let memory: Duration
    private var nodes: [Node] = []
    private var periodStarted: ContinuousClock.Instant?

    /// - Parameters:
    ///   - seed: Breaks ties; should differ between instances of discovery, or they all begin with the same node.
    ///   - memory: For how long a node that was handed out may take to be seen in its reports.
    package init(seed: UInt64 = 0, memory: Duration = .seconds(10)) {
        self.seed = seed
        self.memory = memory
    }

    /// Takes the present members of the role. A member that registered anew begins with a clean count.
    package mutating func update(_ members: [Member]) {
        let known = Dictionary(self.nodes.map { ($0.member.id, $0) }, uniquingKeysWith: { $1 })
        self.nodes = members.map { member in
            guard var node = known[member.id], node.member.epoch == member.epoch else {
                return Node(member: member, tie: Rendezvous.weight(key: self.seed, id: member.id))
            }
            node.settle(max(0, member.record.connections - node.member.record.connections))
            node.member = member
            return node
        }
    }

    /// The serving node with the lowest load, whose count goes up by one; `nil` if none serves, or all of them are
    /// excluded or report to be full.
    package mutating func pick(
        excluding excluded: Set<String> = [], now: ContinuousClock.Instant = .now
    ) -> Member? {
        self.forget(now: now)
        var best: (index: Int, load: Double)?
        for index in self.nodes.indices {
            guard self.nodes[index].member.record.state == .serving else { continue }
            if !excluded.isEmpty, excluded.contains(self.nodes[index].member.id) { continue }
            let (capacity, connections) = (
                self.nodes[index].member.record.capacity, self.nodes[index].member.record.connections
            )
            if capacity > 0, connections >= capacity { continue }
            let load = Double(connections + self.nodes[index].outstanding) / Double(max(capacity, 1))
            if let best, (best.load, self.nodes[best.index].tie) <= (load, self.nodes[index].tie) { continue }
            best = (index, load)
        }
        guard let best else { return nil }
        self.nodes[best.index].recent += 1
        return self.nodes[best.index].member
    }

    /// What each node was handed and hasn't reported yet.
    package var outstanding: [String: Int] {
        Dictionary(self.nodes.map { ($0.member.id, $0.outstanding) }, uniquingKeysWith: { $1 })
    }

    private mutating func forget(now: ContinuousClock.Instant) {
        guard let started = self.periodStarted else {
            self.periodStarted = now
            return
        }
        guard now - started >= self.memory else { return }
        let periods = now - started >= self.memory * 2 ? 2 : 1
        for index in self.nodes.indices {
            for _ in 0..<periods { self.nodes[index].rotate() }
        }
        self.periodStarted = now
    }
}

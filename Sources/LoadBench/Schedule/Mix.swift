/// Kinds of operations in fixed shares, spread evenly over a cycle.
package struct Mix: Sendable, Equatable {
    package enum Kind: Int, CaseIterable, Sendable {
        case direct, room, read, typing, history, connect

        package var name: String { "\(self)" }
    }

    /// The kinds in the order in which they come, again and again.
    package let cycle: [Kind]

    /// - Parameter shares: how many of each in a cycle.
    package init(_ shares: [(Kind, Int)]) {
        let total = shares.reduce(0) { $0 + $1.1 }
        precondition(total > 0)
        // Whoever is furthest behind its share is next.
        var given = shares.map { _ in 0 }
        cycle = (1...total).map { step in
            var (next, most) = (0, -Double.infinity)
            for (place, share) in shares.enumerated() {
                let behind = Double(share.1 * step) / Double(total) - Double(given[place])
                if behind > most { (next, most) = (place, behind) }
            }
            given[next] += 1
            return shares[next].0
        }
    }

    /// What people do: mostly writing and reading.
    package static let usual = Mix([
        (.direct, 45), (.room, 5), (.read, 20), (.typing, 20), (.history, 7), (.connect, 3),
    ])

    package func kind(_ index: Int) -> Kind { cycle[index % cycle.count] }
}

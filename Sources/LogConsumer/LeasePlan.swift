/// Which shards an instance takes and gives back, so that all are held and each instance that lives holds its part: no more
/// than all divided by all, rounded up.
package struct LeasePlan: Sendable, Equatable {
    /// A shard as the table has it.
    package struct Row: Sendable, Equatable {
        package var shard: Int
        /// nil: nobody's.
        package var owner: String?
        /// Whether the owner's lease has not run out.
        package var isLeased: Bool

        package init(shard: Int, owner: String?, isLeased: Bool) {
            self.shard = shard
            self.owner = owner
            self.isLeased = isLeased
        }
    }

    /// Shards to try to take: someone else may be faster.
    package let take: [Int]
    package let release: [Int]

    /// - Parameter instances: how many live, this one included.
    package init(_ rows: [Row], instance: String, instances: Int) {
        let share = (rows.count + max(instances, 1) - 1) / max(instances, 1)
        // What is one's own stays so until somebody takes it, even when the lease ran out.
        let own = rows.filter { $0.owner == instance }.map(\.shard)
        let free = rows.filter { $0.owner != instance && ($0.owner == nil || !$0.isLeased) }.map(\.shard)
        release = Array(own.dropFirst(share))
        take = Array(free.prefix(max(0, share - own.count)))
    }
}

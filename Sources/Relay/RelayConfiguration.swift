/// How a relay works. The defaults suit a process of two cores; tests pass their own.
package struct RelayConfiguration: Sendable {
    /// Events in one commit at most.
    package var appendBatch = 500
    /// Appends that may wait for a commit; more are answered `unavailable`.
    package var appendQueue = 20_000
    /// For one attempt to commit; after a lost connection a batch is tried once more.
    package var appendTimeout: Duration = .seconds(2)
    /// Acknowledgements in one commit at most, and how many calls may wait for it.
    package var acknowledgeBatch = 1_000
    package var acknowledgeQueue = 20_000
    /// Committed batches that may wait to be pushed.
    package var pushQueue = 1_000
    /// Members remembered, all conversations together (in one of two generations).
    package var rememberedMembers = 200_000
    /// Events in one page of a sync, and bytes of their bodies.
    package var syncPageEvents = 100
    package var syncPageBytes = 64 * 1024
    /// How long a node may be missing from the membership before its connections are forgotten.
    package var nodeGrace: Duration = .seconds(30)
    /// Connections to PostgreSQL that read.
    package var readers = 4
    package var push = PushQueue.Limits()

    package init() {}
}

/// How a relay works. The defaults suit a process of two cores; tests pass their own.
package struct RelayConfiguration: Sendable {
    /// Events in one commit at most.
    package var appendBatch = 500
    /// Appends that may wait for a commit; more are answered `unavailable`.
    package var appendQueue = 20_000
    /// For one attempt to commit; after a lost connection a batch is tried once more.
    package var appendTimeout: Duration = .seconds(2)
    /// The same for a change of a group, which may be of thousands of members.
    package var changeTimeout: Duration = .seconds(5)
    /// Acknowledgements in one commit at most, and how many calls may wait for it.
    package var acknowledgeBatch = 1_000
    package var acknowledgeQueue = 20_000
    /// Committed batches that may wait to be pushed.
    package var pushQueue = 1_000
    /// Conversations of which it is remembered where they are and who writes there (in one of two generations).
    package var rememberedConversations = 20_000
    /// Members remembered, all conversations together (in one of two generations).
    package var rememberedMembers = 200_000
    /// Events in one page of a sync, and bytes of their bodies.
    package var syncPageEvents = 100
    package var syncPageBytes = 64 * 1024
    /// How long a node may be missing from the membership before its connections are forgotten.
    package var nodeGrace: Duration = .seconds(30)
    /// Devices whose conversations are looked up in one query, and how many may wait for it.
    package var standingsBatch = 64
    package var standingsQueue = 20_000
    /// Connections to PostgreSQL that read.
    package var readers = 4
    /// Members of a group up to which they are told at once who has got, and who has read what; of larger ones one asks.
    package var receiptMembers = 32
    /// Members of a group up to which they are told who is writing.
    package var typingMembers = 200
    /// Events of a longer conversation that a new device is given.
    package var newDeviceEvents = 100
    /// How long a page of history waits for Redis at most, once while it hangs.
    package var cacheDeadline: Duration = .milliseconds(100)
    package var push = PushQueue.Limits()

    package init() {}
}

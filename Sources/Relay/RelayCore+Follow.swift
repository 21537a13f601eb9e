import NIOCore
package import Protocol
import RPC
package import RPCTransport

extension RelayCore {
    /// How often the log is looked at for what other relays have committed.
    private static let period: Duration = .milliseconds(250)
    /// After a commit of this relay: what else is committed by then is handed out with it.
    private static let gather: Duration = .milliseconds(10)
    private static let longest: Duration = .seconds(10)
    /// Of one answer, which is one frame.
    private static let bytes = 1 << 20
    /// Events looked at in one query, so that a shard that has few of a long log isn't one long query.
    private static let reach = 10_000

    /// The log as a consumer follows it; waits while there is nothing.
    package func follow(_ request: RelayFollowRequest, context: RPCContext) async throws -> RelayFollowResponse {
        guard request.shards.allSatisfy({ $0 < request.shardCount }), request.after.conversation <= UInt64(Int64.max),
            request.after.seq <= UInt64(Int64.max)
        else { throw RPCError(.invalid, "There is no such shard or place.") }
        var wait = min(Duration.milliseconds(Int64(request.waitMs)), Self.longest)
        if let deadline = context.deadline {
            // Time to answer in.
            wait = min(wait, .nanoseconds((deadline - .now()).nanoseconds) - .milliseconds(250))
        }
        let end = ContinuousClock.now + wait
        let limit = request.limit == 0 ? 1000 : min(Int(request.limit), 1000)
        let reach = min(Self.reach, max(limit, limit * Int(request.shardCount) / max(request.shards.count, 1)))
        var after = request.after
        // What another shard had has been looked at: not again.
        func look() async throws(RPCError) -> LogStore.Followed {
            while true {
                let found = try await answering {
                    try await store.follow(
                        after: after, shards: request.shards, of: request.shardCount, limit: limit,
                        bytes: Self.bytes, reach: reach)
                }
                after = found.next
                if !found.events.isEmpty || !found.more || ContinuousClock.now >= end { return found }
            }
        }
        var found = try await look()
        if found.events.isEmpty, !found.more, ContinuousClock.now < end {
            found = try await followers.withSignals(every: Self.period) { signals in
                var found = try await look()
                guard found.events.isEmpty else { return found }
                for await _ in signals {
                    try await Task.sleep(for: Self.gather)
                    found = try await look()
                    if !found.events.isEmpty || ContinuousClock.now >= end { break }
                }
                try Task.checkCancellation()
                return found
            }
        }
        var response = RelayFollowResponse()
        response.events = found.events
        response.next = found.next
        response.more = found.more
        return response
    }
}

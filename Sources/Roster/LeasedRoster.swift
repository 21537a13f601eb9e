package import ChatModel
package import Protocol
package import Redis

/// The roster in Redis: applies what nodes report, answers who is connected, removes what is void. Any number of
/// processes share one roster.
package struct LeasedRoster: Sendable {
    package struct Configuration: Sendable {
        /// Of every key; two rosters differ in it.
        package var prefix: String
        /// How long a node's connections count without a report.
        package var lease: Duration = .seconds(5)
        /// How long after it a replaced process is still told from its successor.
        package var memory: Duration = .seconds(60)
        /// How long the loading of a snapshot may pause before it counts as abandoned.
        package var loading: Duration = .seconds(30)
        /// Whether users whose connections changed are noted under `:touched`.
        package var tracksUsers: Bool
        /// Entries in one script: Redis does nothing else meanwhile.
        package var chunk = 500

        package init(prefix: String, tracksUsers: Bool) {
            self.prefix = prefix
            self.tracksUsers = tracksUsers
        }
    }

    /// What became of a report.
    package enum Outcome: Hashable, Sendable {
        case applied
        /// Nothing was applied: the node must report all its connections.
        case snapshotNeeded
        /// Nothing was applied: another process has this node's name, with a greater epoch.
        case stale
    }

    package let configuration: Configuration
    package let redis: RedisClient

    package init(configuration: Configuration, redis: RedisClient) {
        self.configuration = configuration
        self.redis = redis
    }

    // MARK: Reports

    /// Applies a report and renews the node's lease. The same report may come twice.
    package func apply(_ update: RosterUpdate) async throws(RedisError) -> Outcome {
        guard RosterCoding.isValid(node: update.node) else { return .stale }
        return update.snapshot ? try await replace(update) : try await change(update)
    }

    private func change(_ update: RosterUpdate) async throws(RedisError) -> Outcome {
        let joined = update.joined.chunked(configuration.chunk)
        let left = update.left.chunked(configuration.chunk)
        // Between its chunks a change stands under a revision that no report builds on: one that is cut short is made
        // good by a snapshot.
        let count = max(1, joined.count + left.count)
        var base = "\(update.base)"
        for index in 0..<count {
            let revision = index == count - 1 ? "\(update.revision)" : "\(update.base)...\(update.revision)/\(index)"
            let joins = index < joined.count ? joined[index] : []
            let leaves = index >= joined.count && index - joined.count < left.count ? left[index - joined.count] : []
            var arguments: [RedisArgument] = [
                prefix, RedisArgument(update.node), incarnation(update),
                RedisArgument(RosterCoding.epoch(update.epoch)),
                RedisArgument(base), RedisArgument(revision),
                lease, memory, track, RedisArgument(joins.count),
            ]
            for entry in joins { append(entry, to: &arguments) }
            for handle in leaves { arguments.append(RedisArgument(handle)) }
            switch try await word(RosterScripts.change, arguments) {
            case "ok": base = revision
            case "stale": return .stale
            case _: return .snapshotNeeded
            }
        }
        return .applied
    }

    private func replace(_ update: RosterUpdate) async throws(RedisError) -> Outcome {
        let view = RosterView(
            node: update.node, incarnation: update.incarnation, number: UInt64.random(in: 1...UInt64.max))
        let identity: [RedisArgument] = [
            prefix, RedisArgument(update.node), incarnation(update), RedisArgument(RosterCoding.epoch(update.epoch)),
            RedisArgument(view.description),
        ]
        guard try await word(RosterScripts.begin, identity + [loading]) == "ok" else { return .stale }
        let chunks = update.joined.chunked(configuration.chunk)
        for chunk in chunks {
            var arguments: [RedisArgument] = [prefix, RedisArgument(view.description), loading, track]
            for entry in chunk { append(entry, to: &arguments) }
            guard try await word(RosterScripts.fill, arguments) == "ok" else { return .snapshotNeeded }
        }
        let revision = RedisArgument(update.revision)
        switch try await word(RosterScripts.commit, identity + [revision, lease, memory]) {
        case "ok": break
        case "stale": return .stale
        case _: return .snapshotNeeded
        }
        // Marked while they were loaded, some may have been looked at before the view was in force.
        if configuration.tracksUsers {
            for chunk in chunks {
                _ = try await word(RosterScripts.touch, [prefix] + chunk.map { RedisArgument($0.user) })
            }
        }
        return .applied
    }

    /// Ends a node's lease at once, because its registration under this epoch is gone. If it lives after all, its next
    /// report is answered with `snapshotNeeded`.
    package func end(node: String, epoch: Int64) async throws(RedisError) {
        guard RosterCoding.isValid(node: node) else { return }
        _ = try await redis.eval(
            RosterScripts.end,
            arguments: [prefix, RedisArgument(node), RedisArgument(RosterCoding.epoch(epoch))])
    }

    // MARK: Questions

    /// A user's connections, in the order of node and handle.
    package func connections(of user: UserID) async throws(RedisError) -> [RosterConnection] {
        let answer = try await redis.eval(RosterScripts.lookup, arguments: [prefix, RedisArgument(user.rawValue)])
        let words = (answer.array ?? []).map { $0.string ?? "" }
        var found: [RosterConnection] = []
        for at in stride(from: 0, to: words.count - 3, by: 4) {
            guard let view = RosterView(words[at]), let epoch = Int64(words[at + 1]),
                let handle = UInt32(words[at + 2]), let value = RosterCoding.value(words[at + 3][...])
            else { continue }
            found.append(
                RosterConnection(
                    node: view.node, incarnation: view.incarnation, epoch: epoch, handle: handle, user: user,
                    device: value.device, since: value.since))
        }
        return found.sorted { ($0.node, $0.handle) < ($1.node, $1.handle) }
    }

    /// A node's connections in the order of their handles, after one.
    package func connections(
        on node: String, after handle: UInt32?, limit: Int
    ) async throws(RedisError) -> [RosterConnection] {
        guard RosterCoding.isValid(node: node) else { return [] }
        let answer = try await redis.eval(
            RosterScripts.list,
            arguments: [
                prefix, RedisArgument(node), RedisArgument(handle.map(Int64.init) ?? -1), RedisArgument(limit),
            ])
        let words = (answer.array ?? []).map { $0.string ?? "" }
        guard words.count > 2, let view = RosterView(words[0]), let epoch = Int64(words[1]) else { return [] }
        return words[2...].compactMap { word in
            let parts = word.split(separator: "|", maxSplits: 2)
            guard parts.count == 3, let handle = UInt32(parts[0]), let user = UserID(parts[1]),
                let value = RosterCoding.value(parts[2])
            else { return nil }
            return RosterConnection(
                node: view.node, incarnation: view.incarnation, epoch: epoch, handle: handle, user: user,
                device: value.device, since: value.since)
        }
    }

    /// The incarnation and epoch under which a node holds a lease; nil when it holds none.
    package func holder(of node: String) async throws(RedisError) -> (incarnation: UInt64, epoch: Int64)? {
        guard RosterCoding.isValid(node: node) else { return nil }
        let words = try await redis.eval(RosterScripts.holder, arguments: [prefix, RedisArgument(node)]).array ?? []
        guard words.count == 2, let incarnation = UInt64(words[0].string ?? "", radix: 16),
            let epoch = Int64(words[1].string ?? "")
        else { return nil }
        return (incarnation, epoch)
    }

    /// The nodes of which anything is held, in the order of their names; some may hold no lease.
    package func nodes() async throws(RedisError) -> [String] {
        Set(try await views().map(\.node)).sorted()
    }

    private func views() async throws(RedisError) -> [RosterView] {
        let members = try await redis.send("SMEMBERS", [RedisArgument("\(configuration.prefix):views")])
        return (members.array ?? []).compactMap { $0.string.flatMap { RosterView($0) } }
    }

    // MARK: Cleaning up

    /// Removes what belongs to no view in force. Answers how many entries it removed.
    @discardableResult
    package func sweep() async throws(RedisError) -> Int {
        var removed = 0
        for view in try await views() {
            let arguments: [RedisArgument] = [
                prefix, RedisArgument(view.description), RedisArgument(configuration.chunk), track,
            ]
            while let count = try await redis.eval(RosterScripts.sweep, arguments: arguments).int, count >= 0 {
                removed += Int(count)
            }
        }
        return removed
    }

    /// Lua for scripts that derive something from this roster, whose ARGV[1] is the prefix: `now`, in Unix milliseconds,
    /// and `live(view)`, whether a connection of that view counts; the fields of `:user:<user>` are `<view>|<handle>`.
    package static var liveness: String { RosterScripts.live }

    // MARK: Arguments

    private var prefix: RedisArgument { RedisArgument(configuration.prefix) }
    private var lease: RedisArgument { RedisArgument(configuration.lease.milliseconds) }
    private var memory: RedisArgument { RedisArgument((configuration.lease + configuration.memory).milliseconds) }
    private var loading: RedisArgument { RedisArgument(configuration.loading.milliseconds) }
    private var track: RedisArgument { configuration.tracksUsers ? "1" : "0" }
    private func incarnation(_ update: RosterUpdate) -> RedisArgument {
        RedisArgument(String(update.incarnation, radix: 16))
    }

    private func append(_ entry: RosterEntry, to arguments: inout [RedisArgument]) {
        arguments.append(RedisArgument(entry.handle))
        arguments.append(RedisArgument(entry.user))
        arguments.append(RedisArgument(entry.device))
        arguments.append(RedisArgument(entry.sinceMs))
    }

    private func word(_ script: RedisScript, _ arguments: [RedisArgument]) async throws(RedisError) -> String {
        try await redis.eval(script, arguments: arguments).string ?? ""
    }
}

extension Array {
    fileprivate func chunked(_ size: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: count, by: size).map { self[$0..<Swift.min($0 + size, count)] }
    }
}

extension Duration {
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}

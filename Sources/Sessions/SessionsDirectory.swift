package import ChatModel
package import Cluster
package import Logging
package import Protocol
package import RPC
package import RPCTransport
import Redis
package import Roster

/// The directory of connections, and the way to them.
package struct SessionsDirectory: Sendable {
    private let roster: LeasedRoster
    private let membership: @Sendable () -> MembershipSnapshot
    private let node: @Sendable (String) -> (any RPCCaller)?
    private let logger: Logger

    /// - Parameters:
    ///   - membership: what ZooKeeper says now.
    ///   - node: calls to one chat node; nil where it isn't known.
    package init(
        roster: LeasedRoster, membership: @escaping @Sendable () -> MembershipSnapshot,
        node: @escaping @Sendable (String) -> (any RPCCaller)?, logger: Logger
    ) {
        self.roster = roster
        self.membership = membership
        self.node = node
        self.logger = logger
    }

    /// The configuration of the roster that the directory is kept in.
    package static func configuration(prefix: String = "roost:v1:sessions") -> LeasedRoster.Configuration {
        .init(prefix: prefix, tracksUsers: false)
    }

    // MARK: Reports

    /// Applies what a node reports.
    package func report(_ update: RosterUpdate) async throws(RPCError) -> RosterReply {
        guard DirectoryRules.isCurrent(node: update.node, epoch: update.epoch, membership: membership()) else {
            throw RPCError(.conflict, "Another process has this node's name, with a later registration.")
        }
        let outcome: LeasedRoster.Outcome
        do { outcome = try await roster.apply(update) } catch { throw Self.unavailable(error) }
        var reply = RosterReply()
        switch outcome {
        case .applied: break
        case .snapshotNeeded: reply.snapshotNeeded = true
        case .stale: throw RPCError(.conflict, "Another process has this node's name, with a later registration.")
        }
        return reply
    }

    // MARK: Questions

    /// A user's connections, in the order of node and handle.
    package func connections(of user: UserID) async throws(RPCError) -> [RosterConnection] {
        let membership = membership()
        do {
            return try await roster.connections(of: user).filter {
                DirectoryRules.isCurrent(node: $0.node, epoch: $0.epoch, membership: membership)
            }
        } catch {
            throw Self.unavailable(error)
        }
    }

    /// The connections of one node or of all, in the order of node and handle, after a position.
    package func connections(
        on node: String?, after position: DirectoryRules.Position?, limit: Int
    ) async throws(RPCError) -> [RosterConnection] {
        let membership = membership()
        var found: [RosterConnection] = []
        do {
            let nodes = if let node { [node] } else { try await roster.nodes() }
            for node in nodes where position.map({ node >= $0.node }) ?? true {
                let after = position?.node == node ? position?.handle : nil
                let part = try await roster.connections(on: node, after: after, limit: limit - found.count)
                found += part.filter {
                    DirectoryRules.isCurrent(node: $0.node, epoch: $0.epoch, membership: membership)
                }
                if found.count >= limit { break }
            }
        } catch {
            throw Self.unavailable(error)
        }
        return found
    }

    // MARK: Closing

    /// Closes every connection of a device. Every node is told: a connection that has not said hello yet, or that was
    /// lost with Redis, is in no directory.
    ///
    /// - Throws: `unavailable` when a node that may have one didn't answer.
    package func closeDevice(_ request: SessionsCloseDeviceRequest) async throws(RPCError) -> UInt32 {
        let nodes = membership().members(of: DirectoryRules.chatRole).map(\.id)
        var close = ChatCloseRequest()
        close.device = request.device
        close.code = request.code
        close.reason = request.reason
        let answers = await withTaskGroup(of: Result<UInt32, RPCError>.self) { [close] group in
            for name in nodes {
                group.addTask {
                    do throws(RPCError) {
                        return .success(try await self.close(close, on: name))
                    } catch {
                        return .failure(error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var closed: UInt32 = 0
        for answer in answers { closed += try answer.get() }
        return closed
    }

    /// Closes one connection; false when there is none such.
    package func close(_ session: SessionID, code: UInt32, reason: String) async throws(RPCError) -> Bool {
        let holder: (incarnation: UInt64, epoch: Int64)?
        do { holder = try await roster.holder(of: session.node) } catch { throw Self.unavailable(error) }
        guard holder?.incarnation == session.incarnation else { return false }
        var close = ChatCloseRequest()
        close.handle = session.handle
        close.incarnation = session.incarnation
        close.code = code
        close.reason = reason
        return try await self.close(close, on: session.node) > 0
    }

    private func close(_ request: ChatCloseRequest, on name: String) async throws(RPCError) -> UInt32 {
        // A node that left took its connections with it, but it may only have lost ZooKeeper.
        guard let caller = node(name) else { throw RPCError(.unavailable, "The node \(name) can't be reached.") }
        return try await ChatStub(caller).close(request, options: .init(timeout: .seconds(2))).closed
    }

    // MARK: Cleaning up

    /// Removes what counts no longer, every second, until cancelled.
    package func run() async {
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            do {
                try await roster.sweep()
            } catch {
                logger.debug("Could not clean up the directory", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func unavailable(_ error: RedisError) -> RPCError {
        RPCError(.unavailable, "The directory in Redis can't be used now: \(error.code).")
    }
}

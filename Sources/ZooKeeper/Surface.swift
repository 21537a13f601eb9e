package import Logging

/// To be filled in: the surface that others write against.
package final class ZooKeeperClient: Sendable {
    package init(configuration: ZooKeeperConfiguration, logger: Logger) { fatalError("not yet") }
    package func run() async throws { fatalError("not yet") }
    package var state: ZooKeeperState { fatalError("not yet") }
    package var states: AsyncStream<ZooKeeperState> { fatalError("not yet") }
    package var session: ZooKeeperSession? { fatalError("not yet") }
    package var suspendedFor: Duration? { fatalError("not yet") }
    package var isPresumedExpired: Bool { fatalError("not yet") }
    package func connected(within timeout: Duration? = nil) async throws(ZooKeeperError) { fatalError("not yet") }
    @discardableResult
    package func create(
        _ path: String, data: [UInt8] = [], mode: ZooKeeperCreateMode = .persistent, acl: ZooKeeperACL? = nil
    ) async throws(ZooKeeperError) -> (path: String, stat: ZooKeeperStat) { fatalError("not yet") }
    package func createAll(_ path: String) async throws(ZooKeeperError) { fatalError("not yet") }
    package func get(_ path: String) async throws(ZooKeeperError) -> (data: [UInt8], stat: ZooKeeperStat) {
        fatalError("not yet")
    }
    @discardableResult
    package func set(
        _ path: String, data: [UInt8], version: Int32? = nil
    ) async throws(ZooKeeperError) -> ZooKeeperStat { fatalError("not yet") }
    package func delete(_ path: String, version: Int32? = nil) async throws(ZooKeeperError) { fatalError("not yet") }
    package func exists(_ path: String) async throws(ZooKeeperError) -> ZooKeeperStat? { fatalError("not yet") }
    package func children(_ path: String) async throws(ZooKeeperError) -> [String] { fatalError("not yet") }
    @discardableResult
    package func multi(
        _ operations: [ZooKeeperOperation]
    ) async throws(ZooKeeperError) -> [ZooKeeperOperationResult] { fatalError("not yet") }
}

package final class EphemeralRegistration: Sendable {
    package init(client: ZooKeeperClient, path: String, data: [UInt8], takesOver: Bool = true, logger: Logger) {
        fatalError("not yet")
    }
    package func run() async throws { fatalError("not yet") }
    package func update(_ data: [UInt8]) { fatalError("not yet") }
    package var epoch: Int64? { fatalError("not yet") }
    package var epochs: AsyncStream<Int64?> { fatalError("not yet") }
}

/// A child of a watched node, with its data.
package struct GroupMember: Sendable, Equatable {
    package var name: String
    package var data: [UInt8]
    package var czxid: Int64
    package var version: Int32
    package init(name: String, data: [UInt8], czxid: Int64, version: Int32) {
        self.name = name
        self.data = data
        self.czxid = czxid
        self.version = version
    }
}

/// The members of a group as of one moment, in the order of their names.
package struct GroupSnapshot: Sendable, Equatable {
    package var members: [GroupMember]
    package var stale: Bool
    package var version: UInt64
    package init(members: [GroupMember], stale: Bool, version: UInt64) {
        self.members = members
        self.stale = stale
        self.version = version
    }
}

package final class GroupView: Sendable {
    package init(client: ZooKeeperClient, path: String, logger: Logger) { fatalError("not yet") }
    package func run() async throws { fatalError("not yet") }
    package var current: GroupSnapshot { fatalError("not yet") }
    package var members: [GroupMember] { fatalError("not yet") }
    package var changes: AsyncStream<GroupSnapshot> { fatalError("not yet") }
}

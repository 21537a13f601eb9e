/// What ZooKeeper knows of a node besides its data.
package struct ZooKeeperStat: Sendable, Equatable {
    /// The transaction that created the node: grows over the whole ensemble, so it serves as the epoch of a registration.
    package var czxid: Int64
    /// The transaction that last changed its data.
    package var mzxid: Int64
    /// The transaction that last changed the set of its children.
    package var pzxid: Int64
    /// When it was created and last changed, in Unix milliseconds by the server's clock.
    package var createdAt: Int64
    package var modifiedAt: Int64
    /// How often its data, its set of children and its access list changed.
    package var version: Int32
    package var childrenVersion: Int32
    package var aclVersion: Int32
    /// The session that owns an ephemeral node; 0 for the others.
    package var ephemeralOwner: Int64
    package var dataLength: Int32
    package var childrenCount: Int32
}

/// How a node is created.
package struct ZooKeeperCreateMode: OptionSet, Sendable {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    /// It lives until it is deleted, under the name that was asked for.
    package static let persistent: ZooKeeperCreateMode = []
    /// It goes with the session that created it.
    package static let ephemeral = ZooKeeperCreateMode(rawValue: 1)
    /// Its name gets a suffix of ten digits that grows with each such child of its parent.
    package static let sequential = ZooKeeperCreateMode(rawValue: 2)
}

/// One step of a `multi`, which is carried out as a whole or not at all.
package enum ZooKeeperOperation: Sendable {
    case create(String, data: [UInt8], mode: ZooKeeperCreateMode = .persistent, acl: ZooKeeperACL? = nil)
    case set(String, data: [UInt8], version: Int32? = nil)
    case delete(String, version: Int32? = nil)
    /// Fails unless the node exists (in that version).
    case check(String, version: Int32? = nil)

    var path: String {
        switch self {
        case .create(let path, _, _, _), .set(let path, _, _), .delete(let path, _), .check(let path, _): path
        }
    }
}

/// What came of a step of a `multi`.
package enum ZooKeeperOperationResult: Sendable, Equatable {
    /// Created, under this path (it differs from the one asked for if the node is sequential).
    case created(String)
    case set(ZooKeeperStat)
    case deleted
    case checked
}

/// Why an operation on ZooKeeper failed.
package struct ZooKeeperError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong.
    package enum Code: Sendable, Hashable {
        /// The node doesn't exist.
        case noNode
        /// The node exists already.
        case nodeExists
        /// The node's version isn't the expected one.
        case badVersion
        /// The node has children.
        case notEmpty
        /// An ephemeral node can't have children.
        case noChildrenForEphemerals
        /// The node's access list doesn't allow it.
        case noAuth
        /// The server refused the credentials.
        case authFailed
        /// The access list is invalid.
        case invalidACL
        /// A path, a server list or another argument is invalid.
        case badArguments
        /// There was no connection until the deadline; the operation was not sent.
        case notConnected
        /// The connection was lost while the answer was awaited: the operation may have been carried out or not.
        case connectionLoss
        /// No answer until the deadline: the operation may have been carried out or not.
        case timeout
        /// The session is gone, and with it its ephemeral nodes.
        case sessionExpired
        /// The client is closed or isn't running.
        case closed
        /// The calling task was cancelled: the operation may have been carried out or not.
        case cancelled
        /// Another code of the C client (see zookeeper.h).
        case other(Int32)
    }

    package var code: Code
    /// The node, if it was about one.
    package var path: String?
    /// What was attempted, such as `create`.
    package var attempted: String

    package init(code: Code, path: String? = nil, attempted: String) {
        self.code = code
        self.path = path
        self.attempted = attempted
    }

    /// Whether a retry may succeed without anything else being done; it says nothing of whether a retry is harmless.
    package var isTransient: Bool {
        switch self.code {
        case .notConnected, .connectionLoss, .timeout, .sessionExpired: true
        case .noNode, .nodeExists, .badVersion, .notEmpty, .noChildrenForEphemerals, .noAuth, .authFailed, .invalidACL,
            .badArguments, .closed, .cancelled, .other:
            false
        }
    }

    package var description: String {
        "ZooKeeper: \(self.attempted)\(self.path.map { " " + $0 } ?? ""): \(self.code)"
    }
}

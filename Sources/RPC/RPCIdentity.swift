/// Who is at one end of a connection, as it said, and proved, in the handshake.
package struct RPCIdentity: Sendable, Hashable, CustomStringConvertible {
    /// `chat`, `relay` …; what kind of process it is.
    package var role: String
    /// The node's id within its role.
    package var id: String

    package init(role: String, id: String) {
        self.role = role
        self.id = id
    }

    package var description: String { "\(role)/\(id)" }
}

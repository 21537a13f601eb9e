/// One process that serves a role, as the membership knows it.
package struct RPCPeer: Sendable, Hashable {
    /// The node's id; its handshake must state the same.
    package var id: String
    /// `host:port`.
    package var address: String
    /// The czxid of its znode: the same id with another epoch is another incarnation, to which connections are made anew.
    package var epoch: Int64

    package init(id: String, address: String, epoch: Int64) {
        self.id = id
        self.address = address
        self.epoch = epoch
    }
}

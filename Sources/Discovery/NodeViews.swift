import Cluster
import Hummingbird
import ServiceKit

/// How a WebSocket client reaches a node.
struct NodeAddressing: Sendable {
    /// The gateway's WebSocket URL; nil: straight to the node.
    private let gateway: String?

    init(configuration: RoostConfiguration) {
        if configuration.direct {
            gateway = nil
        } else {
            // http → ws, https → wss.
            gateway = "ws" + configuration.publicURL.dropFirst("http".count)
        }
    }

    func url(_ record: NodeRecord) -> String {
        let path = "/chat-service/v1/ws?node=\(record.id)"
        if let gateway { return gateway + path }
        return record.url ?? "ws://\(record.http)\(path)"
    }
}

/// `GET /discovery-service/v1/node`.
struct PickedNode: ResponseEncodable {
    struct Node: Encodable {
        var id: String
        var url: String
        var zone: String
        var state: String
    }

    struct Membership: Encodable {
        var version: UInt64
        var stale: Bool
    }

    var node: Node
    var membership: Membership
}

/// A node as operators see it.
struct NodeView: Encodable {
    /// Only where several roles are listed.
    var role: String?
    var id: String
    var state: String
    var address: String
    var rpc: String
    var url: String?
    var zone: String
    var version: String
    var startedAt: Timestamp
    var connections: Int
    var capacity: Int
    var load: Double
    var epoch: Int64

    init(_ member: Member, addressing: NodeAddressing, withRole: Bool = false) {
        let record = member.record
        role = withRole ? record.role : nil
        id = record.id
        state = record.state.rawValue
        address = record.http
        rpc = record.rpc
        url = record.role == NodeDirectory.loadedRole ? addressing.url(record) : nil
        zone = record.zone
        version = record.version
        startedAt = Timestamp(milliseconds: record.startedAt)
        connections = record.connections
        capacity = record.capacity
        load = record.load
        epoch = member.epoch
    }
}

/// A list of nodes as of one membership.
struct NodeList: ResponseEncodable {
    var items: [NodeView]
    var version: UInt64
    var stale: Bool
}

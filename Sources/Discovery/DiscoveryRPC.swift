import Cluster
import Protocol
import RPC
import RPCTransport
import ServiceKit

/// What discovery answers over RPC.
struct DiscoveryRPC: DiscoveryService {
    let directory: NodeDirectory
    let addressing: NodeAddressing

    func pick(_ request: DiscoveryPickRequest, context: RPCContext) async throws -> DiscoveryPickResponse {
        guard let choice = directory.pick(excluding: Set(request.exclude)) else {
            throw RPCError(.unavailable, "No chat node serves now.")
        }
        var response = DiscoveryPickResponse()
        response.node = wire(choice.member)
        response.membershipVersion = choice.snapshot.version
        response.stale = choice.snapshot.stale
        return response
    }

    func nodes(_ request: DiscoveryNodesRequest, context: RPCContext) async throws -> DiscoveryNodesResponse {
        let snapshot = directory.snapshot
        var response = DiscoveryNodesResponse()
        response.nodes = snapshot.members(of: request.role).map(wire)
        response.version = snapshot.version
        response.stale = snapshot.stale
        return response
    }

    private func wire(_ member: Member) -> DiscoveryNode {
        let record = member.record
        var node = DiscoveryNode()
        node.id = record.id
        node.role = record.role
        node.state = record.state.rawValue
        node.rpc = record.rpc
        node.http = record.http
        node.url = record.role == NodeDirectory.loadedRole ? addressing.url(record) : ""
        node.zone = record.zone
        node.version = record.version
        node.startedAtMs = record.startedAt
        node.connections = UInt32(clamping: record.connections)
        node.capacity = UInt32(clamping: record.capacity)
        node.load = record.load
        node.epoch = member.epoch
        return node
    }
}

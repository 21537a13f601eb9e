import Cluster
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceKit

extension HTTPField.Name {
    static let upstream = HTTPField.Name("X-Upstream")!
    static let node = HTTPField.Name("X-Node")!
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering")!
}

/// What discovery answers over HTTP.
struct DiscoveryRoutes: Sendable {
    private let directory: NodeDirectory
    private let addressing: NodeAddressing
    private let health: HealthCheck

    init(directory: NodeDirectory, configuration: RoostConfiguration) {
        self.directory = directory
        health = HealthCheck(directory: directory)
        addressing = NodeAddressing(configuration: configuration)
    }

    func add(to router: Router<RoostRequestContext>) {
        router.get("/_route") { request, _ in try route(request) }
        router.get("/healthz") { _, _ in try await healthz() }
        let group = router.group("/discovery-service/v1")
        group.get("node") { _, _ in try node() }
        group.get("nodes") { _, context in
            try context.requireAdmin()
            let snapshot = directory.snapshot
            return list(snapshot.members(of: NodeDirectory.loadedRole), snapshot, withRole: false)
        }
        group.get("services") { _, context in
            try context.requireAdmin()
            let snapshot = directory.snapshot
            let members = snapshot.membersByRole.sorted { $0.key < $1.key }.flatMap(\.value)
            return list(members, snapshot, withRole: true)
        }
        group.get("nodes/events") { _, context in
            try context.requireAdmin()
            return NodeEvents(directory: directory, addressing: addressing).response()
        }
    }

    private func healthz() async throws(Problem) -> Response {
        let complaints = await health.complaints()
        guard complaints.isEmpty else { throw .unavailable(complaints.joined(separator: "; ")) }
        return Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(string: #"{"status":"ok"}"#)))
    }

    private func node() throws(Problem) -> PickedNode {
        guard let choice = directory.pick() else { throw .unavailable("No chat node serves now.") }
        let record = choice.member.record
        return PickedNode(
            node: .init(
                id: record.id, url: addressing.url(record), zone: record.zone, state: record.state.rawValue),
            membership: .init(version: choice.snapshot.version, stale: choice.snapshot.stale))
    }

    private func list(_ members: [Member], _ snapshot: MembershipSnapshot, withRole: Bool) -> NodeList {
        NodeList(
            items: members.map { NodeView($0, addressing: addressing, withRole: withRole) },
            version: snapshot.version, stale: snapshot.stale)
    }

    /// For the gateway's subrequest: `role`, and maybe `node` and `exclude` (ids or addresses, comma-separated). Answers 204
    /// with the address to connect to, 503 when no one serves the role.
    private func route(_ request: Request) throws(Problem) -> Response {
        let query = request.uri.queryParameters
        guard let role = query["role"].map(String.init), !role.isEmpty else {
            throw .field("role", "is missing")
        }
        let node = query["node"].map(String.init).flatMap { $0.isEmpty ? nil : $0 }
        let excluded = Set((query["exclude"] ?? "").split(separator: ",").map(String.init))
        guard let member = directory.route(role: role, node: node, excluding: excluded) else {
            throw .unavailable("No one serves \(role) now.")
        }
        return Response(
            status: .noContent, headers: [.upstream: member.record.http, .node: member.id, .cacheControl: "no-store"])
    }
}

import ChatModel
package import Hummingbird
package import Protocol
import RPC
package import RPCTransport
import Redis
import Roster
package import ServiceKit

/// The sessions service: the directory of connections over RPC, and for operators over REST.
package struct SessionsRole: Role {
    package static let name = "sessions"

    private let directory: SessionsDirectory

    package init(context: ServiceContext) async throws {
        let redis = try context.redis()
        let chat = context.pool(DirectoryRules.chatRole)
        let membership = context.membership
        directory = SessionsDirectory(
            roster: LeasedRoster(configuration: SessionsDirectory.configuration(), redis: redis),
            membership: { membership.current }, node: { chat.caller(to: $0) }, logger: context.logger)
    }

    package var rpcServices: [any RPCService] { [SessionsRegistration(SessionsRPC(directory: directory))] }

    package func routes(_ router: Router<RoostRequestContext>) { SessionsRoutes(directory: directory).add(to: router) }

    package func run() async throws { await directory.run() }
}

/// The RPC interface.
package struct SessionsRPC: SessionsService {
    private let directory: SessionsDirectory

    package init(directory: SessionsDirectory) { self.directory = directory }

    package func report(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply {
        try await directory.report(request)
    }

    package func closeDevice(
        _ request: SessionsCloseDeviceRequest, context: RPCContext
    ) async throws -> SessionsCloseDeviceResponse {
        var response = SessionsCloseDeviceResponse()
        response.closed = try await directory.closeDevice(request)
        return response
    }
}

/// The REST interface, for operators: `/sessions-service/v1`.
package struct SessionsRoutes: Sendable {
    private let directory: SessionsDirectory

    /// WebSocket close code: closed by an operator.
    private static let code: UInt32 = 4403

    package init(directory: SessionsDirectory) { self.directory = directory }

    package func add(to router: Router<RoostRequestContext>) {
        let group = router.group("/sessions-service/v1")
        group.get("sessions", use: list)
        group.delete("sessions/:session", use: close)
    }

    private struct Item: Encodable, Sendable {
        var session: String
        var user: String
        var device: String
        var node: String
        var since: Timestamp

        init(_ connection: RosterConnection) {
            session =
                SessionID(
                    node: connection.node, incarnation: connection.incarnation, handle: connection.handle
                ).description
            user = connection.user.description
            device = connection.device.description
            node = connection.node
            since = Timestamp(milliseconds: connection.since)
        }
    }

    @Sendable private func list(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        try context.requireAdmin()
        let page = try Page(request)
        let position = try page.cursor.map { cursor throws(Problem) in
            guard let position = DirectoryRules.Position(cursor: cursor) else {
                throw .field("cursor", "is not one of ours")
            }
            return position
        }
        let node = request.uri.queryParameters["node"].map(String.init)
        var found: [RosterConnection]
        if let text = request.uri.queryParameters["user"] {
            guard let user = UserID(text) else { throw Problem.field("user", "is not a user's id") }
            found = try await directory.connections(of: user).filter { connection in
                (node == nil || connection.node == node)
                    && (position.map { ($0.node, $0.handle) < (connection.node, connection.handle) } ?? true)
            }
        } else {
            found = try await directory.connections(on: node, after: position, limit: page.limit + 1)
        }
        let more = found.count > page.limit
        found = Array(found.prefix(page.limit))
        let next = more ? found.last.map { DirectoryRules.Position(node: $0.node, handle: $0.handle).cursor } : nil
        return try .json(PageResponse(items: found.map(Item.init), next: next))
    }

    @Sendable private func close(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        try context.requireAdmin()
        let closed = try await close(session: context.parameters.get("session") ?? "")
        guard closed else { throw Problem.notFound("There is no such session.") }
        return Response(status: .noContent)
    }

    // A function of its own, and no `try await` within a condition: Swift 6.3.1 crashes when it optimises that.
    private func close(session text: String) async throws -> Bool {
        guard let session = SessionID(text) else { return false }
        return try await directory.close(session, code: Self.code, reason: "closed by an operator")
    }
}

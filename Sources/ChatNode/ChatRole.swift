package import Cluster
import Logging
import NIOCore
import Protocol
package import RPCTransport
import RPC
package import ServiceKit
import WebSocketEdge

/// The role `chat`: clients' WebSockets.
package struct ChatRole: Role {
    package static let name = "chat"
    package static let servesOwnHTTP = true

    private let context: ServiceContext
    private let node: ChatNode

    package init(context: ServiceContext) async throws {
        self.context = context
        var configuration = ChatConfiguration(nodeID: context.configuration.nodeID)
        configuration.edge.host = context.configuration.httpHost
        configuration.edge.port = context.configuration.httpPort
        configuration.edge.origins = Self.origins(context.configuration.publicURL)
        configuration.limits = context.configuration.limits ? ChatLimits(context.configuration.socketLimits) : nil
        let relays = context.pool("relay")
        let backend = ChatBackend(
            users: context.pool("users"), messages: context.pool("messages"),
            groupMessages: context.pool("group-messages"), sessions: context.pool("sessions"),
            lastSeen: context.pool("last-seen"), relay: relays, relays: { Set(relays.peers.map(\.id)) },
            relayNamed: { relays.caller(to: $0) }, relayForKey: { relays.peer(forKey: $0)?.id })
        let operations = context.operations
        node = try await ChatNode(
            configuration: configuration, backend: backend, eventLoopGroup: context.eventLoopGroup,
            logger: context.logger, now: { UnixClock.now() },
            respond: { path in
                guard let answer = await operations.answer(path) else { return nil }
                return HTTPResponse(status: answer.status, text: answer.body, contentType: answer.contentType)
            })
    }

    package var rpcServices: [any RPCService] { [ChatRegistration(node)] }

    package func readiness() async -> [String] {
        var reasons: [String] = []
        for role in ["users", "messages", "group-messages", "relay"]
        where context.membership.current.members(of: role).isEmpty {
            reasons.append("no \(role) is registered")
        }
        return reasons
    }

    package func run() async throws {
        let metrics = ChatMetricsExport(context.metrics)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await node.run() }
            group.addTask {
                for await epoch in context.epochs(of: Self.name) { node.setEpoch(epoch ?? 0) }
                try await Task.sleep(for: .seconds(1 << 30))
            }
            group.addTask {
                while !Task.isCancelled {
                    let (chat, edge) = await node.metrics()
                    metrics.export(chat, edge)
                    try await Task.sleep(for: .seconds(1))
                }
            }
            // The node takes its time to say goodbye; the others have nothing to finish.
            while let result = await group.nextResult() {
                switch result {
                case .success: group.cancelAll()
                case .failure(let error):
                    if Task.isCancelled || error is CancellationError { continue }
                    throw error
                }
            }
        }
    }

    package var httpAddress: String? { get async { try? await node.edge.boundAddress() } }

    package var load: (connections: Int, capacity: Int) { (node.connections, context.configuration.capacity) }

    package var state: NodeRecord.State { .serving }

    /// The public address's own pages may always connect, also straight to a node.
    private static func origins(_ publicURL: String) -> Set<String> {
        guard let scheme = publicURL.firstRange(of: "://") else { return [] }
        let host = publicURL[scheme.upperBound...].prefix { $0 != "/" }
        return [String(publicURL[..<scheme.upperBound] + host)]
    }
}

/// The node's counters as the registry has them.
private struct ChatMetricsExport: Sendable {
    private let registry: MetricsRegistry

    init(_ registry: MetricsRegistry) {
        self.registry = registry
        for (name, help) in [
            ("roost_chat_connections", "WebSockets open."),
            ("roost_chat_sessions", "Connections that have said hello."),
            ("roost_chat_accepted_total", "TCP connections accepted."),
            ("roost_chat_upgrades_refused_total", "Requests refused before the upgrade."),
            ("roost_chat_messages_received_total", "Frames received from clients."),
            ("roost_chat_frames_sent_total", "Frames written to clients."),
            ("roost_chat_bytes_received_total", "Bytes received from clients."),
            ("roost_chat_bytes_sent_total", "Bytes written to clients."),
            ("roost_chat_events_total", "Events given to clients, by source."),
            ("roost_chat_pushes_dropped_total", "Pushes not passed on, by reason."),
            ("roost_chat_syncs_total", "Readings of the log, by reason."),
            ("roost_chat_sends_total", "Messages that clients sent."),
            ("roost_chat_send_errors_total", "Messages answered with an error."),
            ("roost_chat_frames_refused_total", "Frames refused, by reason."),
            ("roost_chat_closed_total", "Connections closed by the node, by reason."),
            ("roost_chat_acknowledgements_total", "Acknowledgements passed on, by outcome."),
            ("roost_chat_ack_seconds", "Seconds from a send to its ack."),
        ] { registry.describe(name, help) }
    }

    /// What has been counted so far: totals, so that a scrape never sees one go back.
    func export(_ chat: ChatMetrics, _ edge: EdgeMetrics) {
        func set(_ name: String, _ value: UInt64, _ labels: [(String, String)] = []) {
            registry.counter(name, labels).take(total: value)
        }
        registry.gauge("roost_chat_connections").set(Int64(edge.open))
        registry.gauge("roost_chat_sessions").set(Int64(chat.sessions))
        set("roost_chat_accepted_total", edge.accepted)
        set("roost_chat_upgrades_refused_total", edge.refused)
        set("roost_chat_messages_received_total", edge.messagesIn)
        set("roost_chat_frames_sent_total", edge.framesOut)
        set("roost_chat_bytes_received_total", edge.bytesIn)
        set("roost_chat_bytes_sent_total", edge.bytesOut)
        set("roost_chat_events_total", chat.pushed, [("source", "push")])
        set("roost_chat_events_total", chat.read, [("source", "log")])
        set("roost_chat_pushes_dropped_total", chat.repeats, [("reason", "repeat")])
        set("roost_chat_pushes_dropped_total", chat.handleMisses, [("reason", "gone")])
        set("roost_chat_pushes_dropped_total", chat.foreign, [("reason", "foreign")])
        set("roost_chat_syncs_total", chat.syncs, [("reason", "all")])
        set("roost_chat_syncs_total", chat.gaps, [("reason", "gap")])
        set("roost_chat_syncs_total", chat.lagging, [("reason", "slow")])
        set("roost_chat_syncs_total", chat.syncFailures, [("reason", "failed")])
        set("roost_chat_sends_total", chat.sends)
        set("roost_chat_send_errors_total", chat.sendErrors)
        set("roost_chat_frames_refused_total", chat.malformed, [("reason", "malformed")])
        set("roost_chat_frames_refused_total", chat.limited, [("reason", "rate")])
        set("roost_chat_closed_total", edge.violations, [("reason", "violation")])
        set("roost_chat_closed_total", edge.heartbeatsMissed, [("reason", "heartbeat")])
        set("roost_chat_closed_total", edge.stalled, [("reason", "stalled")])
        set("roost_chat_closed_total", chat.expelled, [("reason", "expelled")])
        set("roost_chat_acknowledgements_total", chat.acknowledged, [("outcome", "taken")])
        set("roost_chat_acknowledgements_total", chat.acknowledgeFailures, [("outcome", "failed")])
        registry.histogram("roost_chat_ack_seconds", buckets: ChatMetrics.latencyBounds)
            .take(counts: chat.latency, sum: chat.latencySum)
    }
}

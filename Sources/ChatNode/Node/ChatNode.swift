import ChatModel
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
package import Protocol
import RPC
package import RPCTransport
package import WebSocketEdge

/// A chat node: its connections, shard by event loop, and what all of them share.
package final class ChatNode: Sendable {
    package let configuration: ChatConfiguration
    package let backend: ChatBackend
    /// Tells this process from others of the same name: handles are only good with it.
    package let incarnation: UInt64
    package let logger: Logger
    /// Unix milliseconds.
    let now: @Sendable () -> Int64
    /// nil: no limits.
    let users: UserTable?
    /// Answers `/livez`, `/readyz`, `/metrics`.
    private let respond: @Sendable (String) async -> HTTPResponse?
    private let connected = NIOLockedValueBox(0)
    /// Set once in `init`. The parts refer to the node as it does to them: a node lives as long as its process.
    private let parts = NIOLockedValueBox<Parts?>(nil)

    private struct Parts {
        var shards: [NIOLoopBound<NodeShard>]
        var shardsByLoop: [ObjectIdentifier: NIOLoopBound<NodeShard>]
        var roster: RosterPublisher
        var edge: EdgeServer
    }

    package var nodeID: String { configuration.nodeID }

    package init(
        configuration: ChatConfiguration, backend: ChatBackend, eventLoopGroup: any EventLoopGroup, logger: Logger,
        incarnation: UInt64 = .random(in: 1 ... .max), now: @escaping @Sendable () -> Int64,
        respond: @escaping @Sendable (String) async -> HTTPResponse?
    ) async throws {
        self.configuration = configuration
        self.backend = backend
        self.incarnation = incarnation
        self.logger = logger
        self.now = now
        users = configuration.limits.map(UserTable.init(limits:))
        self.respond = respond
        let loops = Array(eventLoopGroup.makeIterator())
        var shards: [NIOLoopBound<NodeShard>] = []
        for (index, loop) in loops.enumerated() {
            shards.append(
                try await loop.submit {
                    NIOLoopBound(
                        NodeShard(node: self, loop: loop, index: index, of: loops.count, logger: logger),
                        eventLoop: loop)
                }.get())
        }
        let bound = shards
        let roster = RosterPublisher(
            node: configuration.nodeID, incarnation: incarnation, configuration: configuration, backend: backend,
            loop: loops[0], logger: logger
        ) {
            for shard in bound { shard.eventLoop.execute { shard.value.readAgain() } }
        }
        let edge = try await EdgeServer(
            configuration: configuration.edge, delegate: self, eventLoopGroup: eventLoopGroup, logger: logger)
        parts.withLockedValue {
            $0 = Parts(
                shards: bound,
                shardsByLoop: Dictionary(
                    uniqueKeysWithValues: bound.map { (ObjectIdentifier($0.eventLoop), $0) }),
                roster: roster, edge: edge)
        }
    }

    private var shards: [NIOLoopBound<NodeShard>] { parts.withLockedValue { $0?.shards ?? [] } }
    package var edge: EdgeServer { parts.withLockedValue { $0!.edge } }
    var roster: RosterPublisher { parts.withLockedValue { $0!.roster } }

    /// Sockets open.
    package var connections: Int { connected.withLockedValue { $0 } }

    func countConnections(_ change: Int) { connected.withLockedValue { $0 += change } }

    /// The node's czxid; 0: it has none.
    package func setEpoch(_ epoch: Int64) { roster.setEpoch(epoch) }

    // MARK: Life

    /// Serves until cancelled, then says goodbye to every client, passes on what they acknowledged, and returns.
    package func run() async throws {
        for shard in shards { try await shard.eventLoop.submit { shard.value.start() }.get() }
        roster.start()
        do {
            try await edge.run(farewell: { await self.farewell() })
        } catch {
            await stop()
            throw error
        }
        await stop()
    }

    private func farewell() async {
        for shard in shards { try? await shard.eventLoop.submit { shard.value.goaway("shutdown") }.get() }
        for shard in shards {
            let promise = shard.eventLoop.makePromise(of: Void.self)
            shard.eventLoop.execute { shard.value.flush(promise) }
            try? await promise.futureResult.get()
        }
    }

    private func stop() async {
        roster.stop()
        for shard in shards { try? await shard.eventLoop.submit { shard.value.stop() }.get() }
    }

    /// What has been counted so far.
    package func metrics() async -> (chat: ChatMetrics, edge: EdgeMetrics) {
        var sum = ChatMetrics()
        for shard in shards {
            if let metrics = try? await shard.eventLoop.submit({ shard.value.metrics }).get() { sum = sum + metrics }
        }
        guard let edge = parts.withLockedValue({ $0?.edge }) else { return (sum, EdgeMetrics()) }
        return (sum, await edge.metrics())
    }
}

// MARK: - Edge

extension ChatNode: EdgeDelegate {
    package func authenticate(
        _ request: UpgradeRequest, on loop: any EventLoop,
        completion: @escaping @Sendable (Result<EdgeDelegate.Opener, HTTPProblem>) -> Void
    ) {
        guard let shard = parts.withLockedValue({ $0?.shardsByLoop[ObjectIdentifier(loop)] }) else {
            completion(.failure(.unavailable))
            return
        }
        var call = UsersAuthenticateRequest()
        switch request.credential {
        case .ticket(let ticket): call.ticket = ticket
        case .bearer(let token): call.accessToken = token
        }
        // A ticket is good once, so the call must not be made twice.
        let options = CallOptions(timeout: .seconds(5), retries: false)
        UsersStub(backend.users).authenticate(call, options: options, on: loop) { [logger] result in
            switch result {
            case .success(let response):
                let (user, device) = (UserID(rawValue: response.user), DeviceID(rawValue: response.device))
                completion(.success { shard.value.open($0, user: user, device: device) })
            case .failure(let error):
                switch error.code {
                case .unauthorized, .invalid, .forbidden, .notFound, .conflict, .tooLarge:
                    completion(.failure(.unauthorized))
                case .rateLimited, .unavailable, .deadlineExceeded, .cancelled, .unimplemented, .internalError:
                    logger.warning("A ticket can't be checked.", metadata: ["error": "\(error)"])
                    completion(.failure(.unavailable))
                }
            }
        }
    }

    package func respond(to path: String) async -> HTTPResponse? { await respond(path) }
}

// MARK: - RPC

extension ChatNode: ChatService {
    package func deliver(_ request: ChatDeliverRequest, context: RPCContext) async throws -> ChatDeliverResponse {
        deliver(request)
        return ChatDeliverResponse()
    }

    /// Hands deliveries to the connections' loops; on a connection's own loop it happens now.
    package func deliver(_ request: ChatDeliverRequest) {
        for shard in shards {
            if shard.eventLoop.inEventLoop {
                deliver(request, to: shard.value)
            } else {
                shard.eventLoop.execute { self.deliver(request, to: shard.value) }
            }
        }
    }

    private func deliver(_ request: ChatDeliverRequest, to shard: NodeShard) {
        guard request.incarnation == incarnation else {
            shard.metrics.foreign += 1
            return
        }
        shard.deliver(request)
    }

    package func close(_ request: ChatCloseRequest, context: RPCContext) async throws -> ChatCloseResponse {
        var response = ChatCloseResponse()
        response.closed = await close(request)
        return response
    }

    /// Closes connections; how many.
    package func close(_ request: ChatCloseRequest) async -> UInt32 {
        if case .handle = request.target, request.incarnation != incarnation { return 0 }
        var closed: UInt32 = 0
        for shard in shards {
            closed += (try? await shard.eventLoop.submit { shard.value.close(request) }.get()) ?? 0
        }
        return closed
    }
}

package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
import NIOSSL
import RPC
import ServiceLifecycle

/// Serves calls on a TCP port.
package final class RPCServer: Sendable {
    private struct State {
        var binding: Result<HostPort, any Error>?
        var waiters: [UnsafeContinuation<Void, Never>] = []
        var listener: (any Channel)?
        var connections: [ObjectIdentifier: ServerConnection] = [:]
        var isShuttingDown = false
    }

    private let configuration: RPCServerConfiguration
    private let methods: [UInt32: RPCServiceMethod]
    private let eventLoopGroup: any EventLoopGroup
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    /// - Precondition: no two methods have the same id.
    package init(
        configuration: RPCServerConfiguration, services: [any RPCService], eventLoopGroup: any EventLoopGroup,
        logger: Logger
    ) {
        var methods: [UInt32: RPCServiceMethod] = [:]
        for method in services.flatMap(\.methods) {
            let other = methods.updateValue(method, forKey: method.descriptor.id)
            precondition(
                other == nil,
                "\(method.descriptor.name) and \(other?.descriptor.name ?? "") have the same id: rename one")
        }
        self.configuration = configuration
        self.methods = methods
        self.eventLoopGroup = eventLoopGroup
        self.logger = logger
    }

    /// Serves until the task is cancelled or a graceful shutdown begins, then tells clients to go away and lets open
    /// calls finish, up to the drain time-out. Throws when the port can't be bound.
    package func run() async throws {
        let accepted = AsyncStream.makeStream(of: ServerConnection.self)
        do {
            try await bind(accepted.continuation)
        } catch {
            bound(.failure(error))
            throw error
        }
        // A task of its own: cancelling the one who runs must not cancel the open calls, which may finish.
        let serving = Task { await self.serve(accepted.stream) }
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await serving.value
            } onGracefulShutdown: {
                self.shutdown()
            }
        } onCancel: {
            self.shutdown()
        }
    }

    /// The address it is bound to, `host:port`; waits until it is. Throws when binding failed.
    package func boundAddress() async throws -> String {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            let isKnown = state.withLockedValue { state in
                if state.binding != nil { return true }
                state.waiters.append(continuation)
                return false
            }
            if isKnown { continuation.resume() }
        }
        let binding = state.withLockedValue { $0.binding }
        return try binding?.get().description ?? ""
    }

    /// Starts the end: no new calls, the open ones finish, then `run` returns.
    package func shutdown() {
        let (listener, connections) = state.withLockedValue { state in
            state.isShuttingDown = true
            return (state.listener, Array(state.connections.values))
        }
        listener?.close(promise: nil)
        for connection in connections { connection.channel.eventLoop.execute { connection.drain() } }
        eventLoopGroup.next().scheduleTask(in: TimeAmount(configuration.drainTimeout)) {
            for connection in self.state.withLockedValue({ Array($0.connections.values) }) { connection.close() }
        }
    }

    // MARK: -

    private func bind(_ accepted: AsyncStream<ServerConnection>.Continuation) async throws {
        let tls = try configuration.security.serverTLS.map { try NIOSSLContext(configuration: $0) }
        let listener = try await ServerBootstrap(group: eventLoopGroup)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator.rpc)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    let connection = self.makeConnection(channel)
                    try channel.pipeline.syncOperations.addHandler(ServerConnectionHandler(connection))
                    guard self.add(connection) else { throw ChannelError.ioOnClosedChannel }
                    accepted.yield(connection)
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        listener.closeFuture.whenComplete { _ in accepted.finish() }
        let isLate = state.withLockedValue { state in
            state.listener = listener
            return state.isShuttingDown
        }
        if isLate { listener.close(promise: nil) }
        let port = listener.localAddress?.port ?? configuration.port
        bound(.success(HostPort(host: configuration.host, port: port)))
        logger.info("rpc server listens", metadata: ["rpc.port": "\(port)"])
    }

    private func bound(_ result: Result<HostPort, any Error>) {
        let waiters = state.withLockedValue { state in
            state.binding = result
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private func makeConnection(_ channel: any Channel) -> ServerConnection {
        let limits = ServerLimits(
            maxConcurrentCalls: UInt32(clamping: configuration.connection.maxConcurrentCalls),
            maxFrame: UInt32(clamping: configuration.connection.maxFrame))
        return ServerConnection(
            channel: channel,
            handshake: ServerHandshake(
                identity: configuration.identity, prover: configuration.security.prover, limits: limits,
                nonce: handshakeNonce()),
            methods: methods, configuration: configuration.connection, logger: logger)
    }

    /// False: too late, the server shuts down.
    private func add(_ connection: ServerConnection) -> Bool {
        let id = ObjectIdentifier(connection)
        let isTaken = state.withLockedValue { state in
            guard !state.isShuttingDown else { return false }
            state.connections[id] = connection
            return true
        }
        guard isTaken else { return false }
        connection.channel.closeFuture.whenComplete { _ in
            self.state.withLockedValue { _ = $0.connections.removeValue(forKey: id) }
            connection.closed()
        }
        return true
    }

    private func serve(_ accepted: AsyncStream<ServerConnection>) async {
        await withDiscardingTaskGroup { group in
            for await connection in accepted {
                group.addTask(executorPreference: EventLoopTaskExecutor(connection.channel.eventLoop)) {
                    await connection.run()
                }
            }
        }
    }
}

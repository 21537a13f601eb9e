import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import RPCTransport
import ServiceLifecycle
import UnixSignals

/// A process that hosts roles: one RPC server for all of them, one HTTP server for their REST and the operational
/// endpoints, one registration each.
package struct ServiceProcess: Service {
    package let context: ServiceContext
    private let types: [any Role.Type]
    private let http = Broadcast<String?>(nil)
    private let rpc = Broadcast<String?>(nil)

    /// How long open REST requests may take after the roles were deregistered.
    private static let requestGrace: Duration = .seconds(3)

    /// - Throws: `ConfigurationError` for what can be known to be wrong before anything is tried.
    package init(context: ServiceContext, roles types: [any Role.Type]) throws(ConfigurationError) {
        let configuration = context.configuration
        let wildcards: Set<String> = ["0.0.0.0", "::", "*"]
        if configuration.advertiseHost == nil,
            wildcards.contains(configuration.rpcHost) || wildcards.contains(configuration.httpHost)
        {
            throw ConfigurationError(
                key: "ROOST_ADVERTISE_HOST", message: "is needed when bound to all addresses: what others connect to")
        }
        let listeners = types.count { $0.servesOwnHTTP } + (types.contains { !$0.servesOwnHTTP } ? 1 : 0)
        guard configuration.httpPort == 0 || listeners <= 1 else {
            throw ConfigurationError(
                key: "ROOST_HTTP_PORT", message: "must be 0 (free ones): these roles need \(listeners) HTTP listeners")
        }
        guard !configuration.rpcSecret.isEmpty || configuration.rpcHost.hasPrefix("127.") else {
            throw ConfigurationError(
                key: "ROOST_RPC_SECRET", message: "is needed when RPC is served beyond this machine")
        }
        self.context = context
        self.types = types
    }

    /// The shared HTTP server's address once it is bound, `host:port`; for tests.
    package func httpAddress() async throws -> String { try await http.first { $0 } }
    /// The RPC server's address once it is bound.
    package func rpcAddress() async throws -> String { try await rpc.first { $0 } }

    /// Runs until graceful shutdown of the task, or until a part of it fails.
    ///
    /// Parts start together and end in reverse order: registrations, REST, RPC, roles, then what they stand on.
    package func run() async throws { try await run(signals: []) }

    /// The same; SIGTERM and SIGINT end it gracefully.
    package func runUntilSignalled() async throws { try await run(signals: [.sigterm, .sigint]) }

    private func run(signals: [UnixSignal]) async throws {
        var hosts: [RoleHost] = []
        for type in types { hosts.append(try await RoleHost(type, context: context)) }
        var configuration = ServiceGroupConfiguration(
            services: stages(hosts), gracefulShutdownSignals: signals, logger: quietLogger)
        configuration.maximumGracefulShutdownDuration = context.configuration.shutdownTimeout
        configuration.maximumCancellationDuration = .seconds(10)
        context.logger.info(
            "Starting",
            metadata: [
                "roles": "\(types.map { $0.name }.joined(separator: ","))",
                LogKey.node: "\(context.configuration.nodeID)", LogKey.version: "\(RoostVersion.current)",
            ])
        try await ServiceGroup(configuration: configuration).run()
        context.logger.info("Stopped")
    }

    private func stages(_ hosts: [RoleHost]) -> [any Service] {
        let logger = context.logger
        var stages: [any Service] = [Stage("context", logger: logger) { [context] in try await context.run() }]
        for host in hosts {
            // A role that drains itself has all the time that the whole process has.
            let grace = host.drainsItself ? context.configuration.shutdownTimeout : .zero
            stages.append(Stage(host.name, grace: grace, logger: logger) { try await host.run() })
        }
        stages.append(Stage("rpc", logger: logger) { try await self.serveRPC(hosts) })
        let sharesHTTP = types.contains { !$0.servesOwnHTTP }
        if sharesHTTP {
            stages.append(
                Stage("http", grace: Self.requestGrace, logger: logger) { try await self.serveHTTP(hosts) })
        }
        if let zookeeper = context.zookeeper {
            for host in hosts {
                stages.append(
                    Stage("\(host.name) registration", logger: logger) {
                        let rpc = try await self.rpcAddress()
                        let http = sharesHTTP ? try await self.httpAddress() : nil
                        try await host.register(with: zookeeper, rpc: rpc, sharedHTTP: http)
                    })
            }
        }
        return stages
    }

    private func serveRPC(_ hosts: [RoleHost]) async throws {
        let configuration = context.configuration
        var server = RPCServerConfiguration(
            host: configuration.rpcHost, port: configuration.rpcPort, identity: context.identity,
            security: context.rpcSecurity)
        server.drainTimeout = Self.requestGrace
        let rpcServer = RPCServer(
            configuration: server, services: hosts.flatMap { $0.role.rpcServices },
            eventLoopGroup: context.eventLoopGroup, logger: context.logger)
        try await withThrowingTaskGroup { group in
            group.addTask { try await rpcServer.run() }
            group.addTask {
                let address: String
                do {
                    address = try await rpcServer.boundAddress()
                } catch is CancellationError {
                    return
                } catch {
                    throw Self.bindError(error, key: "rpc_port", configuration.rpcHost, configuration.rpcPort)
                }
                self.rpc.send(configuration.advertised(address))
                self.context.logger.debug("Serving RPC", metadata: [LogKey.address: "\(address)"])
            }
            try await group.waitForAll()
        }
    }

    private func serveHTTP(_ hosts: [RoleHost]) async throws {
        let configuration = context.configuration
        let router = RoostRouter.make(context)
        for host in hosts { host.role.routes(router) }
        RoostRouter.closeMethods(of: router)
        let application = Application(
            router: router,
            server: HTTPServerBuilder { responder in
                LoopHTTPChannel(HTTP1Channel(responder: responder, configuration: .init(idleTimeout: .seconds(75))))
            },
            configuration: .init(
                address: .hostname(configuration.httpHost, port: configuration.httpPort), backlog: 1024),
            onServerRunning: { channel in
                guard let address = channel.localAddress, let host = address.ipAddress, let port = address.port else {
                    return
                }
                let text = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
                context.logger.info("Serving HTTP", metadata: [LogKey.address: "\(text)"])
                http.send(configuration.advertised(text))
            },
            eventLoopGroupProvider: .shared(context.eventLoopGroup), logger: quietLogger)
        do {
            try await application.run()
        } catch let error as IOError {
            throw Self.bindError(error, key: "http_port", configuration.httpHost, configuration.httpPort)
        }
    }

    /// Libraries' own remarks on starting and stopping are not what an operator wants at `info`.
    private var quietLogger: Logger {
        var logger = context.logger
        if logger.logLevel == .info { logger.logLevel = .notice }
        return logger
    }

    private static func bindError(_ error: any Error, key: String, _ host: String, _ port: Int) -> any Error {
        ConfigurationError(
            key: ConfigurationValues.environmentName(key), message: "can't listen on \(host):\(port): \(error)")
    }
}

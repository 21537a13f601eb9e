package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix

/// What every connection needs of the server.
final class EdgeServerShared: Sendable {
    typealias PlainRequest = (path: String, answer: @Sendable (HTTPResponse?) -> Void)

    let delegate: any EdgeDelegate
    private let limit: Int
    private let inFlight = NIOLockedValueBox(0)
    let requests: AsyncStream<PlainRequest>
    private let continuation: AsyncStream<PlainRequest>.Continuation

    init(delegate: any EdgeDelegate, limit: Int) {
        self.delegate = delegate
        self.limit = limit
        (requests, continuation) = AsyncStream.makeStream()
    }

    /// Has a plain request answered; false where too many are.
    func submit(_ path: String, answer: @escaping @Sendable (HTTPResponse?) -> Void) -> Bool {
        let accepted = inFlight.withLockedValue { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        if accepted { continuation.yield((path, answer)) }
        return accepted
    }

    func answered() { inFlight.withLockedValue { $0 -= 1 } }
}

/// The WebSocket server: binds, serves until its task is cancelled, then closes what is left.
package final class EdgeServer: Sendable {
    private enum Bound {
        case waiting([CheckedContinuation<String, any Error>])
        case bound(String)
        case failed(any Error)
    }

    private let configuration: EdgeConfiguration
    private let group: any EventLoopGroup
    private let logger: Logger
    private let shared: EdgeServerShared
    /// One for each event loop, in the group's order.
    private let loops: [NIOLoopBound<EdgeLoop>]
    private let loopsByID: [ObjectIdentifier: NIOLoopBound<EdgeLoop>]
    private let bound = NIOLockedValueBox(Bound.waiting([]))
    private let listener = NIOLockedValueBox<(any Channel)?>(nil)

    package init(
        configuration: EdgeConfiguration, delegate: any EdgeDelegate, eventLoopGroup: any EventLoopGroup,
        logger: Logger
    ) async throws {
        self.configuration = configuration
        self.group = eventLoopGroup
        self.logger = logger
        Allocator.returnLargeBlocks()
        shared = EdgeServerShared(delegate: delegate, limit: configuration.plainRequests)
        var loops: [NIOLoopBound<EdgeLoop>] = []
        for loop in eventLoopGroup.makeIterator() {
            loops.append(
                try await loop.submit { NIOLoopBound(EdgeLoop(loop, configuration: configuration), eventLoop: loop) }
                    .get())
        }
        self.loops = loops
        loopsByID = Dictionary(uniqueKeysWithValues: loops.map { (ObjectIdentifier($0.eventLoop), $0) })
    }

    /// The address that it listens on; waits until it does.
    package func boundAddress() async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            let result: Result<String, any Error>? = bound.withLockedValue { state in
                switch state {
                case .waiting(let others):
                    state = .waiting(others + [continuation])
                    return nil
                case .bound(let address): return .success(address)
                case .failed(let error): return .failure(error)
                }
            }
            if let result { continuation.resume(with: result) }
        }
    }

    private func resolve(_ result: Result<String, any Error>) {
        let waiting: [CheckedContinuation<String, any Error>] = bound.withLockedValue { state in
            guard case .waiting(let waiting) = state else { return [] }
            switch result {
            case .success(let address): state = .bound(address)
            case .failure(let error): state = .failed(error)
            }
            return waiting
        }
        for continuation in waiting { continuation.resume(with: result) }
    }

    /// Serves until cancelled; then accepts no more, runs `farewell` while the connections still are, closes them, and returns.
    package func run(farewell: @Sendable () async -> Void = {}) async throws {
        let channel: any Channel
        do {
            channel = try await bind()
        } catch {
            resolve(.failure(error))
            throw error
        }
        listener.withLockedValue { $0 = channel }
        for loop in loops { loop.eventLoop.execute { loop.value.start() } }
        let address = channel.localAddress
        let host = configuration.host.contains(":") ? "[\(configuration.host)]" : configuration.host
        resolve(.success("\(host):\(address?.port ?? configuration.port)"))
        await withDiscardingTaskGroup { group in
            for await request in shared.requests {
                group.addTask { [shared] in
                    request.answer(await shared.delegate.respond(to: request.path))
                    shared.answered()
                }
            }
        }
        await stopAccepting()
        await farewell()
        await closeAll(.shutdown, "shutdown", patience: .seconds(2))
        for loop in loops { try? await loop.eventLoop.submit { loop.value.stop() }.get() }
    }

    private func bind() async throws -> any Channel {
        let (shared, loops) = (shared, loopsByID)
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: configuration.acceptsPerTick)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: TinyFirstAllocator())
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: configuration.lowWatermark, high: configuration.highWatermark)
            )
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
                        throw ChannelError.operationUnsupported
                    }
                    try channel.pipeline.syncOperations.addHandler(
                        EdgeConnection(loop: loop.value, server: shared))
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
    }

    /// No new connections; those that there are stay.
    package func stopAccepting() async {
        let channel = listener.withLockedValue { channel in
            let open = channel
            channel = nil
            return open
        }
        try? await channel?.close()
    }

    /// Closes every WebSocket, paced. Returns when all are gone: cut where they don't answer within `patience`.
    package func closeAll(_ code: CloseCode, _ reason: String, patience: TimeAmount) async {
        for loop in loops {
            let promise = loop.eventLoop.makePromise(of: Void.self)
            loop.eventLoop.execute { loop.value.closeAll(code, reason, patience: patience) { promise.succeed(()) } }
            try? await promise.futureResult.get()
        }
    }

    /// What has been counted so far, all loops together.
    package func metrics() async -> EdgeMetrics {
        var sum = EdgeMetrics()
        for loop in loops {
            if let metrics = try? await loop.eventLoop.submit({ loop.value.metrics }).get() { sum = sum + metrics }
        }
        return sum
    }
}

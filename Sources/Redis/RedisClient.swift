package import Logging
import NIOConcurrencyHelpers
import Reactor

/// A client of one Redis: a connection for commands and, while there are subscriptions, one for those.
///
/// Commands that are sent in the same tick travel together. Nothing waits for ever: a command fails with `.timeout` when
/// it isn't answered in time, with `.disconnected` when the connection is lost or doesn't come back within a moment, with
/// `.queueFull` when too many wait. A command that was sent and failed so may have been carried out: the client never
/// sends one twice.
package final class RedisClient: Sendable {
    package let configuration: RedisConfiguration
    private let logger: Logger
    private let reactor = Reactor(name: "redis")
    private let queue: RequestQueue
    private let table = SubscriberTable()
    private let ready = NIOLockedValueBox(false)
    private let commands: RedisCommands
    private let subscriptions: RedisSubscriptions

    package init(configuration: RedisConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        self.queue = RequestQueue(limit: configuration.queueLimit)
        let ready = self.ready
        self.commands = RedisCommands(
            reactor: self.reactor, configuration: configuration, queue: self.queue
        ) { isReady in ready.withLockedValue { $0 = isReady } }
        self.subscriptions = RedisSubscriptions(
            reactor: self.reactor, configuration: configuration, table: self.table)
    }

    /// Connects, and connects again, until the task is cancelled; then fails what is unanswered. To be called once.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepConnected("commands") { await self.commands.serve($0) } }
            group.addTask {
                await self.keepConnected("subscriptions") { address in
                    await self.subscriptions.untilWanted()
                    return await self.subscriptions.serve(address)
                }
            }
        }
        await self.commands.shutDown()
        self.table.close()
        self.reactor.stop()
    }

    /// Whether a command could be sent now.
    package var isConnected: Bool { self.ready.withLockedValue { $0 } }

    /// Sends a command.
    @discardableResult
    package func send(_ command: String, _ arguments: RedisArgument...) async throws(RedisError) -> RedisValue {
        try await self.send(command, arguments)
    }

    /// Sends a command.
    /// - Parameter timeout: Instead of the configured one; for commands that block.
    @discardableResult
    package func send(
        _ command: String, _ arguments: [RedisArgument], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisValue {
        let value = try await self.pipeline([[RedisArgument(command)] + arguments], timeout: timeout)[0]
        if case .error(let prefix, let message) = value {
            throw RedisError(code: .server(prefix), message: message, attempted: command)
        }
        return value
    }

    /// Sends commands together and awaits all of their answers, in order; one that Redis refuses is an `.error` in its
    /// place and doesn't keep the others from being carried out.
    package func pipeline(
        _ commands: [[RedisArgument]], timeout: Duration? = nil
    ) async throws(RedisError) -> [RedisValue] {
        guard !commands.isEmpty else { return [] }
        let request = Request(commands, timeout: timeout ?? self.configuration.commandTimeout)
        switch self.queue.submit(request) {
        case .first: self.reactor.execute { [commands = self.commands] in commands.assumeIsolated { $0.drain() } }
        case .queued: break
        case .full: throw RedisError(code: .queueFull, message: "too many commands wait", attempted: request.name)
        case .closed: throw RedisError(code: .closed, message: "the client has ended", attempted: request.name)
        }
        return try await request.answer().get()
    }

    /// Runs a script: by its digest, and with its text where Redis doesn't know it (yet, or any more).
    @discardableResult
    package func eval(
        _ script: RedisScript, keys: [String] = [], arguments: [RedisArgument] = [], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisValue {
        let rest = [RedisArgument(keys.count)] + keys.map { RedisArgument($0) } + arguments
        do {
            return try await self.send("EVALSHA", [RedisArgument(script.digest)] + rest, timeout: timeout)
        } catch  where error.code == .server("NOSCRIPT") {
            return try await self.send("EVAL", [RedisArgument(script.source)] + rest, timeout: timeout)
        }
    }

    /// What is published on these channels, from `.reconnected` on, until the stream is dropped or the client ends. Each
    /// `.reconnected` says that what came before may be incomplete: after an interruption, and to a follower that lets
    /// more than a thousand messages wait.
    package func subscribe(_ channels: [String]) -> AsyncStream<RedisMessage> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: RedisMessage.self, bufferingPolicy: .bufferingNewest(1024))
        guard let id = self.table.add(channels, continuation) else {
            continuation.finish()
            return stream
        }
        let reconcile: @Sendable () -> Void = { [reactor, subscriptions] in
            reactor.execute { subscriptions.assumeIsolated { $0.reconcile() } }
        }
        continuation.onTermination = { [table] _ in
            table.remove(id)
            reconcile()
        }
        reconcile()
        return stream
    }

    private func keepConnected(
        _ purpose: String, _ serve: (SocketAddress) async -> RedisCommands.End
    ) async {
        var backOff = BackOff(first: self.configuration.backOff, limit: self.configuration.backOffLimit)
        var isKnown = false
        while !Task.isCancelled {
            var reason = "can't resolve \(self.configuration.address)"
            for address in await SocketAddress.resolve(self.configuration.address) {
                let end = await serve(address)
                reason = end.reason
                if end.wasReady {
                    backOff.reset()
                    isKnown = false
                    break
                }
            }
            guard !Task.isCancelled else { return }
            // Once an outage, not at each attempt.
            self.logger.log(
                level: isKnown ? .debug : .warning, "no connection to Redis",
                metadata: [
                    "redis.address": "\(self.configuration.address)", "redis.purpose": "\(purpose)",
                    "redis.reason": "\(reason)",
                ])
            isKnown = true
            try? await Task.sleep(for: backOff.next())
        }
    }
}

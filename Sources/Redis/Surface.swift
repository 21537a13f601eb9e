package import Logging

/// To be filled in: the surface that others write against.
package final class RedisClient: Sendable {
    package init(configuration: RedisConfiguration, logger: Logger) { fatalError("not yet") }
    package func run() async { fatalError("not yet") }
    package var isConnected: Bool { fatalError("not yet") }
    @discardableResult
    package func send(_ command: String, _ arguments: RedisArgument...) async throws(RedisError) -> RedisValue {
        fatalError("not yet")
    }
    @discardableResult
    package func send(
        _ command: String, _ arguments: [RedisArgument], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisValue { fatalError("not yet") }
    /// Each command's answer, in order; one that Redis refuses is an `.error` in its place.
    package func pipeline(
        _ commands: [[RedisArgument]], timeout: Duration? = nil
    ) async throws(RedisError) -> [RedisValue] { fatalError("not yet") }
    package func eval(
        _ script: RedisScript, keys: [String] = [], arguments: [RedisArgument] = [], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisValue { fatalError("not yet") }
    package func subscribe(_ channels: [String]) -> AsyncStream<RedisMessage> { fatalError("not yet") }
}

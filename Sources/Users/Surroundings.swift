package import ChatModel
package import Protocol
import RPC
package import RPCTransport
package import Redis

/// What accounts tell other services.
package struct Surroundings: Sendable {
    /// `Relay.Block`.
    package var block: @Sendable (RelayBlockRequest) async throws -> Void
    /// `Relay.AddDevice`.
    package var addDevice: @Sendable (RelayAddDeviceRequest) async throws -> Void
    /// Who may see a user's presence has changed.
    package var privacyChanged: @Sendable (UserID) async -> Void

    package init(
        block: @escaping @Sendable (RelayBlockRequest) async throws -> Void,
        addDevice: @escaping @Sendable (RelayAddDeviceRequest) async throws -> Void,
        privacyChanged: @escaping @Sendable (UserID) async -> Void
    ) {
        self.block = block
        self.addDevice = addDevice
        self.privacyChanged = privacyChanged
    }

    /// Where changes of privacy are published: the user's id.
    package static let privacyChannel = "roost:v1:privacy"

    /// The services themselves.
    package init(relay: any RPCCaller, redis: RedisClient) {
        let relay = RelayStub(relay)
        self.init(
            block: { _ = try await relay.block($0, options: .init(timeout: .seconds(2))) },
            // A login waits for it.
            addDevice: { _ = try await relay.addDevice($0, options: .init(timeout: .seconds(1))) },
            privacyChanged: { user in
                // Who misses it learns it within seconds.
                guard redis.isConnected else { return }
                _ = try? await redis.send("PUBLISH", [RedisArgument(Self.privacyChannel), RedisArgument("\(user)")])
            })
    }
}

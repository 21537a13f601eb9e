package import ChatModel
package import Logging
import NIOConcurrencyHelpers
package import Protocol
import RPC
import ServiceKit

/// Has the sockets of ended sessions closed, and goes on trying while `sessions` can't.
package final class SocketCloser: Sendable {
    private struct Pending: Sendable {
        var request: SessionsCloseDeviceRequest
        var until: ContinuousClock.Instant
    }

    /// WebSocket close code: session ended or expired.
    private static let code: UInt32 = 4401
    private static let limit = 10_000

    private let call: @Sendable (SessionsCloseDeviceRequest) async throws -> Void
    private let pending = NIOLockedValueBox<[Pending]>([])
    private let logger: Logger

    /// - Parameter call: `Sessions.CloseDevice`.
    package init(logger: Logger, call: @escaping @Sendable (SessionsCloseDeviceRequest) async throws -> Void) {
        self.logger = logger
        self.call = call
    }

    /// Closes them, or has that done as soon as it can be.
    package func close(_ devices: [DeviceID], of user: UserID) async {
        for device in devices {
            var request = SessionsCloseDeviceRequest()
            request.user = user.rawValue
            request.device = device.rawValue
            request.code = Self.code
            request.reason = "logged out"
            // Longer than an access token lives nobody need try: chat nodes don't keep a session for ever either.
            await attempt(Pending(request: request, until: .now + .seconds(600)))
        }
    }

    private func attempt(_ item: Pending) async {
        do {
            try await call(item.request)
        } catch {
            logger.debug(
                "Could not have a device's sockets closed",
                metadata: [LogKey.device: "\(item.request.device)", LogKey.error: "\(error)"])
            guard item.until > .now else { return }
            pending.withLockedValue { pending in
                if pending.count < Self.limit { pending.append(item) }
            }
        }
    }

    /// Tries again what failed, every second, until cancelled.
    package func run() async {
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            let items = pending.withLockedValue { pending in
                defer { pending = [] }
                return pending
            }
            for item in items { await attempt(item) }
        }
    }
}

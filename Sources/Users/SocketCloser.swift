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
        /// Not before then.
        var due: ContinuousClock.Instant
    }

    /// A ticket that was being redeemed when the session ended may still open a connection: longer than that takes.
    private static let again = Duration.seconds(6)

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
            let item = Pending(request: request, until: .now + .seconds(600), due: .now)
            await attempt(item)
            keep(Pending(request: request, until: item.until, due: .now + Self.again))
        }
    }

    private func attempt(_ item: Pending) async {
        do {
            try await call(item.request)
        } catch {
            logger.debug(
                "Could not have a device's sockets closed",
                metadata: [LogKey.device: "\(item.request.device)", LogKey.error: "\(error)"])
            if item.until > .now { keep(item) }
        }
    }

    private func keep(_ item: Pending) {
        pending.withLockedValue { pending in
            if pending.count < Self.limit { pending.append(item) }
        }
    }

    /// Tries again what failed, every second, and once more what did not, until cancelled.
    package func run() async {
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            let now = ContinuousClock.now
            let items = pending.withLockedValue { pending in
                let due = pending.filter { $0.due <= now }
                pending.removeAll { $0.due <= now }
                return due
            }
            for item in items { await attempt(item) }
        }
    }
}

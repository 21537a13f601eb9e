import Logging
import ServiceLifecycle

/// One step of a process's life as swift-service-lifecycle wants it: on graceful shutdown, which reaches the steps one
/// after the other, it has `grace` to end by itself and is then cancelled.
struct Stage: Service {
    let name: String
    /// Zero: cancelled at once.
    let grace: Duration
    let logger: Logger
    let body: @Sendable () async throws -> Void

    init(_ name: String, grace: Duration = .zero, logger: Logger, body: @escaping @Sendable () async throws -> Void) {
        self.name = name
        self.grace = grace
        self.logger = logger
        self.body = body
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                try? await gracefulShutdown()
                if grace > .zero { try? await Task.sleep(for: grace) }
                return false
            }
            var ending = false
            do {
                while let isBody = try await group.next() {
                    group.cancelAll()
                    if isBody { return }
                    ending = true
                }
            } catch {
                group.cancelAll()
                guard ending || Task.isShuttingDownGracefully else { throw error }
                logger.debug("Ended with an error", metadata: ["stage": "\(name)", LogKey.error: "\(error)"])
            }
        }
    }
}

extension Stage: CustomStringConvertible {
    var description: String { name }
}

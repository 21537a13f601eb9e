package import Logging
import NIOConcurrencyHelpers

/// Keeps an ephemeral node in existence: creates its parents and the node, and creates it again when it vanished or its
/// session expired; `update` changes its data. When `run()` is cancelled the node is deleted.
///
/// Who registers under a name that another session still holds takes it over if `takesOver`, once: a restarted process
/// needs not wait for its predecessor's session to expire. Of two that live, the younger wins and the other waits
/// (`epoch` is `nil`) until the name is free.
package final class EphemeralRegistration: Sendable {
    /// What to do about the node as it was found.
    enum Step: Equatable {
        case create
        /// It is ours.
        case keep
        /// Delete this version of it and create our own, in one transaction.
        case replace(version: Int32)
        /// It is someone else's: wait until it is gone.
        case wait
    }

    private struct State {
        var data: [UInt8]
        var hasRegistered = false
    }

    private let client: ZooKeeperClient
    private let path: String
    private let takesOver: Bool
    private let logger: Logger
    private let shared: NIOLockedValueBox<State>
    private let signal = Signal()
    private let broadcast = Broadcast<Int64?>(nil)

    /// - Parameters:
    ///   - path: The node's full path; what is above it is made of persistent nodes.
    ///   - takesOver: Whether to replace a node that another session holds when this registration begins.
    package init(client: ZooKeeperClient, path: String, data: [UInt8], takesOver: Bool = true, logger: Logger) {
        var logger = logger
        logger[metadataKey: "zookeeper.path"] = "\(path)"
        self.client = client
        self.path = path
        self.takesOver = takesOver
        self.logger = logger
        self.shared = NIOLockedValueBox(State(data: data))
    }

    /// Replaces the node's data: now if it can be, else when it is registered again. Of several updates that come faster
    /// than they are written the last one counts.
    package func update(_ data: [UInt8]) {
        self.shared.withLockedValue { $0.data = data }
        self.signal.set()
    }

    /// The czxid of the registered node; `nil` while it isn't registered as far as is known. It stays while the
    /// connection is lost: see `ZooKeeperClient.isPresumedExpired`.
    package var epoch: Int64? { self.broadcast.value }

    /// The present epoch and each one that follows; ends with `run()`.
    package var epochs: AsyncStream<Int64?> { self.broadcast.follow() }

    /// Keeps the node until the task is cancelled, or the client closed.
    package func run() async throws {
        let watcher = CallbackTable.watch { [signal] type, _, _ in
            if isNodeEvent(type) { signal.set() }
        }
        let observer = self.client.observe(self.signal)
        self.signal.set()
        while !Task.isCancelled, self.client.state != .closed {
            await self.signal.wait()
            await self.register(watcher)
        }
        CallbackTable.unwatch(watcher)
        self.client.ignore(observer)
        await self.unregister()
        self.publish(nil)
        self.broadcast.finish()
    }

    /// Brings the node to where it should be, unless that must wait for a signal.
    private func register(_ watcher: UInt) async {
        while !Task.isCancelled {
            let standing = self.client.standing
            if standing.session == nil { self.publish(nil) }
            guard standing.state == .connected, let session = standing.session else { return }
            do {
                if try await self.step(session.id, standing.sessions, watcher) { return }
            } catch  where error.code == .cancelled || error.code == .closed {
                return
            } catch  where error.isTransient {
                await self.signal.wait(timeout: .milliseconds(100))
            } catch {
                self.publish(nil)
                self.logger.error("can't register", metadata: ["error": "\(error)"])
                await self.signal.wait(timeout: .seconds(2))
            }
        }
    }

    /// One step towards it; true if it is there, or must wait.
    private func step(_ session: Int64, _ sessions: [Int64], _ watcher: UInt) async throws(ZooKeeperError) -> Bool {
        let found = try await self.client.reading(data: self.path, watcher: watcher)
        let (data, hasRegistered) = self.shared.withLockedValue { ($0.data, $0.hasRegistered) }
        do {
            switch Self.step(
                found, session: session, earlier: sessions, takesOver: self.takesOver && !hasRegistered)
            {
            case .create:
                self.publish(nil)
                try await self.create(data)
                return false
            case .keep:
                guard case .present(let present, let stat) = found else { return false }
                self.shared.withLockedValue { $0.hasRegistered = true }
                if present != data { try await self.client.set(self.path, data: data) }
                self.publish(stat.czxid)
                return true
            case .replace(let version):
                self.publish(nil)
                try await self.client.multi([
                    .delete(self.path, version: version), .create(self.path, data: data, mode: .ephemeral),
                ])
                return false
            case .wait:
                if self.epoch != nil { self.logger.error("another process has registered under this name") }
                self.publish(nil)
                return true
            }
        } catch  where [.noNode, .nodeExists, .badVersion].contains(error.code) {
            return false  // it changed meanwhile: look again
        }
    }

    static func step(
        _ found: ZooKeeperReading<[UInt8]>, session: Int64, earlier sessions: [Int64], takesOver: Bool
    ) -> Step {
        switch found {
        case .missing: .create
        case .present(_, let stat):
            if stat.ephemeralOwner == session {
                .keep
            } else if takesOver || sessions.contains(stat.ephemeralOwner) {
                .replace(version: stat.version)
            } else {
                .wait
            }
        }
    }

    private func create(_ data: [UInt8]) async throws(ZooKeeperError) {
        do {
            try await self.client.create(self.path, data: data, mode: .ephemeral)
        } catch  where error.code == .noNode {
            guard let end = self.path.lastIndex(of: "/"), end > self.path.startIndex else { throw error }
            try await self.client.createAll(String(self.path[..<end]))
        }
    }

    private func publish(_ epoch: Int64?) {
        guard epoch != self.broadcast.value else { return }
        self.broadcast.send(epoch)
        if let epoch {
            self.logger.info("registered", metadata: ["zookeeper.epoch": "\(epoch)"])
        }
    }

    /// If this fails, the node goes with the session.
    private func unregister() async {
        guard self.epoch != nil, self.client.state == .connected else { return }
        do {
            try await self.client.deleteShielded(self.path, timeout: .seconds(1))
        } catch {
            self.logger.debug("couldn't delete the registration", metadata: ["error": "\(error)"])
        }
    }
}

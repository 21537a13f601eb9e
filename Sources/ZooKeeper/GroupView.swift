package import Logging
import NIOConcurrencyHelpers

/// The children of a node with their data, kept current: what registered by `EphemeralRegistration` under one parent.
/// Says what `GroupStateMachine` believes; follows the session through everything that may become of it. A parent that
/// doesn't exist is a group without members.
package final class GroupView: Sendable {
    /// What has to be read again.
    private struct Inbox {
        var names = false
        var members: Set<String> = []
    }

    private struct State {
        var machine: GroupStateMachine
        var watchers: [String: UInt] = [:]
        /// How many connections there had been when it was last told of one.
        var connections = 0
    }

    private let client: ZooKeeperClient
    private let path: String
    private let logger: Logger
    private let grace: Duration
    private let signal = Signal()
    private let inbox = NIOLockedValueBox(Inbox())
    private let broadcast = Broadcast(GroupSnapshot(members: [], stale: true, version: 0))

    /// - Parameter grace: How long members that are missing after a session expired are kept: by default twice the
    ///   session's time-out and a second, which is what their processes need to notice and come back.
    package init(client: ZooKeeperClient, path: String, grace: Duration? = nil, logger: Logger) {
        var logger = logger
        logger[metadataKey: "zookeeper.path"] = "\(path)"
        self.client = client
        self.path = path
        self.logger = logger
        self.grace = grace ?? client.configuration.sessionTimeout * 2 + .seconds(1)
    }

    /// The group as it is known.
    package var current: GroupSnapshot { self.broadcast.value }

    /// Its members as they are known.
    package var members: [GroupMember] { self.current.members }

    /// The present group, and the newest each time after it changed; ends with `run()`. Who doesn't keep up misses what
    /// was in between, never the last.
    package var changes: AsyncStream<GroupSnapshot> { self.broadcast.follow() }

    /// Follows the group until the task is cancelled or the client closed.
    package func run() async throws {
        let observer = self.client.observe(self.signal)
        let watcher = CallbackTable.watch { [signal, inbox] type, _, _ in
            guard isNodeEvent(type) else { return }
            inbox.withLockedValue { $0.names = true }
            signal.set()
        }
        var state = State(machine: GroupStateMachine(grace: self.grace))
        self.signal.set()
        var timeout: Duration?
        while !Task.isCancelled, self.client.state != .closed {
            await self.signal.wait(timeout: timeout)
            let isRead = await self.follow(&state, watcher)
            if state.machine.settle(now: .now) { self.broadcast.send(state.machine.snapshot) }
            timeout = isRead ? state.machine.untilSettle(now: .now) : .milliseconds(100)
        }
        CallbackTable.unwatch(watcher)
        for watcher in state.watchers.values { CallbackTable.unwatch(watcher) }
        self.client.ignore(observer)
        self.broadcast.finish()
    }

    /// Reads what must be read; false if it has to be tried again.
    private func follow(_ state: inout State, _ watcher: UInt) async -> Bool {
        let standing = self.client.standing
        guard standing.state == .connected, let session = standing.session else {
            state.machine.disconnected()
            state.connections = 0
            return true
        }
        if state.connections != standing.connections {
            state.connections = standing.connections
            state.machine.connected(session: session.id, now: .now)
            self.inbox.withLockedValue { inbox in
                inbox.names = true
                inbox.members.formUnion(state.watchers.keys)
            }
        }
        let inbox = self.inbox.withLockedValue { inbox in
            defer { inbox = Inbox() }
            return inbox
        }
        do {
            try await self.read(inbox, &state, watcher)
            state.machine.complete()
            return true
        } catch {
            self.inbox.withLockedValue { left in
                left.names = left.names || inbox.names
                left.members.formUnion(inbox.members)
            }
            if !error.isTransient, error.code != .cancelled, error.code != .closed {
                self.logger.error("can't read the group", metadata: ["error": "\(error)"])
            }
            return false
        }
    }

    private func read(_ inbox: Inbox, _ state: inout State, _ watcher: UInt) async throws(ZooKeeperError) {
        var wanted = inbox.members.filter { state.watchers[$0] != nil }
        if inbox.names {
            var names: [String] = []
            if case .present(let present, _) = try await self.client.reading(children: self.path, watcher: watcher) {
                names = present
            }
            state.machine.listed(names)
            for (name, watcher) in state.watchers where !names.contains(name) {
                CallbackTable.unwatch(watcher)
                state.watchers[name] = nil
                wanted.remove(name)
            }
            for name in names where state.watchers[name] == nil {
                state.watchers[name] = self.watch(name)
                wanted.insert(name)
            }
        }
        try await self.read(wanted, &state)
    }

    private func watch(_ name: String) -> UInt {
        CallbackTable.watch { [signal, inbox] type, _, _ in
            guard isNodeEvent(type) else { return }
            inbox.withLockedValue { _ = $0.members.insert(name) }
            signal.set()
        }
    }

    /// Reads members side by side. One that is gone is forgotten: the children's watch tells of it, and if it is listed
    /// again by then, it is a new one.
    private func read(_ names: Set<String>, _ state: inout State) async throws(ZooKeeperError) {
        let results = await withTaskGroup(
            of: (String, Result<GroupMember?, ZooKeeperError>).self
        ) { group in
            for name in names {
                guard let watcher = state.watchers[name] else { continue }
                group.addTask { (name, await self.member(name, watcher)) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var failure: ZooKeeperError?
        for (name, result) in results {
            switch result {
            case .success(.some(let member)): state.machine.read(member)
            case .success(nil):
                state.machine.missing(name)
                if let watcher = state.watchers.removeValue(forKey: name) { CallbackTable.unwatch(watcher) }
            case .failure(let error):
                failure = error
                self.inbox.withLockedValue { _ = $0.members.insert(name) }
            }
        }
        if let failure { throw failure }
    }

    private func member(_ name: String, _ watcher: UInt) async -> Result<GroupMember?, ZooKeeperError> {
        do {
            let (data, stat) = try await self.client.get("\(self.path)/\(name)", watcher: watcher)
            return .success(GroupMember(name: name, data: data, czxid: stat.czxid, version: stat.version))
        } catch  where error.code == .noNode {
            return .success(nil)
        } catch {
            return .failure(error)
        }
    }
}

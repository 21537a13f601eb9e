import ChatModel
import NIOCore
import Protocol
import RPC
import RPCTransport

/// Follows presence for the connections of one loop, as long as one of them watches someone. Confined to the loop.
final class PresenceWatcher {
    private let loop: any EventLoop
    private let backend: ChatBackend
    private var table = WatchTable()
    private var following: RPCStreamControl?
    private var generation: UInt64 = 0
    private var attempts: Int64 = 0
    /// Hands a presence to a connection.
    private let push: (UInt32, inout EncodedSignal) -> Void
    /// Asks every watching connection to ask anew.
    private let readAgain: () -> Void

    init(
        loop: any EventLoop, backend: ChatBackend, push: @escaping (UInt32, inout EncodedSignal) -> Void,
        readAgain: @escaping () -> Void
    ) {
        self.loop = loop
        self.backend = backend
        self.push = push
        self.readAgain = readAgain
    }

    func watch(_ users: [UserID], by handle: UInt32, viewer: UserID) {
        for user in users { table.watch(user, by: handle, viewer: viewer) }
        follow()
        ask(users, by: handle, viewer: viewer)
    }

    func unwatch(_ users: some Sequence<UserID>, by handle: UInt32) {
        for user in users { table.unwatch(user, by: handle) }
        guard table.isEmpty, let following else { return }
        self.following = nil
        generation += 1
        following.cancel()
    }

    /// Asks for the present state: at first, and when changes may have been missed.
    func ask(_ users: [UserID], by handle: UInt32, viewer: UserID) {
        guard !users.isEmpty else { return }
        var request = LastSeenGetRequest()
        request.viewer = viewer.rawValue
        request.users = users.map(\.rawValue)
        let watcher = NIOLoopBound(self, eventLoop: loop)
        LastSeenStub(backend.lastSeen).get(request, on: loop) { result in
            // Without an answer the connection learns nothing until the stream is there again.
            if case .success(let response) = result {
                for presence in response.presences { watcher.value.tell(presence, to: handle) }
            }
        }
    }

    private func tell(_ presence: LastSeenPresence, to handle: UInt32) {
        guard table.answered(UserID(rawValue: presence.user), by: handle, isHidden: presence.hidden) else { return }
        var signal = EncodedSignal(.presence(ClientPresence(presence)))
        push(handle, &signal)
    }

    private func follow() {
        guard following == nil, !table.isEmpty else { return }
        generation += 1
        let current = generation
        let watcher = NIOLoopBound(self, eventLoop: loop)
        let control = LastSeenStub(backend.lastSeen).follow(
            LastSeenFollowRequest(), options: CallOptions(timeout: nil, credit: 64), on: loop
        ) { page in
            watcher.value.changed(page, current)
        } onEnd: { _ in
            watcher.value.ended(current)
        }
        following = control
        // What changed before the stream was open would be missed.
        loop.scheduleTask(in: .seconds(1)) { watcher.value.opened(current) }
    }

    private func opened(_ number: UInt64) {
        guard number == generation, following != nil else { return }
        attempts = 0
        readAgain()
    }

    private func changed(_ page: LastSeenFollowPage, _ number: UInt64) {
        guard number == generation, let following else { return }
        following.grant(1)
        for user in page.privacy.map({ UserID(rawValue: $0) }) {
            for (handle, viewer) in table.viewers(of: user) { ask([user], by: handle, viewer: viewer) }
        }
        for presence in page.presences {
            let handles = table.watchers(of: UserID(rawValue: presence.user))
            guard !handles.isEmpty else { continue }
            var signal = EncodedSignal(.presence(ClientPresence(presence)))
            for handle in handles { push(handle, &signal) }
        }
    }

    private func ended(_ number: UInt64) {
        guard number == generation else { return }
        following = nil
        generation += 1
        attempts += 1
        let watcher = NIOLoopBound(self, eventLoop: loop)
        loop.scheduleTask(in: .milliseconds(min(5000, 200 << min(attempts, 5)))) { watcher.value.follow() }
    }
}

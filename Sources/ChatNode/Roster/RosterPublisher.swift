import Logging
import NIOConcurrencyHelpers
import NIOCore
import Protocol
import RPC
import RPCTransport

/// Carries out what `RosterStateMachine` decides: tells every relay, one `sessions` and one `last-seen` who is connected.
/// Connections of any loop join and leave here; everything else happens on one loop.
final class RosterPublisher: Sendable {
    private struct State {
        var machine: RosterStateMachine
        var waiters: [(revision: UInt64, loop: any EventLoop, done: @Sendable () -> Void)] = []
        var tickScheduled = false
        var housekeeping: RepeatedTask?
        /// What is sent at once when the connections are gone with the process.
        var stopped = false
    }

    private let state: NIOLockedValueBox<State>
    private let backend: ChatBackend
    private let loop: any EventLoop
    private let delay: TimeAmount
    private let logger: Logger
    /// Which instance of `sessions` and `last-seen` keeps this node: the same as long as it lives.
    private let key: UInt64
    /// Called on the publisher's loop when connections may have missed pushes.
    private let missed: @Sendable () -> Void

    init(
        node: String, incarnation: UInt64, configuration: ChatConfiguration, backend: ChatBackend,
        loop: any EventLoop, logger: Logger, missed: @escaping @Sendable () -> Void
    ) {
        var machine = RosterStateMachine(
            node: node, incarnation: incarnation, configuration: configuration.roster)
        machine.add(.init(kind: .sessions), now: Self.now())
        machine.add(.init(kind: .lastSeen), now: Self.now())
        state = NIOLockedValueBox(State(machine: machine))
        self.backend = backend
        self.loop = loop
        self.logger = logger
        self.missed = missed
        delay = configuration.rosterDelay
        // FNV-1a: the same in every run.
        key = node.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// Milliseconds of a clock that only goes forward.
    private static func now() -> Int64 { Int64(NIODeadline.now().uptimeNanoseconds / 1_000_000) }

    /// Begins to look after followers; relays that are known by now are told first.
    func start() {
        let task = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(200)) { _ in self.housekeep() }
        state.withLockedValue { $0.housekeeping = task }
    }

    func stop() {
        let task = state.withLockedValue { state in
            let task = state.housekeeping
            state.housekeeping = nil
            return task
        }
        task?.cancel()
    }

    func setEpoch(_ epoch: Int64) { state.withLockedValue { $0.machine.epoch = epoch } }

    var count: Int { state.withLockedValue { $0.machine.count } }

    /// Makes a connection known; `done` is called on `loop` when every relay that answers knows it.
    func join(_ entry: RosterEntry, on loop: any EventLoop, done: @escaping @Sendable () -> Void) {
        state.withLockedValue { state in
            let revision = state.machine.join(entry)
            state.waiters.append((revision, loop, done))
        }
        scheduleTick()
    }

    func leave(_ handle: UInt32) {
        state.withLockedValue { $0.machine.leave(handle) }
        scheduleTick()
    }

    private func scheduleTick() {
        let isNew = state.withLockedValue { state in
            defer { state.tickScheduled = true }
            return !state.tickScheduled
        }
        guard isNew else { return }
        loop.scheduleTask(in: delay) {
            self.state.withLockedValue { $0.tickScheduled = false }
            self.tick()
        }
    }

    private func housekeep() {
        let relays = backend.relays()
        let changed = state.withLockedValue { $0.machine.setRelays(relays, now: Self.now()) }
        if changed {
            missed()
            // A relay that leaves in good order still commits what it has, for longer than it is registered.
            loop.scheduleTask(in: .seconds(6)) { self.missed() }
        }
        tick()
    }

    private func tick() {
        let sendings = state.withLockedValue { $0.machine.tick(now: Self.now()) }
        for sending in sendings { send(sending) }
        release()
    }

    /// Lets those go whose connection is known everywhere.
    private func release() {
        let ready = state.withLockedValue { state in
            guard !state.waiters.isEmpty else { return state.waiters }
            let reached = state.machine.reached
            let ready = state.waiters.filter { $0.revision <= reached }
            if !ready.isEmpty { state.waiters.removeAll { $0.revision <= reached } }
            return ready
        }
        for waiter in ready {
            if waiter.loop.inEventLoop { waiter.done() } else { waiter.loop.execute(waiter.done) }
        }
    }

    private func send(_ sending: RosterStateMachine.Sending) {
        let follower = sending.follower
        let done: @Sendable (Result<RosterReply, RPCError>) -> Void = { result in
            self.answered(follower, sending.update, result)
        }
        let options = CallOptions(timeout: .seconds(3), key: follower.kind == .relay ? nil : key, retries: false)
        switch follower.kind {
        case .relay:
            guard let caller = backend.relayNamed(follower.id) else {
                done(.failure(RPCError(.unavailable, "no such relay")))
                return
            }
            RelayStub(caller).attach(sending.update, options: options, on: loop, completion: done)
        case .sessions:
            SessionsStub(backend.sessions).report(sending.update, options: options, on: loop, completion: done)
        case .lastSeen:
            LastSeenStub(backend.lastSeen).report(sending.update, options: options, on: loop, completion: done)
        }
    }

    private func answered(
        _ follower: RosterStateMachine.FollowerID, _ update: RosterUpdate, _ result: Result<RosterReply, RPCError>
    ) {
        let mayHaveMissed = state.withLockedValue { state in
            switch result {
            case .success(let reply):
                return state.machine.answered(follower, snapshotNeeded: reply.snapshotNeeded, now: Self.now())
            case .failure:
                state.machine.failed(follower, now: Self.now())
                return false
            }
        }
        switch result {
        case .success(let reply):
            if update.snapshot, !reply.snapshotNeeded, follower.kind == .relay {
                logger.info(
                    "A relay knows this node's connections.",
                    metadata: ["peer.id": "\(follower.id)", "count": "\(update.joined.count)"])
            }
            // What gathered meanwhile, or the snapshot asked for, goes at once.
            if reply.snapshotNeeded || !update.snapshot { scheduleTick() }
        case .failure(let error):
            logger.debug(
                "A follower of the roster did not answer.",
                metadata: ["peer.id": "\(follower.kind) \(follower.id)", "error": "\(error)"])
        }
        if mayHaveMissed { missed() }
        release()
    }
}

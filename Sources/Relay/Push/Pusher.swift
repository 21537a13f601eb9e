import CoreMetrics
package import Logging
import NIOConcurrencyHelpers
package import NIOCore
import Postgres
package import Protocol

/// Pushes what is committed to whoever is online: a fast path and nothing more. What doesn't arrive is read from the log.
package final class Pusher: Sendable {
    /// Calls `Chat.Deliver` at a node; `completion` is called once, on the given loop.
    package typealias Deliver =
        @Sendable (
            _ node: String, _ request: ChatDeliverRequest, _ loop: any EventLoop,
            _ completion: @escaping @Sendable (Bool) -> Void
        ) -> Void

    private struct Committed: Sendable {
        var events: [CommittedEvent]
        /// Stored by an earlier commit: read again, pushed again.
        var again: [AppendOutcome]
    }

    private struct State {
        var roster = RosterTable()
        var members: MembershipCache
        var queues: [RosterTable.Node: PushQueue] = [:]
        /// Whether every node is about to be told to read the log again, for a commit with an unknown outcome.
        var isUndecided = false

        /// Changes a node's queue, made where there is none. What it then has to do is for that queue alone.
        mutating func change(
            _ node: RosterTable.Node, _ limits: PushQueue.Limits, _ change: (inout PushQueue) -> PushQueue.Action
        ) -> Work {
            var queue = queues[node] ?? PushQueue(incarnation: node.incarnation, limits: limits)
            queues[node] = nil  // so that it is changed in place
            defer { queues[node] = queue }
            return Work(node: node, queue: queue.number, action: change(&queue))
        }
    }

    private struct Work {
        var node: RosterTable.Node
        var queue: UInt64
        var action: PushQueue.Action
    }

    private let state: NIOLockedValueBox<State>
    private let commits: AsyncStream<Committed>
    private let commit: AsyncStream<Committed>.Continuation
    private let store: LogStore
    private let limits: PushQueue.Limits
    private let loop: any EventLoop
    private let deliver: Deliver
    private let signals: UserSignals
    private let followers: CommitSignal
    private let receipts: ReceiptPolicy
    private let metrics: RelayMetrics
    private let logger: Logger

    package init(
        store: LogStore, signals: UserSignals, followers: CommitSignal, receipts: ReceiptPolicy,
        configuration: RelayConfiguration, loop: any EventLoop,
        metrics: RelayMetrics, logger: Logger, deliver: @escaping Deliver
    ) {
        state = NIOLockedValueBox(State(members: MembershipCache(limit: configuration.rememberedMembers)))
        (commits, commit) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(configuration.pushQueue))
        limits = configuration.push
        self.store = store
        self.signals = signals
        self.followers = followers
        self.receipts = receipts
        self.loop = loop
        self.metrics = metrics
        self.logger = logger
        self.deliver = deliver
    }

    // MARK: Who is connected

    /// A chat node tells who is connected to it.
    package func attach(_ update: RosterUpdate) -> RosterReply {
        let (outcome, connections) = state.withLockedValue { state in
            let before = state.roster.nodes.filter { $0.id == update.node }
            let outcome = state.roster.apply(update)
            // The queue of the same process stays: what it holds is still good, and one call at a time keeps the order.
            if case .applied(true) = outcome {
                for node in before where node.incarnation != update.incarnation { state.queues[node] = nil }
            }
            return (outcome, state.roster.connections)
        }
        metrics.connections.record(connections)
        var reply = RosterReply()
        switch outcome {
        case .applied, .outdated: break
        case .snapshotNeeded: reply.snapshotNeeded = true
        }
        return reply
    }

    /// Forgets the nodes that have been gone for long enough.
    package func expire(serving: Set<String>, now: Int64, grace: Duration) {
        let milliseconds = grace.components.seconds * 1000
        let dropped = state.withLockedValue { state in
            let dropped = state.roster.expire(serving: serving, now: now, grace: milliseconds)
            for node in dropped { state.queues[node] = nil }
            return dropped
        }
        for node in dropped {
            logger.info("A chat node is gone; its connections are forgotten.", metadata: ["node.id": "\(node.id)"])
        }
    }

    /// Connections known, and nodes.
    package var counts: (connections: Int, nodes: Int) {
        state.withLockedValue { ($0.roster.connections, $0.roster.nodes.count) }
    }

    // MARK: Events

    /// Takes what a commit stored, in the order of the log, and what was known before and is to be pushed again.
    package func committed(_ events: [CommittedEvent], again: [AppendOutcome]) {
        guard !events.isEmpty || !again.isEmpty else { return }
        followers.signal()
        if case .dropped = commit.yield(Committed(events: events, again: again)) {
            // Nobody can tell what is missing where: every node reads the log again.
            loseEverything()
        }
    }

    /// A commit whose outcome nobody knows may be in the log, or still come into it, and is pushed to nobody: once its
    /// statement can no longer be running, every node reads the log again.
    package func undecided() {
        let isFirst = state.withLockedValue { state in
            defer { state.isUndecided = true }
            return !state.isUndecided
        }
        guard isFirst else { return }
        loop.scheduleTask(in: .seconds(5)) { [self] in
            state.withLockedValue { $0.isUndecided = false }
            loseEverything()
        }
    }

    /// Pushes what is committed, one batch after the other, until cancelled.
    package func run() async {
        for await batch in commits {
            var events = batch.events
            if !batch.again.isEmpty { events += await read(batch.again) }
            let members = await members(of: events)
            push(events, to: members)
        }
    }

    private func read(_ outcomes: [AppendOutcome]) async -> [CommittedEvent] {
        let ranges = outcomes.map {
            SyncPlan.Position(conversation: $0.conversation, after: $0.seq - 1, head: $0.seq)
        }
        do {
            return try await store.events(in: ranges, for: nil).map { CommittedEvent(event: $0, membership: 0) }
        } catch {
            // This may be their first push: the commit's own answer may have been lost.
            logger.warning("What was stored before could not be read.", metadata: ["error": "\(error)"])
            loseEverything()
            return []
        }
    }

    /// The members of every conversation that has events here, by conversation.
    ///
    /// - Parameter losing: whether something is missing at the nodes when they can't be read. Not so for signals.
    private func members(of events: [CommittedEvent], losing: Bool = true) async -> [UInt64: [UInt64]] {
        var versions: [UInt64: Int64] = [:]
        for event in events {
            versions[event.event.conversation] = max(versions[event.event.conversation] ?? 0, event.membership)
        }
        var found: [UInt64: [UInt64]] = [:]
        found.reserveCapacity(versions.count)
        let wanted = state.withLockedValue { state in
            var wanted: [UInt64] = []
            for (conversation, version) in versions {
                if let members = state.members.members(of: conversation, version: version) {
                    found[conversation] = members.users
                } else {
                    wanted.append(conversation)
                }
            }
            return wanted
        }
        guard !wanted.isEmpty else { return found }
        do {
            let read = try await store.members(of: wanted)
            state.withLockedValue { state in
                for (conversation, members) in read { state.members.insert(conversation, members) }
            }
            for (conversation, members) in read { found[conversation] = members.users }
        } catch {
            logger.warning("Members could not be read.", metadata: ["error": "\(error)"])
            // Committed, but to be pushed to nobody knows whom.
            if losing { loseEverything() }
        }
        return found
    }

    /// Sorts events by node; each node's go into its queue at once, in order.
    private func push(_ events: [CommittedEvent], to members: [UInt64: [UInt64]]) {
        let tasks: [Work] = state.withLockedValue { state in
            var byNode: [RosterTable.Node: [ChatDelivery]] = [:]
            for event in events {
                guard let users = members[event.event.conversation] else { continue }
                route(event.event, to: users, state.roster, &byNode)
            }
            return byNode.map { node, deliveries in
                metrics.pushes.increment(by: deliveries.count)
                return state.change(node, limits) { $0.add(deliveries) }
            }
        }
        for task in tasks { carryOut(task) }
        for event in events { signals.signal(members[event.event.conversation] ?? []) }
    }

    /// One delivery a node for the sender's own connections, which learn the client_id, and one for all others.
    private func route(
        _ event: Protocol.LogEvent, to users: [UInt64], _ roster: RosterTable,
        _ byNode: inout [RosterTable.Node: [ChatDelivery]]
    ) {
        var own: [Int32: [UInt32]] = [:]
        var others: [Int32: [UInt32]] = [:]
        for user in users {
            for connection in roster.connections(of: user) {
                if user == event.sender {
                    own[connection.slot, default: []].append(connection.handle)
                } else {
                    others[connection.slot, default: []].append(connection.handle)
                }
            }
        }
        for (slot, handles) in own {
            guard let node = roster.node(slot) else { continue }
            var delivery = ChatDelivery()
            delivery.event = event
            delivery.handles = handles
            byNode[node, default: []].append(delivery)
        }
        guard !others.isEmpty else { return }
        var anonymous = event
        anonymous.clientID = ""
        for (slot, handles) in others {
            guard let node = roster.node(slot) else { continue }
            var delivery = ChatDelivery()
            delivery.event = anonymous
            delivery.handles = handles
            byNode[node, default: []].append(delivery)
        }
    }

    // MARK: Signals

    /// Tells the other user of a direct conversation how far someone got, and the reader's own other devices.
    package func moved(_ cursors: [MovedCursor]) async {
        guard !cursors.isEmpty else { return }
        let direct = cursors.filter { $0.kind == .direct }
        let members = await members(
            of: direct.map { cursor in
                var event = Protocol.LogEvent()
                event.conversation = cursor.conversation
                return CommittedEvent(event: event, membership: 0)
            }, losing: false)
        let showing = await receipts.showing(Set(direct.lazy.filter { $0.read > 0 }.map(\.user)))
        for cursor in cursors {
            var receipt = ChatReceipt()
            receipt.conversation = cursor.conversation
            receipt.user = cursor.user
            receipt.delivered = cursor.delivered
            receipt.read = showing.contains(cursor.user) ? cursor.read : 0
            let others = members[cursor.conversation]?.filter { $0 != cursor.user } ?? []
            if receipt.delivered > 0 || receipt.read > 0 {
                send(to: others) { handles in
                    receipt.handles = handles
                    return receipt
                } add: {
                    $0.add($1)
                }
            }
            guard cursor.read > 0 else { continue }
            receipt.delivered = 0
            receipt.read = cursor.read
            send(to: [cursor.user]) { handles in
                receipt.handles = handles
                return receipt
            } add: {
                $0.add($1)
            }
        }
    }

    /// Tells the other members that someone is writing. Nothing is said to who isn't a member.
    package func typing(_ request: RelayTypingRequest) async {
        var event = Protocol.LogEvent()
        event.conversation = request.conversation
        let members = await members(of: [CommittedEvent(event: event, membership: 0)], losing: false)
        guard let users = members[request.conversation], users.contains(request.user) else { return }
        var typing = ChatTyping()
        typing.conversation = request.conversation
        typing.user = request.user
        typing.active = request.active
        send(to: users.filter { $0 != request.user }) { handles in
            typing.handles = handles
            return typing
        } add: {
            $0.add($1)
        }
    }

    private func send<Signal>(
        to users: [UInt64], make: ([UInt32]) -> Signal, add: (inout PushQueue, Signal) -> PushQueue.Action
    ) {
        let tasks: [Work] = state.withLockedValue { state in
            var handles: [Int32: [UInt32]] = [:]
            for user in users {
                for connection in state.roster.connections(of: user) {
                    handles[connection.slot, default: []].append(connection.handle)
                }
            }
            return handles.compactMap { slot, handles in
                guard let node = state.roster.node(slot) else { return nil }
                return state.change(node, limits) { add(&$0, make(handles)) }
            }
        }
        for task in tasks { carryOut(task) }
    }

    // MARK: Carrying out

    private func carryOut(_ task: Work) {
        let node = task.node
        switch task.action {
        case .none: break
        case .send(let request):
            deliver(node.id, request, loop) { [self] succeeded in
                if !succeeded { metrics.failedPushes.increment() }
                step(task) { succeeded ? $0.succeeded() : $0.failed() }
            }
        case .wait(let milliseconds):
            loop.scheduleTask(in: .milliseconds(milliseconds)) { [self] in step(task) { $0.resume() } }
        case .lost:
            logger.warning(
                "Pushes to a chat node were given up; it has to attach again.", metadata: ["node.id": "\(node.id)"])
            metrics.lostNodes.increment()
            state.withLockedValue { state in
                state.roster.forget(node)
                state.queues[node] = nil
            }
        }
    }

    /// The queue may be gone by now, or be another: the node attached anew, or left.
    private func step(_ task: Work, _ change: (inout PushQueue) -> PushQueue.Action) {
        let next: Work? = state.withLockedValue { state in
            guard state.queues[task.node]?.number == task.queue else { return nil }
            return state.change(task.node, limits, change)
        }
        if let next { carryOut(next) }
    }

    private func loseEverything() {
        let nodes = state.withLockedValue { state in
            let nodes = state.roster.nodes
            for node in nodes {
                state.roster.forget(node)
                state.queues[node] = nil
            }
            return nodes
        }
        metrics.lostNodes.increment(by: nodes.count)
        logger.warning("Pushes are lost; all chat nodes have to attach again.")
    }
}

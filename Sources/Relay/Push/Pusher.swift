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
        var again: [SyncPlan.Position]
    }

    /// What a commit has for one conversation.
    private struct Batch {
        var conversation: UInt64
        var events: [Protocol.LogEvent]
        /// The version of the membership that is needed, or a later one.
        var membership: Int64
        /// What changed the membership before cannot be told from what is remembered.
        var mustRead = false

        var changesMembers: Bool { events.contains { $0.kind == .member || $0.kind == .group && $0.group.deleted } }

        var range: ClosedRange<UInt64> {
            var (low, high) = (UInt64.max, UInt64(0))
            for event in events { (low, high) = (min(low, event.seq), max(high, event.seq)) }
            return min(low, high)...high
        }
    }

    private struct State {
        var roster = RosterTable()
        var members: MembershipCache
        var queues: [RosterTable.Node: PushQueue] = [:]

        /// The members that a batch needs, where they are remembered, or follow from what is and from what the batch says.
        mutating func remembered(_ batch: Batch) -> MembershipCache.Members? {
            let known = members.members(of: batch.conversation, version: batch.membership)
            if batch.mustRead { return nil }
            guard batch.changesMembers else { return known }
            // What is remembered of a later version need not have who left with this one.
            guard known == nil, batch.membership > 0,
                var before = members.members(of: batch.conversation, version: batch.membership - 1)
            else { return nil }
            before.apply(batch.events, version: batch.membership)
            members.insert(batch.conversation, before)
            return before
        }

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
    /// Commits whose outcome nobody knows: there are some.
    private let doubts: AsyncStream<Void>
    private let doubt: AsyncStream<Void>.Continuation
    private let store: LogStore
    private let limits: PushQueue.Limits
    private let receiptMembers: Int
    private let typingMembers: Int
    private let loop: any EventLoop
    private let deliver: Deliver
    private let signals: UserSignals
    private let followers: CommitSignal
    private let pages: PageCache?
    private let receipts: ReceiptPolicy
    private let metrics: RelayMetrics
    private let logger: Logger

    package init(
        store: LogStore, signals: UserSignals, followers: CommitSignal, pages: PageCache?, receipts: ReceiptPolicy,
        configuration: RelayConfiguration, loop: any EventLoop,
        metrics: RelayMetrics, logger: Logger, deliver: @escaping Deliver
    ) {
        state = NIOLockedValueBox(State(members: MembershipCache(limit: configuration.rememberedMembers)))
        (commits, commit) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(configuration.pushQueue))
        (doubts, doubt) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        limits = configuration.push
        receiptMembers = configuration.receiptMembers
        typingMembers = configuration.typingMembers
        self.store = store
        self.signals = signals
        self.followers = followers
        self.pages = pages
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
    package func committed(_ events: [CommittedEvent], again: [SyncPlan.Position]) {
        guard !events.isEmpty || !again.isEmpty else { return }
        followers.signal()
        pages?.committed(events, again: again)
        if case .dropped = commit.yield(Committed(events: events, again: again)) {
            // Nobody can tell what is missing where: every node reads the log again.
            loseEverything()
        }
    }

    /// A commit whose outcome nobody knows may be in the log, or still come into it, and is pushed to nobody: as soon as it
    /// can't come any more, every node reads the log again.
    package func undecided() { doubt.yield() }

    /// Pushes what is committed, one batch after the other, until cancelled.
    package func run() async {
        await withTaskGroup { group in
            group.addTask { for await _ in self.doubts { await self.decide() } }
            for await commit in commits {
                var batches = Self.byConversation(commit.events)
                for event in await read(commit.again) { Self.add(event, to: &batches) }
                let members = await members(of: batches)
                push(batches, to: members)
            }
            group.cancelAll()
        }
    }

    private func decide() async {
        while !Task.isCancelled {
            do {
                if try await store.endLostAppends() { return loseEverything() }
            } catch {
                logger.warning(
                    "It could not be found out what became of a commit.", metadata: ["error": "\(error)"])
            }
            // PostgreSQL does not tell when a connection ends, and must not be kept from appending while it is waited for.
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func byConversation(_ events: [CommittedEvent]) -> [Batch] {
        var batches: [Batch] = []
        var indices: [UInt64: Int] = [:]
        for event in events {
            let conversation = event.event.conversation
            if let index = indices[conversation] {
                batches[index].events.append(event.event)
                batches[index].membership = max(batches[index].membership, event.membership)
            } else {
                indices[conversation] = batches.count
                batches.append(
                    Batch(conversation: conversation, events: [event.event], membership: event.membership))
            }
        }
        return batches
    }

    private static func add(_ event: Protocol.LogEvent, to batches: inout [Batch]) {
        let index: Int
        if let known = batches.firstIndex(where: { $0.conversation == event.conversation }) {
            index = known
        } else {
            index = batches.count
            batches.append(Batch(conversation: event.conversation, events: [], membership: 0))
        }
        batches[index].events.append(event)
        if event.kind == .member || event.kind == .group { batches[index].mustRead = true }
    }

    private func read(_ again: [SyncPlan.Position]) async -> [Protocol.LogEvent] {
        if again.isEmpty { return [] }
        do {
            return try await store.events(in: again, for: nil)
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
    private func members(of batches: [Batch], losing: Bool = true) async -> [UInt64: MembershipCache.Members] {
        var found: [UInt64: MembershipCache.Members] = [:]
        found.reserveCapacity(batches.count)
        let wanted = state.withLockedValue { state in
            var wanted: [(UInt64, UInt64)] = []
            for batch in batches {
                if let members = state.remembered(batch) {
                    found[batch.conversation] = members
                } else {
                    wanted.append((batch.conversation, batch.events.isEmpty ? .max : batch.range.lowerBound))
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
            found.merge(read) { _, new in new }
        } catch {
            logger.warning("Members could not be read.", metadata: ["error": "\(error)"])
            // Committed, but to be pushed to nobody knows whom.
            if losing { loseEverything() }
        }
        return found
    }

    /// Sorts events by node; each node's go into its queue at once, in order.
    private func push(_ batches: [Batch], to members: [UInt64: MembershipCache.Members]) {
        // A change of thousands of members is a delivery each, to thousands: some at a time, so that what no queue can hold is
        // not made.
        let limit = limits.addedEvents
        var pieces: [Batch] = []
        var count = 0
        for batch in batches {
            let events = Self.telling(batch.events)
            var rest = events[...]
            while !rest.isEmpty {
                var piece = batch
                piece.events = Array(rest.prefix(limit))
                rest = rest.dropFirst(limit)
                count += piece.events.count
                pieces.append(piece)
                if count >= limit {
                    pushAtOnce(pieces, to: members)
                    pieces = []
                    count = 0
                }
            }
        }
        if !pieces.isEmpty { pushAtOnce(pieces, to: members) }
        for batch in batches {
            if let members = members[batch.conversation] { signals.signal(members.members.lazy.map(\.user)) }
        }
    }

    /// Of a change of many members, which everyone reads sooner in one go than gets pushed one by one: the last event, whose
    /// gap has everyone read, and those by which somebody leaves, who has nothing else to go by.
    private static func telling(_ events: [Protocol.LogEvent]) -> [Protocol.LogEvent] {
        guard events.count > many, let last = events.last,
            events.allSatisfy({ $0.kind == .member || $0.kind == .group })
        else { return events }
        let leaving = events.dropLast().filter {
            switch $0.member.change {
            case .left, .removed, .banned: true
            case .joined, .role, .unspecified, .UNRECOGNIZED: false
            }
        }
        return leaving + [last]
    }

    private static let many = 64

    private func pushAtOnce(_ batches: [Batch], to members: [UInt64: MembershipCache.Members]) {
        let tasks: [Work] = state.withLockedValue { state in
            var bySlot: [Int32: [ChatDelivery]] = [:]
            for batch in batches {
                guard let members = members[batch.conversation] else { continue }
                let audience = Audience(members.members, batch.range, state.roster)
                for event in batch.events { audience.add(event, to: &bySlot) }
            }
            return bySlot.compactMap { slot, deliveries in
                guard let node = state.roster.node(slot) else { return nil }
                metrics.pushes.increment(by: deliveries.count)
                return state.change(node, limits) { $0.add(deliveries) }
            }
        }
        for task in tasks { carryOut(task) }
    }

    // MARK: Signals

    /// Who is in conversations now.
    private func members(of conversations: Set<UInt64>) async -> [UInt64: MembershipCache.Members] {
        await members(
            of: conversations.map { Batch(conversation: $0, events: [], membership: 0) }, losing: false)
    }

    /// Tells the others of a conversation, unless there are many, how far someone got, and the reader's own other devices.
    /// Who shows nobody what they have got and read isn't shown what others have.
    package func moved(_ cursors: [MovedCursor]) async {
        guard !cursors.isEmpty else { return }
        let shared = cursors.filter { $0.kind == .direct || $0.members <= receiptMembers }
        let members = await members(of: Set(shared.lazy.map(\.conversation)))
        let present = members.mapValues { Array($0.present) }
        let online = state.withLockedValue { state in
            Set(present.values.joined().filter { !state.roster.connections(of: $0).isEmpty })
        }
        let showing = await receipts.showing(online.union(shared.lazy.map(\.user)))
        for cursor in cursors {
            var receipt = ChatReceipt()
            receipt.conversation = cursor.conversation
            receipt.user = cursor.user
            receipt.delivered = cursor.delivered
            receipt.read = cursor.read
            if showing.contains(cursor.user) {
                let others = present[cursor.conversation]?.filter {
                    $0 != cursor.user && online.contains($0) && showing.contains($0)
                }
                send(to: others ?? []) { handles in
                    receipt.handles = handles
                    return receipt
                } add: {
                    $0.add($1)
                }
            }
            guard cursor.read > 0 else { continue }
            receipt.delivered = 0
            send(to: [cursor.user]) { handles in
                receipt.handles = handles
                return receipt
            } add: {
                $0.add($1)
            }
        }
    }

    /// Tells the other members that someone is writing. Nothing is said to who isn't a member, by who is refused, or in a
    /// large group.
    package func typing(_ request: RelayTypingRequest) async {
        guard let members = await members(of: [request.conversation])[request.conversation] else { return }
        let present = Array(members.present)
        guard present.count <= typingMembers, present.contains(request.user) else { return }
        if members.kind == RelayConversationKind.direct.rawValue {
            let isRefused = try? await store.isRefused(conversation: request.conversation, user: request.user)
            guard isRefused == false else { return }
        }
        var typing = ChatTyping()
        typing.conversation = request.conversation
        typing.user = request.user
        typing.active = request.active
        send(to: present.filter { $0 != request.user }) { handles in
            typing.handles = handles
            return typing
        } add: {
            $0.add($1)
        }
    }

    /// Tells a user's own devices that a conversation was muted, or no longer is.
    package func muted(_ request: RelayMuteRequest) {
        var mute = ChatMute()
        mute.conversation = request.conversation
        mute.untilMs = request.untilMs
        send(to: [request.user]) { handles in
            mute.handles = handles
            return mute
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

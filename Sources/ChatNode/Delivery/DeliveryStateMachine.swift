package import ChatModel

/// What one connection is given of the log, and in which order: every conversation's events 1, 2, 3 … without a gap, from
/// two sources, the relay's pushes and the reading of the log (`Relay.Sync`).
///
/// A push is passed on when it is the next event of its conversation. Below that it is a repeat and dropped. Above it, or
/// when the peer does not keep up, its conversation is *behind*: pushes of it are dropped, and the log is read from the
/// cursor. A push that comes while its conversation is being read is held, because the reading may have passed its place
/// already; when too many are held, the conversation is simply behind again.
///
/// The log says where a conversation begins and ends for a user: the reading's positions move the cursor over what was
/// said before they joined, or between leaving and coming back. After the event that says that the user has left, their
/// conversation is *closed*: nothing of it is given until the log has more for them.
///
/// | phase | exits |
/// |---|---|
/// | `waiting` | `start` → `syncing` |
/// | `syncing` | `ended` → `live`, or `syncing` again while something is behind, or `pausing` when that brought nothing; `failed` → `pausing` |
/// | `pausing` | `resume` → `syncing`, or `live` when the peer is slow |
/// | `live` | a gap → `syncing`; slow → stays, and becomes `syncing` when no longer slow, if it missed something |
package struct DeliveryStateMachine<Event> {
    package enum Phase: Equatable, Sendable { case waiting, syncing, pausing, live }

    /// What to do with a pushed event.
    package enum Offer: Equatable, Sendable {
        case push
        /// The client has it.
        case drop
        /// Kept here until the reading has ended.
        case hold
        /// The log will bring it.
        case behind
    }

    /// What to read.
    package struct Round: Equatable, Sendable {
        /// Every conversation of the user; else those of the cursors.
        package var all: Bool
        package var cursors: [EventID]
    }

    /// What to do next about reading the log.
    package enum Next: Equatable, Sendable {
        case nothing
        case read(Round)
        /// Call `resume` after a while, longer each time in a row.
        case pause(attempt: Int)
        /// All that was missed has been given: the cursors of the conversations that moved.
        case synced([EventID])
    }

    private enum Scope {
        case all
        case some(Set<ConversationID>)
    }

    private struct Held {
        var conversation: ConversationID
        var seq: UInt64
        var isLast: Bool
        var event: Event
    }

    /// Pushes held while the log is read.
    private let holdLimit: Int
    /// Readings in a row that close no gap before the gap is taken for what the log has.
    private let fruitlessLimit = 5

    package private(set) var phase = Phase.waiting
    package private(set) var cursors = ConversationCursors()
    private var isWritable = true
    /// Until the first page: what the client says it holds.
    private var claimed: [EventID]?
    private var hasPositions = false
    private var scope = Scope.all
    private var held: [Held] = []
    private var behind: Set<ConversationID> = []
    /// What the user has left, or was removed from, while connected.
    private var closed: Set<ConversationID> = []
    private var everythingBehind = false
    private var moved: Set<ConversationID> = []
    private var owesSynced = false
    private var pushedInRound = false
    /// Readings in a row that failed, and that worked and brought nothing of what was seen beyond them.
    private var attempts = 0
    private var fruitless = 0
    /// Gaps that the log did not fill.
    package private(set) var abandoned = 0

    package init(holdLimit: Int = 64) { self.holdLimit = holdLimit }

    /// Whether the log has answered once: every conversation of the user is known.
    package var hasStarted: Bool { hasPositions }

    /// Whether the peer is slow and has missed something.
    package var isLagging: Bool { !isWritable && (everythingBehind || !behind.isEmpty) }

    // MARK: Starting

    /// The client has said hello; nil: it does not say what it holds.
    package mutating func start(claiming cursors: [EventID]?) -> Next {
        precondition(phase == .waiting)
        claimed = cursors
        owesSynced = true
        everythingBehind = true
        phase = .live
        return proceed()
    }

    /// Pushes may have been missed, nobody knows of which conversation.
    package mutating func readAgain() -> Next {
        guard phase != .waiting else { return .nothing }
        everythingBehind = true
        return phase == .live ? proceed() : .nothing
    }

    // MARK: Pushes

    /// A pushed event. After `behind`, `next()` says what to read.
    ///
    /// - Parameter isLast: after it the user is no longer in the conversation.
    package mutating func offer(
        _ conversation: ConversationID, _ seq: UInt64, isLast: Bool = false, _ event: @autoclosure () -> Event
    ) -> Offer {
        guard phase != .waiting else { return .drop }
        let cursor = cursors[conversation]
        if let cursor, seq <= cursor { return .drop }
        if phase == .syncing, isInScope(conversation) {
            if behind.contains(conversation) || everythingBehind { return .behind }
            guard held.count < holdLimit else {
                behind.insert(conversation)
                held.removeAll { $0.conversation == conversation }
                return .behind
            }
            held.append(Held(conversation: conversation, seq: seq, isLast: isLast, event: event()))
            return .hold
        }
        if everythingBehind || behind.contains(conversation) { return .behind }
        guard isWritable, isNext(conversation, seq, after: cursor) else {
            behind.insert(conversation)
            return .behind
        }
        give(conversation, seq, isLast)
        return .push
    }

    /// What to read now, if anything and if it can be.
    package mutating func next() -> Next { phase == .live ? proceed() : .nothing }

    /// The peer became slow, or is no longer.
    package mutating func writabilityChanged(_ isWritable: Bool) -> Next {
        self.isWritable = isWritable
        return next()
    }

    // MARK: Reading

    /// The first page's positions.
    package mutating func positions(_ positions: [(conversation: ConversationID, after: UInt64, head: UInt64)]) {
        guard phase == .syncing else { return }
        hasPositions = true
        claimed = nil
        // With room for one more: what is allocated in the middle of a burst, and stays, keeps a page of memory from being
        // given back.
        if cursors.isEmpty { cursors.reserve(positions.count + 1) }
        for position in positions {
            // A client that claims more than there is would never be given what comes next.
            let after = min(position.after, position.head)
            let cursor = cursors[position.conversation] ?? 0
            if position.head > cursor { closed.remove(position.conversation) }
            cursors[position.conversation] = max(cursor, after)
        }
    }

    /// An event that was read: whether to give it to the client.
    package mutating func read(_ conversation: ConversationID, _ seq: UInt64, isLast: Bool = false) -> Bool {
        guard phase == .syncing else { return false }
        let cursor = cursors[conversation]
        guard isNext(conversation, seq, after: cursor) else {
            if seq > cursor ?? 0 { behind.insert(conversation) }
            return false
        }
        give(conversation, seq, isLast)
        moved.insert(conversation)
        pushedInRound = true
        return true
    }

    /// The reading ended well: what was held and is next, in order, and then what to do.
    package mutating func ended() -> (push: [Event], next: Next) {
        guard phase == .syncing else { return ([], .nothing) }
        phase = .live
        var push: [Event] = []
        for held in exchange(&held, []) where !behind.contains(held.conversation) && !everythingBehind {
            let cursor = cursors[held.conversation]
            if held.seq <= cursor ?? 0 { continue }
            guard isWritable, isNext(held.conversation, held.seq, after: cursor) else {
                behind.insert(held.conversation)
                continue
            }
            give(held.conversation, held.seq, held.isLast)
            moved.insert(held.conversation)
            pushedInRound = true
            push.append(held.event)
        }
        attempts = 0
        if behind.isEmpty || pushedInRound || everythingBehind || !isWritable {
            fruitless = 0
        } else {
            fruitless += 1
            if fruitless > fruitlessLimit {
                abandoned += behind.count
                behind = []
                fruitless = 0
            } else if fruitless > 1 {
                phase = .pausing
                return (push, .pause(attempt: fruitless))
            }
        }
        return (push, proceed())
    }

    /// The reading failed: after a pause it is begun again where it got to.
    package mutating func failed() -> Next {
        guard phase == .syncing else { return .nothing }
        switch scope {
        case .all: everythingBehind = true
        case .some(let conversations): behind.formUnion(conversations)
        }
        held = []  // what is held is in the log
        attempts += 1
        phase = .pausing
        return .pause(attempt: attempts)
    }

    /// The pause is over.
    package mutating func resume() -> Next {
        guard phase == .pausing else { return .nothing }
        phase = .live
        return proceed()
    }

    private func isNext(_ conversation: ConversationID, _ seq: UInt64, after cursor: UInt64?) -> Bool {
        seq == (cursor ?? 0) + 1 && (closed.isEmpty || !closed.contains(conversation))
    }

    private mutating func give(_ conversation: ConversationID, _ seq: UInt64, _ isLast: Bool) {
        cursors[conversation] = seq
        if isLast { closed.insert(conversation) }
    }

    private func isInScope(_ conversation: ConversationID) -> Bool {
        switch scope {
        case .all: true
        case .some(let conversations): conversations.contains(conversation)
        }
    }

    private mutating func proceed() -> Next {
        if everythingBehind || !behind.isEmpty {
            // The first reading begins even if the peer is slow: it gives the positions, and its pages wait for credit.
            guard isWritable || !hasPositions else { return .nothing }
            phase = .syncing
            pushedInRound = false
            if everythingBehind {
                scope = .all
                everythingBehind = false
                behind = []
                return .read(Round(all: true, cursors: hasPositions ? cursors.all : claimed ?? []))
            }
            scope = .some(behind)
            let round = Round(
                all: false, cursors: behind.sorted().map { EventID(conversation: $0, seq: cursors[$0] ?? 0) })
            behind = []
            return .read(round)
        }
        guard owesSynced || !moved.isEmpty else { return .nothing }
        owesSynced = false
        scope = .some([])
        let moved = exchange(&moved, [])
        return .synced(moved.sorted().map { EventID(conversation: $0, seq: cursors[$0] ?? 0) })
    }
}

/// Puts a new value in place and gives the old one.
private func exchange<Value>(_ place: inout Value, _ new: Value) -> Value {
    let old = place
    place = new
    return old
}

/// Operations of many kinds at one rate, and when each had its effect. On the loop's thread.
package final class MixedLoad: LoadDriver, LoadHandler, @unchecked Sendable {
    /// One of a pair: the neighbour is the other.
    struct User {
        let id: [UInt8]
        let connection: LoadConnection
        var direct: MessageTemplate
        /// nil: not in the room.
        var room: MessageTemplate?
        var conversation: String?
        /// Place of the last event from the other, and up to which this user said to have read.
        var lastSeq: UInt64 = 0
        var lastRead: UInt64 = 0
        var reading: (seq: UInt64, due: UInt64)?
        var typing: (isActive: Bool, due: UInt64)?
        var isTyping = false

        init(id: String, connection: LoadConnection, direct: MessageTemplate, room: MessageTemplate?) {
            self.id = Array(id.utf8)
            (self.connection, self.direct, self.room) = (connection, direct, room)
        }
    }

    /// What is done outside of the loop.
    struct Call: Sendable {
        enum Kind: Sendable {
            case history(user: Int, conversation: String)
            case connect(turn: Int)
        }
        var kind: Kind
        var due: UInt64
    }

    /// Room messages count from here, so that an index says which kind it is.
    private static let roomBase = 5_000_000_000

    private let loop: LoadLoop
    private var users: [User]
    private let members: Int
    private let room: [UInt8]
    private let mix: Mix
    private let ask: (Call) -> Void
    private var schedule: OpenLoop?
    private var window: Range<UInt64> = 0..<0
    private var turns = Mix.Kind.allCases.map { _ in 0 }
    private var direct = Ledger(base: 0, window: 0..<0)
    private var rooms = Ledger(base: MixedLoad.roomBase, window: 0..<0)
    private var greetings = Ledger(base: 0, window: 0..<0)
    private var recorders = Mix.Kind.allCases.map { _ in LatencyRecorder() }
    private var comers: [LoadConnection] = []
    private var calling = 0
    private var found = Correctness()

    private(set) var lag = LatencyRecorder()
    /// Operations that were due in the window, by kind.
    private(set) var counts = Mix.Kind.allCases.map { _ in 0 }
    private(set) var done = 0
    private(set) var timeline: Timeline

    init(
        loop: LoadLoop, users: [User], members: Int, room: String, mix: Mix, start: UInt64,
        ask: @escaping (Call) -> Void
    ) {
        (self.loop, self.users, self.members) = (loop, users, members)
        (self.room, self.mix, self.ask) = (Array(room.utf8), mix, ask)
        timeline = Timeline(start: start, names: Mix.Kind.allCases.map(\.name))
    }

    // MARK: Results

    var correctness: Correctness {
        var sum = found
        for ledger in [greetings, direct, rooms] {
            sum.lost += ledger.lost
            sum.repeated += ledger.repeated
            sum.errors += ledger.errors
        }
        return sum
    }

    var latencies: [LatencySummary] {
        Mix.Kind.allCases.map { kind in
            switch kind {
            case .direct: direct.deliveries.summary("direct: to receive")
            case .room: rooms.deliveries.summary("room: to each receive")
            case .read: recorders[kind.rawValue].summary("read: to the other's receipt")
            case .typing: recorders[kind.rawValue].summary("typing: to the other")
            case .history: recorders[kind.rawValue].summary("history page")
            case .connect: recorders[kind.rawValue].summary("ticket, connect, synced")
            }
        } + [direct.acks.summary("direct: to ack"), lag.summary("send lag")]
    }

    /// Reads and typing whose effect never showed.
    var unanswered: Int { users.reduce(0) { $0 + ($1.reading == nil ? 0 : 1) + ($1.typing == nil ? 0 : 1) } }
    var isSettled: Bool { direct.isSettled && rooms.isSettled && calling == 0 }

    // MARK: Sending

    /// Every user writes once, so that all conversations are there.
    func greet() {
        let now = LoadLoop.clock
        for user in users.indices {
            let index = greetings.send(due: now, now: now, expected: 1)
            let connection = users[user].connection
            users[user].direct.withFrame(index: index) { connection.send($0) }
        }
    }

    var isGreeted: Bool { greetings.isSettled && users.allSatisfy { $0.conversation != nil } }

    func begin(rate: Double, start: UInt64, window: Range<UInt64>) {
        self.window = window
        direct = Ledger(base: greetings.count, window: window)
        rooms = Ledger(base: Self.roomBase, window: window)
        let seconds = Double(window.upperBound - start) / 1e9
        schedule = OpenLoop(start: start, perSecond: rate, count: Int(rate * seconds))
    }

    package func pump(_ now: UInt64) -> UInt64 {
        guard let due = schedule?.takeDue(at: now) else { return .max }
        for place in due { perform(mix.kind(place), due: schedule?.due(place) ?? now, now: now) }
        return schedule?.next ?? .max
    }

    private func perform(_ kind: Mix.Kind, due: UInt64, now: UInt64) {
        let turn = turns[kind.rawValue]
        turns[kind.rawValue] += 1
        done += 1
        timeline.count(kind.rawValue, now: now)
        if window.contains(due) {
            counts[kind.rawValue] += 1
            lag.record(nanoseconds: now > due ? now - due : 0)
        }
        // A prime step: neighbours don't act one after the other.
        let user = turn * 37 % users.count
        switch kind {
        case .direct:
            let index = direct.send(due: due, now: now, expected: 1)
            let connection = users[user].connection
            users[user].direct.withFrame(index: index) { connection.send($0) }
        case .room:
            let index = rooms.send(due: due, now: now, expected: members - 1)
            let connection = users[turn % members].connection
            users[turn % members].room?.withFrame(index: index) { connection.send($0) }
        case .read: read(turn, due: due)
        case .typing: type(turn, due: due)
        case .history:
            calling += 1
            ask(Call(kind: .history(user: user, conversation: users[user].conversation ?? ""), due: due))
        case .connect:
            calling += 1
            ask(Call(kind: .connect(turn: turn), due: due))
        }
    }

    /// The next user with something unread reads it.
    private func read(_ turn: Int, due: UInt64) {
        for step in 0..<users.count {
            let user = (turn &* 37 &+ step) % users.count
            guard users[user].reading == nil, users[user].lastSeq > users[user].lastRead,
                let conversation = users[user].conversation
            else { continue }
            users[user].lastRead = users[user].lastSeq
            users[user].reading = (users[user].lastSeq, due)
            users[user].connection.send(ClientFrames.read(conversation, users[user].lastSeq))
            return
        }
    }

    /// The next user who is not waiting for the last signal's effect begins to type, or ends.
    private func type(_ turn: Int, due: UInt64) {
        for step in 0..<users.count {
            let user = (turn &* 37 &+ step) % users.count
            guard users[user].typing == nil, let conversation = users[user].conversation else { continue }
            users[user].isTyping.toggle()
            users[user].typing = (users[user].isTyping, due)
            users[user].connection.send(ClientFrames.typing(conversation, isActive: users[user].isTyping))
            return
        }
    }

    /// Keeps one who came; who came before the last fifty goes.
    func welcome(_ connection: LoadConnection) {
        comers.append(connection)
        if comers.count > 50 { comers.removeFirst().close() }
    }

    // MARK: What comes

    func finished(_ call: Call, now: UInt64) {
        calling -= 1
        guard window.contains(call.due) else { return }
        let kind: Mix.Kind =
            switch call.kind {
            case .history: .history
            case .connect: .connect
            }
        recorders[kind.rawValue].record(nanoseconds: now - call.due)
    }

    func failed(_ problem: String) {
        calling -= 1
        found.errors += 1
        found.firstError = found.firstError ?? problem
    }

    package func received(_ event: EventView, by connection: LoadConnection, now: UInt64) {
        guard let index = event.index, connection.index >= 0 else { return }
        if index >= Self.roomBase {
            if !event.isOwn, rooms.holds(index) { rooms.deliver(index, now: now) }
            return
        }
        let user = connection.index
        if users[user].conversation == nil {
            users[user].conversation = String(decoding: event.conversation, as: UTF8.self)
        }
        guard !event.isOwn else { return }
        users[user].lastSeq = event.seq
        if direct.holds(index) {
            direct.deliver(index, now: now)
        } else if greetings.holds(index) {
            greetings.deliver(index, now: now)
        }
    }

    package func acknowledged(_ ack: AckView, to connection: LoadConnection, now: UInt64) {
        guard let index = ack.index else { return }
        if direct.holds(index) {
            direct.acknowledge(index, now: now)
        } else if rooms.holds(index) {
            rooms.acknowledge(index, now: now)
        } else if greetings.holds(index) {
            greetings.acknowledge(index, now: now)
        }
    }

    package func refused(_ error: ErrorView, to connection: LoadConnection) {
        found.firstError = found.firstError ?? error.text
        guard let index = error.index else {
            found.errors += 1
            return
        }
        if direct.holds(index) {
            direct.refuse(index)
        } else if rooms.holds(index) {
            rooms.refuse(index)
        } else if greetings.holds(index) {
            greetings.refuse(index)
        }
    }

    package func received(_ receipt: ReceiptView, by connection: LoadConnection, now: UInt64) {
        guard connection.index >= 0, receipt.read > 0, !receipt.conversation.elementsEqual(room) else { return }
        // One's own comes too, for one's other devices.
        let reader = connection.index ^ 1
        guard reader < users.count, receipt.user.elementsEqual(users[reader].id), let reading = users[reader].reading,
            receipt.read >= reading.seq
        else { return }
        users[reader].reading = nil
        record(.read, since: reading.due, now)
    }

    package func received(_ typing: TypingView, by connection: LoadConnection, now: UInt64) {
        guard connection.index >= 0, !typing.conversation.elementsEqual(room) else { return }
        let writer = connection.index ^ 1
        guard writer < users.count, let signal = users[writer].typing, signal.isActive == typing.isActive else {
            return
        }
        users[writer].typing = nil
        record(.typing, since: signal.due, now)
    }

    private func record(_ kind: Mix.Kind, since due: UInt64, _ now: UInt64) {
        if window.contains(due) { recorders[kind.rawValue].record(nanoseconds: now - due) }
    }

    package func lost(_ connection: LoadConnection) { found.brokenConnections += 1 }
}

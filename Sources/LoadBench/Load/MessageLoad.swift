/// Messages from many senders, at a rate or one after the other, and the books of what came.
///
/// Used on the loop's thread only.
package final class MessageLoad: LoadDriver, LoadHandler, @unchecked Sendable {
    package struct Sender {
        package var connection: LoadConnection
        /// Used in turn.
        package var templates: [MessageTemplate]
        fileprivate var turn = 0

        package init(_ connection: LoadConnection, _ templates: [MessageTemplate]) {
            (self.connection, self.templates) = (connection, templates)
        }
    }

    package enum Pace: Sendable {
        /// Messages a second in all, whatever the server does.
        case open(Double)
        /// So many under way for each sender: the next is sent when one is done.
        case closed(window: Int)
    }

    /// What makes a message done, in a closed loop.
    package enum Completion: Sendable { case delivered, acknowledged }

    private let loop: LoadLoop
    private var senders: [Sender]
    /// How many must get each message.
    private let expected: Int
    private let completion: Completion
    private var turn = 0
    private var schedule: OpenLoop?
    private var sendUntil: UInt64 = 0
    private var sendAtMost = 0
    private var ready: [Int] = []
    /// Which sender sent a message, for a closed loop.
    private var senderOf: [UInt32] = []
    private var isSending = false

    private var ledgers: [Ledger] = [Ledger(base: 0, window: 0..<0)]
    package private(set) var timeline: Timeline
    package private(set) var firstError: String?
    /// Refusals and breaks of connections.
    package private(set) var broken = 0

    package static let sentKind = 0
    package static let deliveredKind = 1

    package init(loop: LoadLoop, senders: [Sender], expected: Int, completion: Completion, start: UInt64) {
        (self.loop, self.senders, self.expected, self.completion) = (loop, senders, expected, completion)
        timeline = Timeline(start: start, names: ["sent", "delivered"])
    }

    /// The books of the step that runs, or ran last.
    package var ledger: Ledger { ledgers[ledgers.count - 1] }
    /// Of all steps.
    package var correctness: Correctness {
        var sum = Correctness()
        for ledger in ledgers {
            sum.lost += ledger.lost
            sum.repeated += ledger.repeated
            sum.errors += ledger.errors
        }
        sum.brokenConnections = broken
        sum.firstError = firstError
        return sum
    }
    package var isDone: Bool { !isSending }

    /// Begins a step.
    /// - Parameters:
    ///   - window: what is due in it is measured, nanoseconds of the clock; sending ends with it.
    ///   - most: messages at most; nil: as many as the time lets.
    package func begin(_ pace: Pace, start: UInt64, window measured: Range<UInt64>, most: Int? = nil) {
        // Index 0 would be a base twice where nothing was sent.
        if ledger.count == 0 { ledgers.removeLast() }
        ledgers.append(Ledger(base: senderOf.count, window: measured))
        sendUntil = measured.upperBound
        sendAtMost = most ?? .max
        isSending = true
        ready = []
        switch pace {
        case .open(let rate):
            let seconds = Double(measured.upperBound - start) / 1e9
            schedule = OpenLoop(start: start, perSecond: rate, count: min(sendAtMost, Int(rate * seconds)))
        case .closed(let window):
            schedule = nil
            ready = (0..<window).flatMap { _ in Array(senders.indices) }
        }
    }

    package func pump(_ now: UInt64) -> UInt64 {
        guard isSending else { return .max }
        if schedule != nil { return pumpOpen(now) }
        return pumpClosed(now)
    }

    private func pumpOpen(_ now: UInt64) -> UInt64 {
        guard let due = schedule?.takeDue(at: now) else { return .max }
        for place in due {
            send(from: turn, due: schedule?.due(place) ?? now, now: now)
            turn = turn + 1 == senders.count ? 0 : turn + 1
        }
        guard let next = schedule?.next else {
            isSending = false
            return .max
        }
        return next
    }

    private func pumpClosed(_ now: UInt64) -> UInt64 {
        guard now < sendUntil else {
            isSending = false
            ready = []
            return .max
        }
        let due = ready
        ready.removeAll(keepingCapacity: true)
        for sender in due {
            guard ledger.count < sendAtMost else {
                isSending = false
                break
            }
            send(from: sender, due: now, now: now)
        }
        return sendUntil
    }

    @inline(__always)
    private func send(from sender: Int, due: UInt64, now: UInt64) {
        let index = ledgers[ledgers.count - 1].send(due: due, now: now, expected: expected)
        senderOf.append(UInt32(sender))
        timeline.count(Self.sentKind, now: now)
        let template = senders[sender].turn
        senders[sender].turn = template + 1 == senders[sender].templates.count ? 0 : template + 1
        let connection = senders[sender].connection
        senders[sender].templates[template].withFrame(index: index) { connection.send($0) }
    }

    // MARK: What comes

    @inline(__always)
    private func place(of index: Int) -> Int? {
        var place = ledgers.count - 1
        while place >= 0 {
            if ledgers[place].holds(index) { return place }
            place -= 1
        }
        return nil
    }

    package func received(_ event: EventView, by connection: LoadConnection, now: UInt64) {
        guard !event.isOwn, expected > 0, let index = event.index, let place = place(of: index) else { return }
        ledgers[place].deliver(index, now: now)
        timeline.count(Self.deliveredKind, now: now)
        if schedule == nil, completion == .delivered, ledgers[place].remaining(index) == 0 { done(index) }
    }

    package func acknowledged(_ ack: AckView, to connection: LoadConnection, now: UInt64) {
        guard let index = ack.index, let place = place(of: index) else { return }
        ledgers[place].acknowledge(index, now: now)
        if schedule == nil, completion == .acknowledged { done(index) }
    }

    package func refused(_ error: ErrorView, to connection: LoadConnection) {
        firstError = firstError ?? error.text
        guard let index = error.index, let place = place(of: index) else {
            loop.findings.errors += 1
            return
        }
        ledgers[place].refuse(index)
        if schedule == nil { done(index) }
    }

    package func lost(_ connection: LoadConnection) { broken += 1 }

    private func done(_ index: Int) {
        if isSending { ready.append(Int(senderOf[index])) }
    }
}

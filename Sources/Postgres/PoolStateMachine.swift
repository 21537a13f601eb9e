import DequeModule

/// Decides which request gets which connection and when to connect; does nothing itself.
///
/// A slot is one possible connection:
/// - `closed`: to `connecting`, when there is work for it.
/// - `connecting`: to `idle` or `leased` when it is up, to `closed` when it fails.
/// - `idle`: to `leased`, or to `closed` when the server hangs up.
/// - `leased`: to `idle` or to the next request when it is given back, to `closed` when it is lost.
///
/// One connection is kept even without work. After a failed attempt the pool pauses, then tries with a single connection
/// until one succeeds.
struct PoolStateMachine {
    typealias RequestID = UInt64

    enum Action: Equatable {
        case lease(RequestID, slot: Int)
        case connect(slot: Int)
        /// Call `retryDue()` after this pause.
        case retry(after: Duration)
        case close(slot: Int)
        case refuse(RequestID, Refusal)
        /// Everything is closed after `close()`.
        case finished
    }

    enum Refusal: Equatable { case queueFull, closed }

    enum Slot: Equatable { case closed, connecting, idle, leased }

    private enum Phase { case created, running, closing, closed }

    private(set) var slots: [Slot]
    private var phase = Phase.created
    /// In the order of their arrival; abandoned ones are taken out lazily.
    private var queue = Deque<RequestID>()
    private var waiting: Set<RequestID> = []
    /// The one used last is used next, so that surplus connections stay quiet.
    private var idle: [Int] = []
    private var connecting = 0
    private var failures = 0
    private var isPausing = false
    private let queueLimit: Int
    private let backoff: Backoff

    init(capacity: Int, queueLimit: Int, backoff: Backoff) {
        slots = Array(repeating: .closed, count: max(1, capacity))
        self.queueLimit = queueLimit
        self.backoff = backoff
    }

    var waitingCount: Int { waiting.count }
    /// Attempts to connect that have failed since the last success.
    var failedAttempts: Int { failures }

    mutating func start() -> [Action] {
        guard phase == .created else { return [] }
        phase = .running
        return connectWhatIsNeeded()
    }

    mutating func request(_ id: RequestID) -> [Action] {
        switch phase {
        case .closing, .closed: return [.refuse(id, .closed)]
        case .created, .running: break
        }
        if let slot = idle.popLast() {
            slots[slot] = .leased
            return [.lease(id, slot: slot)]
        }
        if waiting.count >= queueLimit { return [.refuse(id, .queueFull)] }
        queue.append(id)
        waiting.insert(id)
        return connectWhatIsNeeded()
    }

    /// The request isn't wanted any more; false if it doesn't wait.
    mutating func abandon(_ id: RequestID) -> Bool {
        guard waiting.remove(id) != nil else { return false }
        if queue.count > 64, queue.count > 2 * waiting.count { queue.removeAll { !waiting.contains($0) } }
        return true
    }

    mutating func connected(slot: Int) -> [Action] {
        guard slots[slot] == .connecting else { return [] }
        connecting -= 1
        failures = 0
        return handOver(slot) + connectWhatIsNeeded()
    }

    /// - Parameter jitter: 0..<1, drawn by the caller.
    mutating func connectFailed(slot: Int, jitter: Double) -> [Action] {
        guard slots[slot] == .connecting else { return [] }
        slots[slot] = .closed
        connecting -= 1
        if phase == .closing { return finishIfClosed() }
        failures += 1
        if isPausing { return [] }
        isPausing = true
        return [.retry(after: backoff.pause(afterFailures: failures, jitter: jitter))]
    }

    mutating func retryDue() -> [Action] {
        guard isPausing else { return [] }
        isPausing = false
        return connectWhatIsNeeded()
    }

    /// The lease is over and the connection is as good as new.
    mutating func released(slot: Int) -> [Action] {
        guard slots[slot] == .leased else { return [] }
        return handOver(slot)
    }

    /// An established connection is gone.
    mutating func lost(slot: Int) -> [Action] {
        switch slots[slot] {
        case .closed, .connecting: return []
        case .idle: idle.removeAll { $0 == slot }
        case .leased: break
        }
        slots[slot] = .closed
        return phase == .closing ? finishIfClosed() : connectWhatIsNeeded()
    }

    /// Refuses what waits, closes what is idle, and the rest as it is given back.
    mutating func close() -> [Action] {
        switch phase {
        case .closing, .closed: return []
        case .created, .running: phase = .closing
        }
        var actions: [Action] = queue.filter { waiting.contains($0) }.map { .refuse($0, .closed) }
        queue.removeAll()
        waiting.removeAll()
        for slot in slots.indices where slots[slot] == .idle || slots[slot] == .connecting {
            if slots[slot] == .connecting { connecting -= 1 }
            slots[slot] = .closed
            actions.append(.close(slot: slot))
        }
        idle.removeAll()
        return actions + finishIfClosed()
    }

    private mutating func handOver(_ slot: Int) -> [Action] {
        if phase == .closing {
            slots[slot] = .closed
            return [.close(slot: slot)] + finishIfClosed()
        }
        while let id = queue.popFirst() {
            if waiting.remove(id) == nil { continue }
            slots[slot] = .leased
            return [.lease(id, slot: slot)]
        }
        slots[slot] = .idle
        idle.append(slot)
        return []
    }

    private mutating func connectWhatIsNeeded() -> [Action] {
        guard phase == .running, !isPausing else { return [] }
        let isDown = slots.allSatisfy { $0 == .closed }
        let wanted = failures > 0 ? 1 : max(waiting.count, isDown ? 1 : 0)
        var actions: [Action] = []
        for slot in slots.indices where slots[slot] == .closed && connecting < wanted {
            slots[slot] = .connecting
            connecting += 1
            actions.append(.connect(slot: slot))
        }
        return actions
    }

    private mutating func finishIfClosed() -> [Action] {
        guard phase == .closing, slots.allSatisfy({ $0 == .closed }) else { return [] }
        phase = .closed
        return [.finished]
    }
}

/// Pauses that double up to a limit; the second half of each is random, so that many clients don't come back as one.
struct Backoff: Sendable {
    var base: Duration
    var limit: Duration

    func pause(afterFailures failures: Int, jitter: Double) -> Duration {
        let doubled = base * (1 << min(max(failures - 1, 0), 20))
        let full = min(doubled, limit)
        return full / 2 + full / 2 * jitter
    }
}

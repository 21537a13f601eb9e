/// Decides when a part of the cluster is started, restarted and given up. It does nothing itself: the shell
/// (`SupervisedPart`) asks for the `next` step, carries it out and reports what came of it.
struct PartStateMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// How a part that ends by itself is treated.
    struct Policy: Sendable {
        /// Whether it is started again.
        var restarts = true
        /// How long to wait before that.
        var backoff = Backoff()
        /// How often it may end before it ever answered until it is given up. (What once worked is never given up.)
        var attempts = 4
        /// How long it must have answered for its earlier failures to be forgotten.
        var settled: Duration = .seconds(10)
    }

    enum State: Equatable, Sendable {
        /// Not wanted, and nothing runs. Exit: `start` to due.
        case stopped
        /// To be spawned at that time. Exits: `next` to starting, `stop` to stopped.
        case due(Instant)
        /// Spawned; it doesn't answer yet. Exits: `answered` to ready, `exited` to due or failed, `stop` to stopping.
        case starting
        /// It answers. Exits: `exited` to due or failed, `stop` to stopping.
        case ready(since: Instant)
        /// Told to end. Exit: `exited` to stopped, or to due when it has been asked for again meanwhile.
        case stopping(thenStart: Bool)
        /// Given up. Exit: `start` to due.
        case failed(PartExit)
    }

    /// What the shell does next.
    enum Step: Equatable, Sendable {
        /// Spawn it now, then report `answered` and `exited`.
        case spawn
        /// Ask again at that time, or when something changed.
        case wait(until: Instant)
        /// Ask again when something changed.
        case rest
    }

    private(set) var state: State = .stopped
    private(set) var policy: Policy
    /// Ends in a row without having settled.
    private(set) var failures = 0
    /// Spawned how often since the cluster began.
    private(set) var spawns = 0
    private var hasAnswered = false

    init(policy: Policy) {
        self.policy = policy
    }

    /// Whether a process may exist.
    var isUp: Bool {
        switch state {
        case .starting, .ready, .stopping: true
        case .stopped, .due, .failed: false
        }
    }

    var isReady: Bool {
        if case .ready = state { true } else { false }
    }

    /// The part is wanted.
    mutating func start(now: Instant) {
        switch state {
        case .stopped, .failed:
            failures = 0
            state = .due(now)
        case .stopping:
            state = .stopping(thenStart: true)
        case .due, .starting, .ready:
            break
        }
    }

    /// The part is not wanted. True: its process is to be told so.
    mutating func stop() -> Bool {
        switch state {
        case .due, .failed, .stopped:
            state = .stopped
            return false
        case .starting, .ready:
            state = .stopping(thenStart: false)
            return true
        case .stopping:
            state = .stopping(thenStart: false)
            return false
        }
    }

    mutating func next(now: Instant) -> Step {
        switch state {
        case .due(let time) where time <= now:
            state = .starting
            spawns += 1
            return .spawn
        case .due(let time):
            return .wait(until: time)
        case .stopped, .starting, .ready, .stopping, .failed:
            return .rest
        }
    }

    /// The process does its work.
    mutating func answered(now: Instant) {
        switch state {
        case .starting:
            hasAnswered = true
            state = .ready(since: now)
        case .stopped, .due, .ready, .stopping, .failed:
            break
        }
    }

    /// The process ended, or could not be spawned. `random` in 0..<1 spreads restarts.
    mutating func exited(_ exit: PartExit, now: Instant, random: Double) {
        switch state {
        case .ready(let since):
            if now - since >= policy.settled { failures = 0 }
            restart(after: exit, now: now, random: random)
        case .starting:
            restart(after: exit, now: now, random: random)
        case .stopping(let thenStart):
            failures = 0
            state = thenStart ? .due(now) : .stopped
        case .stopped, .due, .failed:
            break
        }
    }

    private mutating func restart(after exit: PartExit, now: Instant, random: Double) {
        failures += 1
        if exit.isFinal || !policy.restarts || (!hasAnswered && failures >= policy.attempts) {
            state = .failed(exit)
        } else {
            state = .due(now + policy.backoff.delay(failures: failures, random: random))
        }
    }
}

/// How long to wait before the next try: doubling, capped, half of it random so that parts don't move in step.
struct Backoff: Equatable, Sendable {
    var first: Duration = .milliseconds(100)
    var cap: Duration = .seconds(5)

    /// - Parameters:
    ///   - failures: Failures in a row, 1 or more.
    ///   - random: In 0..<1.
    func delay(failures: Int, random: Double) -> Duration {
        let doublings = min(max(failures, 1) - 1, 20)
        return min(cap, first * (1 << doublings)) * (0.5 + random / 2)
    }
}

/// How a part's process ended.
package struct PartExit: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Reason: Equatable, Sendable {
        case status(Int32)
        case signal(Int32)
        /// It was never spawned.
        case notSpawned(String)
    }

    package var reason: Reason
    /// Trying again would be in vain: its program is missing, its folder is of another version.
    package var isFinal = false

    package var description: String {
        switch reason {
        case .status(let code): "exited with status \(code)"
        case .signal(let number): "was ended by signal \(number)"
        case .notSpawned(let why): why
        }
    }
}

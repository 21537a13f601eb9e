/// A session with ZooKeeper as the client sees it, without I/O: it takes the C library's events and the time, and says
/// what the client is to do.
///
/// - `connecting`: no session yet. Leaves to `connected`, to `expired` (credentials refused), to `closed`.
/// - `connected`: leaves to `suspended` when the connection is lost, to `expired`, to `closed`.
/// - `suspended`: the session may be alive. Leaves to `connected` when it was resumed in time, to `expired` when the
///   server says so, to `closed`.
/// - `expired`: its handle is of no use any more. Leaves to `connecting` with a new handle, to `closed`.
/// - `closed`: final.
///
/// A suspended session is resumed by the C library by itself, but for one case: it tells the server the last transaction
/// that it saw, and a server that lost its data refuses a client from the future, again and again, without ever saying
/// that the session expired. So after `sessionTimeout` of suspension the handle is replaced by one that resumes the same
/// session and has seen nothing: it gets the session back if that exists, and is told that it expired if not.
struct SessionStateMachine {
    /// What the library says about a handle.
    enum Event: Sendable, Equatable {
        case connected(ZooKeeperSession, timeout: Duration)
        case disconnected
        case expired
        case authFailed
    }

    /// What the client must do.
    struct Directive: Equatable {
        /// Tell the followers of the state.
        var publish: ZooKeeperState?
        /// Close the handle and open another (`open()`).
        var replacesHandle = false
    }

    private enum State {
        case connecting
        case connected(ZooKeeperSession)
        case suspended(ZooKeeperSession, since: ContinuousClock.Instant, opened: ContinuousClock.Instant)
        case expired
        case closed
    }

    private var state = State.connecting
    private var handle = 0
    private(set) var timeout: Duration
    /// Counts the times that a connection was made: who remembers it notices that it was gone in between.
    private(set) var connections = 0
    /// The ids of the latest sessions, the present one included.
    private(set) var sessions: [Int64] = []

    init(timeout: Duration) {
        self.timeout = timeout
    }

    var published: ZooKeeperState {
        switch self.state {
        case .connecting: .connecting
        case .connected: .connected
        case .suspended: .suspended
        case .expired: .expired
        case .closed: .closed
        }
    }

    /// The session that exists as far as is known.
    var session: ZooKeeperSession? {
        switch self.state {
        case .connected(let session), .suspended(let session, _, _): session
        case .connecting, .expired, .closed: nil
        }
    }

    /// For how long the connection has been lost; `nil` if it isn't or there is no session.
    func suspendedFor(now: ContinuousClock.Instant) -> Duration? {
        switch self.state {
        case .suspended(_, let since, _): now - since
        case .connecting, .connected, .expired, .closed: nil
        }
    }

    /// Whether the server may have ended the session, judged by the local clock. The library notices a loss at the latest
    /// two thirds of the time-out after the server's last sign of life, so a third is left.
    func isPresumedExpired(now: ContinuousClock.Instant) -> Bool {
        switch self.state {
        case .suspended(_, let since, _): now - since >= self.timeout / 3
        case .connecting, .expired, .closed: true
        case .connected: false
        }
    }

    /// A handle is about to be opened: its number, for `handle(_:from:now:)`, and the session that it resumes.
    mutating func open(now: ContinuousClock.Instant) -> (handle: Int, resuming: ZooKeeperSession?, Directive) {
        self.handle += 1
        switch self.state {
        case .suspended(let session, let since, _):
            self.state = .suspended(session, since: since, opened: now)
            return (self.handle, session, Directive())
        case .connected(let session):
            // Its handle is being replaced, so the connection is gone.
            self.state = .suspended(session, since: now, opened: now)
            return (self.handle, session, Directive(publish: .suspended))
        case .expired:
            self.state = .connecting
            return (self.handle, nil, Directive(publish: .connecting))
        case .connecting, .closed:
            return (self.handle, nil, Directive())
        }
    }

    /// The library reports on a handle; what an earlier one still says is void.
    mutating func handle(_ event: Event, from handle: Int, now: ContinuousClock.Instant) -> Directive {
        guard handle == self.handle else { return Directive() }
        switch (event, self.state) {
        case (_, .closed), (_, .expired):
            return Directive()
        case (.connected(let session, let timeout), .connecting), (.connected(let session, let timeout), .connected),
            (.connected(let session, let timeout), .suspended):
            self.timeout = timeout
            self.connections += 1
            self.state = .connected(session)
            if self.sessions.last != session.id { self.sessions = self.sessions.suffix(15) + [session.id] }
            return Directive(publish: .connected)
        case (.disconnected, .connected(let session)):
            self.state = .suspended(session, since: now, opened: now)
            return Directive(publish: .suspended)
        case (.disconnected, .connecting), (.disconnected, .suspended):
            return Directive()
        case (.expired, .connecting), (.expired, .connected), (.expired, .suspended),
            (.authFailed, .connecting), (.authFailed, .connected), (.authFailed, .suspended):
            self.state = .expired
            return Directive(publish: .expired, replacesHandle: true)
        }
    }

    /// Time has passed.
    mutating func tick(now: ContinuousClock.Instant) -> Directive {
        guard let wait = self.untilTick(now: now), wait <= .zero else { return Directive() }
        return Directive(replacesHandle: true)
    }

    /// When `tick` has something to do.
    func untilTick(now: ContinuousClock.Instant) -> Duration? {
        switch self.state {
        case .suspended(_, _, let opened): self.timeout - (now - opened)
        case .connecting, .connected, .expired, .closed: nil
        }
    }

    mutating func close() -> Directive {
        self.state = .closed
        return Directive(publish: .closed)
    }
}

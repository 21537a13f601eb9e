import DequeModule

/// Which reply belongs to which request, without I/O: Redis answers in the order in which it was asked.
struct Pipeline<Request> {
    private var waiting: Deque<(request: Request, missing: Int)> = []
    private var collected: [RedisValue] = []

    /// How many requests have not been answered in full.
    var count: Int { self.waiting.count }

    /// A request was sent that has `replies` replies, at least one.
    mutating func sent(_ request: Request, replies: Int) {
        self.waiting.append((request, replies))
    }

    /// A reply came.
    enum Outcome {
        /// It completes a request.
        case complete(Request, [RedisValue])
        /// The request at the head wants more.
        case incomplete
        /// Nobody asked.
        case unexpected
    }

    mutating func received(_ value: RedisValue) -> Outcome {
        guard let head = self.waiting.first else { return .unexpected }
        self.collected.append(value)
        if head.missing > 1 {
            self.waiting[0].missing -= 1
            return .incomplete
        }
        self.waiting.removeFirst()
        defer { self.collected = [] }
        return .complete(head.request, self.collected)
    }

    /// The connection is gone: the requests that won't be answered any more.
    mutating func fail() -> [Request] {
        defer {
            self.waiting = []
            self.collected = []
        }
        return self.waiting.map(\.request)
    }
}

/// The pauses between attempts to connect: each twice the last up to a limit, and by chance up to half shorter, so that
/// clients that were cut off together don't come back together.
struct BackOff {
    private let first: Duration
    private let limit: Duration
    private var pause: Duration

    init(first: Duration, limit: Duration) {
        self.first = first
        self.limit = limit
        self.pause = first
    }

    /// - Parameter random: 0 to 1.
    mutating func next(random: Double = .random(in: 0...1)) -> Duration {
        defer { self.pause = min(self.pause * 2, self.limit) }
        return self.pause * (1 - random / 2)
    }

    mutating func reset() {
        self.pause = self.first
    }
}

import NIOConcurrencyHelpers

/// One or more commands that are sent together, and who waits for the replies.
final class Request: Sendable {
    typealias Answer = Result<[RedisValue], RedisError>

    private enum State {
        case open
        case awaited(CheckedContinuation<Answer, Never>)
        case given(Answer)
        case taken
    }

    /// The commands as they are sent.
    let bytes: [UInt8]
    /// How many they are.
    let replies: Int
    /// The first command's name.
    let name: String
    let timeout: Duration
    private let state = NIOLockedValueBox(State.open)

    init(_ commands: [[RedisArgument]], timeout: Duration) {
        var bytes: [UInt8] = []
        for command in commands { RESP.append(command, to: &bytes) }
        self.bytes = bytes
        self.replies = commands.count
        self.name = commands.first?.first.map { String(decoding: $0.bytes, as: UTF8.self) } ?? "pipeline"
        self.timeout = timeout
    }

    /// The first answer counts.
    func give(_ answer: Answer) {
        let waiter = self.state.withLockedValue { state -> CheckedContinuation<Answer, Never>? in
            switch state {
            case .open:
                state = .given(answer)
                return nil
            case .awaited(let continuation):
                state = .taken
                return continuation
            case .given, .taken:
                return nil
            }
        }
        waiter?.resume(returning: answer)
    }

    func fail(_ code: RedisError.Code, _ message: String) {
        self.give(.failure(RedisError(code: code, message: message, attempted: self.name)))
    }

    /// The answer; to be awaited once. Cancelling the task answers `.cancelled`.
    func answer() async -> Answer {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let given = self.state.withLockedValue { state -> Answer? in
                    switch state {
                    case .open:
                        state = .awaited(continuation)
                        return nil
                    case .given(let answer):
                        state = .taken
                        return answer
                    case .awaited, .taken:
                        preconditionFailure("an answer is awaited once")
                    }
                }
                if let given { continuation.resume(returning: given) }
            }
        } onCancel: {
            self.fail(.cancelled, "the task was cancelled")
        }
    }
}

/// What callers have submitted and the reactor hasn't taken yet. One call to the reactor takes all that came during a tick.
final class RequestQueue: Sendable {
    /// What became of a request.
    enum Submission {
        /// Queued; the reactor has to be told.
        case first
        /// Queued; the reactor knows.
        case queued
        case full
        case closed
    }

    private struct State {
        var requests: [Request] = []
        var unanswered = 0
        var isClosed = false
    }

    private let state = NIOLockedValueBox(State())
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    func submit(_ request: Request) -> Submission {
        self.state.withLockedValue { state in
            if state.isClosed { return .closed }
            if state.unanswered >= self.limit { return .full }
            state.unanswered += 1
            state.requests.append(request)
            return state.requests.count == 1 ? .first : .queued
        }
    }

    func take() -> [Request] {
        self.state.withLockedValue { state in
            defer { state.requests = [] }
            return state.requests
        }
    }

    /// That many requests have been answered or failed.
    func answered(_ count: Int) {
        self.state.withLockedValue { $0.unanswered -= count }
    }

    func close() {
        self.state.withLockedValue { $0.isClosed = true }
    }
}

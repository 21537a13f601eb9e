import DequeModule

/// What waits for the next commit, as a value: whatever arrives while one commit runs goes into the next. Nothing is ever
/// delayed to fill a batch: an element that meets an idle queue starts a commit alone.
///
/// States and their exits:
/// - idle (nothing runs, nothing waits): `submit` starts a run → busy.
/// - busy: `submit` queues, or refuses past the limit; `next` hands out a batch, and with nothing left → idle.
/// - closed: `submit` refuses; `next` hands out nothing.
package struct BatchQueue<Element> {
    package enum Submission: Equatable, Sendable {
        /// The queue was idle: whoever runs commits must call `next`.
        case start
        /// It goes with a commit to come.
        case queued
        /// Too much waits already, or the queue is closed.
        case refused
    }

    /// Elements in one batch at most.
    package let batchLimit: Int
    /// Elements that may wait.
    package let queueLimit: Int
    private var waiting: Deque<Element> = []
    private var isBusy = false
    private var isClosed = false

    package init(batchLimit: Int, queueLimit: Int) {
        precondition(batchLimit > 0 && queueLimit > 0)
        self.batchLimit = batchLimit
        self.queueLimit = queueLimit
    }

    /// How many wait for the next commit.
    package var depth: Int { waiting.count }

    package mutating func submit(_ element: Element) -> Submission {
        guard !isClosed, waiting.count < queueLimit else { return .refused }
        waiting.append(element)
        guard !isBusy else { return .queued }
        isBusy = true
        return .start
    }

    /// The next batch, in the order of arrival; empty: the queue is idle again.
    package mutating func next() -> [Element] {
        guard !isClosed else { return [] }
        let count = min(waiting.count, batchLimit)
        guard count > 0 else {
            isBusy = false
            return []
        }
        let batch = Array(waiting.prefix(count))
        waiting.removeFirst(count)
        return batch
    }

    /// Refuses everything from now on; what waited is the caller's to answer.
    package mutating func close() -> [Element] {
        isClosed = true
        defer { waiting = [] }
        return Array(waiting)
    }
}

extension BatchQueue: Sendable where Element: Sendable {}

/// Opens connections: so many at once, or each at its time.
package final class Connector: LoadDriver, @unchecked Sendable {
    /// A connection to open.
    package struct Job {
        package var connection: LoadConnection
        package var address: LoadAddress
        package var ticket: String?
        package var bearer: String?
        /// Not before this time, from which its latency counts; 0: as soon as it is its turn.
        package var due: UInt64
        /// When it is tried again; latency still counts from `due`.
        package var notBefore: UInt64 = 0

        fileprivate var turn: UInt64 { max(due, notBefore) }

        package init(
            _ connection: LoadConnection, _ address: LoadAddress, ticket: String? = nil, bearer: String? = nil,
            due: UInt64 = 0
        ) {
            (self.connection, self.address, self.ticket) = (connection, address, ticket)
            (self.bearer, self.due) = (bearer, due)
        }
    }

    private let loop: LoadLoop
    private let concurrency: Int
    private var jobs: [Job] = []
    private var next = 0
    private var underWay = 0
    package private(set) var latencies = LatencyRecorder()
    package private(set) var synced = 0
    package private(set) var failures: [(job: Job, failure: LoadFailure)] = []
    /// When the last one was synced.
    package private(set) var lastSyncedAt: UInt64 = 0
    package var onSynced: ((LoadConnection) -> Void)?

    package init(loop: LoadLoop, concurrency: Int) { (self.loop, self.concurrency) = (loop, concurrency) }

    /// Adds jobs; each has its turn at its time.
    package func add(_ more: [Job]) {
        jobs.removeFirst(next)
        next = 0
        jobs += more
        if jobs.contains(where: { $0.turn > 0 }) { jobs.sort { $0.turn < $1.turn } }
    }

    package var isIdle: Bool { next == jobs.count && underWay == 0 }

    package func takeFailures() -> [(job: Job, failure: LoadFailure)] {
        defer { failures = [] }
        return failures
    }

    package func pump(_ now: UInt64) -> UInt64 {
        while underWay < concurrency, next < jobs.count {
            let job = jobs[next]
            if job.turn > now { return job.turn }
            next += 1
            underWay += 1
            job.connection.connect(job.address, ticket: job.ticket, bearer: job.bearer) { connection, failure in
                self.finished(job, failure)
            }
        }
        return .max
    }

    private func finished(_ job: Job, _ failure: LoadFailure?) {
        underWay -= 1
        if let failure {
            failures.append((job, failure))
            return
        }
        synced += 1
        let end = job.connection.syncedAt
        lastSyncedAt = max(lastSyncedAt, end)
        latencies.record(nanoseconds: end - (job.due > 0 ? job.due : job.connection.startedAt))
        onSynced?(job.connection)
    }
}

extension Connector {
    /// Waits on the outside until nothing is to be done any more; false: not within the time.
    package func settle(within limit: Duration, progress: (Int) -> Void = { _ in }) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            let (isIdle, synced) = await loop.perform { (self.isIdle, self.synced) }
            progress(synced)
            if isIdle { return true }
            if ContinuousClock.now > deadline { return false }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

import Glibc
import NIOConcurrencyHelpers
import Reactor
import Testing

@Suite struct ReactorTests {
    /// An actor on the reactor, as the drivers have them.
    actor Resident {
        nonisolated let reactor: Reactor
        nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
        private var count = 0

        init(_ reactor: Reactor) { self.reactor = reactor }

        func increment() -> Int {
            count += 1
            return count
        }

        var isOnThread: Bool { reactor.isOnThread }
    }

    /// Runs `body` with a reactor that is stopped afterwards.
    private func withReactor<R>(_ body: (Reactor) async throws -> R) async rethrows -> R {
        let reactor = Reactor(name: "test")
        defer { reactor.stop() }
        return try await body(reactor)
    }

    /// Runs `body` on the reactor's thread.
    private func on<R: Sendable>(_ reactor: Reactor, _ body: @escaping @Sendable () throws -> R) async throws -> R {
        try await withCheckedThrowingContinuation { continuation in
            reactor.execute { continuation.resume(with: Result { try body() }) }
        }
    }

    private func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        return (ends[0], ends[1])
    }

    @Test func actorsRunOnTheThread() async {
        await withReactor { reactor in
            #expect(!reactor.isOnThread)
            let resident = Resident(reactor)
            #expect(await resident.isOnThread)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { for _ in 0..<500 { _ = await resident.increment() } } }
            }
            #expect(await resident.increment() == 4001)
        }
    }

    /// A task that prefers the reactor is there before and after what it waits for, also once the reactor was stopped.
    @Test func tasksThatPreferItRunOnTheThread() async {
        let reactor = Reactor(name: "test")
        await withTaskGroup { group in
            group.addTask(executorPreference: reactor.taskExecutor) {
                #expect(reactor.isOnThread)
                await withUnsafeContinuation { continuation in
                    reactor.execute { _ = reactor.schedule(after: .milliseconds(5)) { continuation.resume() } }
                }
                #expect(reactor.isOnThread)
                reactor.stop()
                await Task.yield()
                #expect(reactor.isOnThread)
            }
        }
    }

    @Test func stoppedReactorStillLetsTasksOut() async throws {
        let reactor = Reactor()
        let resident = Resident(reactor)
        #expect(await resident.increment() == 1)
        reactor.stop()
        reactor.stop()
        for _ in 0..<100 { _ = await resident.increment() }
        #expect(await resident.increment() == 102)
    }

    @Test func reactorIsFreedAfterStop() async throws {
        weak var freed: Reactor?
        do {
            let reactor = Reactor()
            freed = reactor
            _ = try await on(reactor) { true }
            reactor.stop()
        }
        for _ in 0..<200 where freed != nil { try await Task.sleep(for: .milliseconds(5)) }
        #expect(freed == nil)
    }

    @Test func eventsAndUnregister() async throws {
        try await withReactor { reactor in
            let ends = try makePipe()
            defer { close(ends.read) }
            let (bytes, feed) = AsyncStream.makeStream(of: Int.self)
            let registration = try await on(reactor) {
                try reactor.register(ends.read, for: .read) { events in
                    #expect(reactor.isOnThread)
                    var buffer = [UInt8](repeating: 0, count: 16)
                    feed.yield(events.readable ? read(ends.read, &buffer, 16) : -2)
                }
            }
            var iterator = bytes.makeAsyncIterator()
            #expect(write(ends.write, "abc", 3) == 3)
            #expect(await iterator.next() == 3)
            close(ends.write)  // hang-up: reported as readable, end of file
            #expect(await iterator.next() == 0)
            let load = try await on(reactor) {
                reactor.unregister(registration)
                reactor.unregister(registration)
                reactor.update(registration, to: .write)
                return reactor.load.descriptors
            }
            #expect(load == 0)
        }
    }

    /// The library underneath closed its socket and opened another, which got the same number.
    @Test func reusedDescriptor() async throws {
        try await withReactor { reactor in
            let old = try makePipe()
            let fresh = try makePipe()
            defer { for end in [fresh.read, fresh.write, old.write] { close(end) } }
            let events = NIOLockedValueBox<[String]>([])
            let stale = try await on(reactor) {
                try reactor.register(old.read, for: .read) { _ in events.withLockedValue { $0.append("old") } }
            }
            let current = try await on(reactor) {
                close(old.read)
                try #require(dup2(fresh.read, old.read) == old.read)
                return try reactor.register(old.read, for: .read) { _ in
                    var byte: UInt8 = 0
                    _ = read(fresh.read, &byte, 1)
                    events.withLockedValue { $0.append("new") }
                }
            }
            try await on(reactor) { reactor.unregister(stale) }  // late, and must not hit the new one
            #expect(write(fresh.write, "x", 1) == 1)
            for _ in 0..<200 where events.withLockedValue({ $0.isEmpty }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(events.withLockedValue { $0 } == ["new"])
            try await on(reactor) {
                close(old.read)  // closed first, against the rules: must not crash either
                reactor.unregister(current)
                #expect(throws: ReactorError.self) { _ = try reactor.register(old.read, for: .read) { _ in } }
            }
        }
    }

    /// Two descriptors are ready in one tick, and the first handler unregisters the other.
    @Test func unregisterWithinATick() async throws {
        try await withReactor { reactor in
            let ends = try (makePipe(), makePipe())
            defer { for end in [ends.0.read, ends.0.write, ends.1.read, ends.1.write] { close(end) } }
            let calls = NIOLockedValueBox(0)
            let registrations = NIOLockedValueBox<[Reactor.Registration]>([])
            try await on(reactor) {
                #expect(write(ends.0.write, "x", 1) == 1)
                #expect(write(ends.1.write, "x", 1) == 1)
                for end in [ends.0.read, ends.1.read] {
                    let registration = try reactor.register(end, for: .read) { _ in
                        calls.withLockedValue { $0 += 1 }
                        for registration in registrations.withLockedValue({ $0 }) { reactor.unregister(registration) }
                    }
                    registrations.withLockedValue { $0.append(registration) }
                }
            }
            for _ in 0..<200 where calls.withLockedValue({ $0 == 0 }) { try await Task.sleep(for: .milliseconds(5)) }
            try await Task.sleep(for: .milliseconds(20))
            #expect(calls.withLockedValue { $0 } == 1)
        }
    }

    @Test func timers() async throws {
        try await withReactor { reactor in
            let fired = NIOLockedValueBox<[Int]>([])
            let clock = ContinuousClock()
            let start = clock.now
            let end = try await withCheckedThrowingContinuation {
                (done: CheckedContinuation<ContinuousClock.Instant, any Error>) in
                reactor.execute {
                    let record: @Sendable (Int) -> Void = { number in fired.withLockedValue { $0.append(number) } }
                    _ = reactor.schedule(after: .milliseconds(30)) {
                        record(3)
                        done.resume(returning: clock.now)
                    }
                    let cancelled = reactor.schedule(after: .milliseconds(20)) { record(99) }
                    _ = reactor.schedule(after: .milliseconds(10)) {
                        record(2)
                        reactor.cancel(cancelled)
                    }
                    _ = reactor.schedule(after: .zero) { record(1) }
                }
            }
            #expect(fired.withLockedValue { $0 } == [1, 2, 3])
            #expect(end - start >= .milliseconds(30))
            #expect(try await on(reactor) { reactor.load.timers } == 0)
        }
    }

    @Test func tickEndComesAfterTheTicksJobs() async throws {
        try await withReactor { reactor in
            let order = NIOLockedValueBox<[String]>([])
            try await on(reactor) {
                reactor.atTickEnd { order.withLockedValue { $0.append("flush") } }
                reactor.execute { order.withLockedValue { $0.append("job") } }
            }
            _ = try await on(reactor) { true }
            for _ in 0..<200 where order.withLockedValue({ $0.count < 2 }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(order.withLockedValue { $0 } == ["job", "flush"])
        }
    }

    /// Jobs that enqueue jobs for ever must not keep descriptors and timers from their turn.
    @Test func busyQueueDoesNotStarveTimers() async {
        await withReactor { reactor in
            let stop = NIOLockedValueBox(false)
            @Sendable func spin() {
                if !stop.withLockedValue({ $0 }) { reactor.execute { spin() } }
            }
            await withCheckedContinuation { continuation in
                reactor.execute {
                    _ = reactor.schedule(after: .milliseconds(5)) {
                        stop.withLockedValue { $0 = true }
                        continuation.resume()
                    }
                    spin()
                }
            }
        }
    }
}

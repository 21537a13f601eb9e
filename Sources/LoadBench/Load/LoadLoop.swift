import CEpoll
import Foundation
import Glibc
import NIOConcurrencyHelpers

/// Something that acts when its time has come: a schedule of sends, of connects.
package protocol LoadDriver: AnyObject {
    /// Called on the loop's thread in every round.
    /// - Returns: when to be called at the latest; `UInt64.max`: whenever.
    func pump(_ now: UInt64) -> UInt64
}

/// The generator's one thread: an epoll loop that reads, sends what is due, and writes each connection once a round.
///
/// It is not NIO's, since it shares the cores with what it measures: no closure, no lock and no buffer per event, and it
/// wakes for a send to a fraction of a millisecond. `LoadConnection`, drivers and handlers are touched on this thread
/// only; `perform` brings work there.
package final class LoadLoop: @unchecked Sendable {
    private struct Queue {
        var calls: [@Sendable () -> Void] = []
        var isStopping = false
    }

    private let epoll: Int32
    private let wakeUp: Int32
    private let queue = NIOLockedValueBox(Queue())

    // The thread's own.
    private var connections: [LoadConnection?] = []
    private var dirty: [LoadConnection] = []
    private var drivers: [any LoadDriver] = []
    /// Connections that say what they received, and when.
    private var acknowledgements: [(connection: LoadConnection, due: UInt64)] = []
    private var acknowledged = 0
    private var generation: UInt32 = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 * 1024, alignment: 16)
    /// What came in the wrong order, twice, or from a connection that broke.
    package var findings = Correctness()
    /// How long after an event its connection says that it has it.
    /// As long as the web client does.
    package var acknowledgeAfter: UInt64 = 150_000_000

    /// Rounds begin this far apart at least, so that what comes or is due close together shares one: waking up for each
    /// frame costs more than the frame. Latencies are exact to it.
    private static let shortestRound: UInt64 = 200_000
    private static let wakeUpToken = UInt64.max

    package init() {
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeUp = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(epoll >= 0 && wakeUp >= 0, "no descriptors left: errno \(errno)")
        watch(wakeUp, token: Self.wakeUpToken, events: EPOLLIN.rawValue, operation: EPOLL_CTL_ADD)
        let thread = Thread { self.run() }
        thread.name = "load"
        thread.start()
    }

    deinit {
        buffer.deallocate()
        Glibc.close(epoll)
        Glibc.close(wakeUp)
    }

    /// Nanoseconds of the monotonic clock.
    package static var clock: UInt64 { time(of: CLOCK_MONOTONIC) }

    /// Nanoseconds of CPU that this process has used.
    package static var usedCPU: UInt64 { time(of: CLOCK_PROCESS_CPUTIME_ID) }

    @inline(__always)
    private static func time(of clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    // MARK: From any thread

    /// Runs `body` on the loop's thread and answers what it does.
    package func perform<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            execute { continuation.resume(returning: body()) }
        }
    }

    package func execute(_ body: @escaping @Sendable () -> Void) {
        queue.withLockedValue { $0.calls.append(body) }
        wake()
    }

    /// Ends the thread; connections that are still there are closed.
    package func stop() {
        queue.withLockedValue { $0.isStopping = true }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(wakeUp, &one, 8)
    }

    // MARK: On the thread

    package func add(_ driver: any LoadDriver) { drivers.append(driver) }
    package func remove(_ driver: any LoadDriver) { drivers.removeAll { $0 === driver } }

    private func run() {
        let capacity = 512
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        var next: UInt64 = 0
        var begun: UInt64 = 0
        while true {
            var now = Self.clock
            if now < begun + Self.shortestRound {
                var pause = timespec(tv_sec: 0, tv_nsec: Int(begun + Self.shortestRound - now))
                nanosleep(&pause, nil)
                now = Self.clock
            }
            let sleep = next == .max ? UInt64(1_000_000_000) : next > now ? next - now : 0
            var timeout = timespec(tv_sec: Int(sleep / 1_000_000_000), tv_nsec: Int(sleep % 1_000_000_000))
            let count = epoll_pwait2(epoll, events, Int32(capacity), &timeout, nil)
            begun = Self.clock
            for event in UnsafeBufferPointer(start: events, count: Int(max(0, count))) { handle(event) }
            if runCalls() { return }
            next = turn(Self.clock)
        }
    }

    private func handle(_ event: epoll_event) {
        let token = event.data.u64
        if token == Self.wakeUpToken {
            var count: UInt64 = 0
            _ = read(wakeUp, &count, 8)
            return
        }
        let descriptor = Int(token & 0xFFFF_FFFF)
        guard descriptor < connections.count, let connection = connections[descriptor],
            connection.generation == UInt32(token >> 32)
        else { return }
        let failed = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
        if event.events & EPOLLOUT.rawValue != 0 || failed { connection.becameWritable() }
        if event.events & EPOLLIN.rawValue != 0 || failed { connection.becameReadable() }
    }

    /// Whether the loop is to end.
    private func runCalls() -> Bool {
        let (calls, isStopping) = queue.withLockedValue { queue in
            let calls = queue.calls
            queue.calls.removeAll()
            return (calls, queue.isStopping)
        }
        for call in calls { call() }
        guard isStopping else { return false }
        for connection in connections { connection?.close() }
        drivers = []
        return true
    }

    /// Does what is due, and answers when there is more to do.
    private func turn(_ now: UInt64) -> UInt64 {
        var next = UInt64.max
        for driver in drivers { next = min(next, driver.pump(now)) }
        while acknowledged < acknowledgements.count, acknowledgements[acknowledged].due <= now {
            acknowledgements[acknowledged].connection.acknowledge()
            acknowledged += 1
        }
        if acknowledged == acknowledgements.count {
            acknowledgements.removeAll(keepingCapacity: true)
            acknowledged = 0
        } else {
            if acknowledged > 4096 {
                acknowledgements.removeFirst(acknowledged)
                acknowledged = 0
            }
            // Some milliseconds later is early enough, and saves rounds.
            next = min(next, acknowledgements[acknowledged].due + 5_000_000)
        }
        for connection in dirty { connection.flush() }
        dirty.removeAll(keepingCapacity: true)
        return next
    }

    // MARK: For connections

    func isDirty(_ connection: LoadConnection) { dirty.append(connection) }

    func acknowledgeLater(_ connection: LoadConnection) {
        acknowledgements.append((connection, Self.clock + acknowledgeAfter))
    }

    /// Watches a new descriptor for becoming writable, and answers its generation.
    func register(_ descriptor: Int32, _ connection: LoadConnection) -> UInt32 {
        generation &+= 1
        while connections.count <= Int(descriptor) { connections.append(nil) }
        connections[Int(descriptor)] = connection
        watch(
            descriptor, token: token(descriptor, generation), events: EPOLLIN.rawValue | EPOLLOUT.rawValue,
            operation: EPOLL_CTL_ADD)
        return generation
    }

    func update(_ descriptor: Int32, _ generation: UInt32, writing: Bool) {
        watch(
            descriptor, token: token(descriptor, generation),
            events: writing ? EPOLLIN.rawValue | EPOLLOUT.rawValue : EPOLLIN.rawValue, operation: EPOLL_CTL_MOD)
    }

    /// Closes a descriptor, which ends the watching too.
    func unregister(_ descriptor: Int32) {
        connections[Int(descriptor)] = nil
        Glibc.close(descriptor)
    }

    private func token(_ descriptor: Int32, _ generation: UInt32) -> UInt64 {
        UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
    }

    private func watch(_ descriptor: Int32, token: UInt64, events: UInt32, operation: Int32) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        epoll_ctl(epoll, operation, descriptor, &event)
    }
}

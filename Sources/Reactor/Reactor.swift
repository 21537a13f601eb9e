import CEpoll
import Glibc
import NIOConcurrencyHelpers

/// One epoll thread that is also the `SerialExecutor` of every actor bound to it.
///
/// A driver over a C library gives its actors `reactor.asUnownedSerialExecutor()`: actor isolation and confinement to the
/// thread become the same thing, so that an event handler may call `assumeIsolated`, and a call from another actor costs
/// one hop. Work that is queued while the thread runs costs no system call.
///
/// A tick is: events, due timers, jobs, and last the `atTickEnd` callbacks, where drivers flush what the tick has queued.
///
/// The thread is started by the first work that needs it and lives until `stop()`. Work enqueued after that isn't lost: a
/// thread is started for it and ends when nothing is left, so a task that is still inside an actor of a stopped reactor
/// gets its way out.
package final class Reactor: SerialExecutor, @unchecked Sendable {
    /// What a descriptor is watched for.
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let read = Interest(rawValue: 1)
        package static let write = Interest(rawValue: 2)
    }

    /// What happened to a descriptor. An error or a hang-up sets all: whichever the owner waits for, it has to look.
    package struct Events: Sendable {
        package var readable: Bool
        package var writable: Bool
        /// EPOLLERR or EPOLLHUP: reported whatever the interest is, again and again until the descriptor is unregistered.
        package var failed: Bool
    }

    package typealias Handler = @Sendable (Events) -> Void

    /// One registration of a descriptor; worthless after `unregister`, also when the number is in use again.
    package struct Registration: Sendable, Hashable {
        package let descriptor: Int32
        fileprivate let generation: UInt32
    }

    private struct Watched {
        var generation: UInt32
        var interest: Interest
        var handler: Handler
    }

    private struct Queue {
        var jobs: [UnownedJob] = []
        var calls: [@Sendable () -> Void] = []
        /// Whether the thread will look at the queue before it sleeps.
        var isAwake = false
        var hasThread = false
        var isStopping = false

        var isEmpty: Bool { jobs.isEmpty && calls.isEmpty }
    }

    private let name: String
    private let epoll: Int32
    private let wakeUp: Int32
    private let queue = NIOLockedValueBox(Queue())

    // Only the reactor's thread touches what follows.
    private var watched: [Int32: Watched] = [:]
    private var generation: UInt32 = 0
    private var timers = TimerQueue()
    private var tickEnd: [@Sendable () -> Void] = []

    /// - Parameter name: of the thread; Linux keeps 15 characters.
    package init(name: String = "reactor") {
        self.name = name
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeUp = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(epoll >= 0 && wakeUp >= 0, "no descriptors left for a reactor: errno \(errno)")
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data(u64: Self.wakeUpToken))
        let added = epoll_ctl(epoll, EPOLL_CTL_ADD, wakeUp, &event)
        precondition(added == 0, "epoll refuses an eventfd: errno \(errno)")
    }

    deinit {
        close(wakeUp)
        close(epoll)
    }

    /// Ends the thread once its jobs are done. Descriptors that are still registered are no longer watched, timers don't
    /// fire any more. Returns at once; may be called from everywhere and more than once.
    package func stop() {
        let wake = queue.withLockedValue { queue -> Bool in
            queue.isStopping = true
            guard queue.hasThread, !queue.isAwake else { return false }
            queue.isAwake = true
            return true
        }
        if wake { signal() }
    }

    // MARK: From any thread

    /// Has tasks run on the reactor's thread while they are on no actor (SE-0417): what they await of a driver on this
    /// reactor then costs no change of threads, neither there nor back.
    package var taskExecutor: any TaskExecutor { ReactorTaskExecutor(reactor: self) }

    package nonisolated func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        submit { $0.jobs.append(job) }
    }

    package nonisolated func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    /// Runs `body` on the reactor's thread in its next tick.
    package func execute(_ body: @escaping @Sendable () -> Void) {
        submit { $0.calls.append(body) }
    }

    /// Whether the caller runs on the reactor's thread.
    package var isOnThread: Bool { ReactorThread.current == ObjectIdentifier(self) }

    /// Lets `assumeIsolated` succeed in an event handler, which runs outside of any job (SE-0424).
    package func checkIsolated() {
        precondition(isOnThread, "not on the thread of reactor \(name)")
    }

    package func isIsolatingCurrentContext() -> Bool? { isOnThread }

    private func submit(_ change: (inout Queue) -> Void) {
        enum Next { case nothing, wake, start }
        let next = queue.withLockedValue { queue -> Next in
            change(&queue)
            if !queue.hasThread {
                queue.hasThread = true
                queue.isAwake = true
                return .start
            }
            if queue.isAwake { return .nothing }
            queue.isAwake = true
            return .wake
        }
        switch next {
        case .nothing: break
        case .wake: signal()
        case .start: startThread(named: name, reactor: self)
        }
    }

    private func signal() {
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the thread is signalled already.
        _ = write(wakeUp, &one, 8)
    }

    // MARK: On the reactor's thread

    /// Watches a descriptor. The reactor doesn't own it: unregister it before it is closed. If it was closed without that
    /// and its number came back, the new registration takes the place of the old one, which then gets no event any more.
    package func register(
        _ descriptor: Int32, for interest: Interest, _ handler: @escaping Handler
    ) throws(ReactorError) -> Registration {
        checkIsolated()
        generation &+= 1
        if generation == 0 { generation = 1 }  // 0 is the eventfd's
        let mine = generation
        var code = control(EPOLL_CTL_ADD, descriptor, interest, mine)
        if code == EEXIST { code = control(EPOLL_CTL_MOD, descriptor, interest, mine) }
        guard code == 0 else { throw ReactorError(errno: code, attempted: "watch descriptor \(descriptor)") }
        watched[descriptor] = Watched(generation: mine, interest: interest, handler: handler)
        return Registration(descriptor: descriptor, generation: mine)
    }

    /// Changes what is watched for; nothing if the registration is no longer the current one.
    package func update(_ registration: Registration, to interest: Interest) {
        checkIsolated()
        guard let entry = watched[registration.descriptor], entry.generation == registration.generation,
            entry.interest != interest
        else { return }
        watched[registration.descriptor]?.interest = interest
        _ = control(EPOLL_CTL_MOD, registration.descriptor, interest, registration.generation)
    }

    /// Stops watching; from now on the handler isn't called, not even for an event of this tick.
    package func unregister(_ registration: Registration) {
        checkIsolated()
        guard watched[registration.descriptor]?.generation == registration.generation else { return }
        watched[registration.descriptor] = nil
        // May fail: the kernel forgets a descriptor that has been closed.
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, registration.descriptor, nil)
    }

    /// Calls `body` once at the end of the tick, after all jobs: the place to flush what was written during the tick.
    package func atTickEnd(_ body: @escaping @Sendable () -> Void) {
        checkIsolated()
        tickEnd.append(body)
    }

    /// Calls `body` once after `delay`, up to a millisecond late.
    package func schedule(after delay: Duration, _ body: @escaping @Sendable () -> Void) -> ReactorTimer {
        checkIsolated()
        return timers.add(deadline: Self.now &+ UInt64(max(0, delay.nanoseconds)), body)
    }

    /// The timer's body isn't called any more; nothing if it was already.
    package func cancel(_ timer: ReactorTimer) {
        checkIsolated()
        timers.cancel(timer)
    }

    /// How many descriptors and timers are being watched: 0 when all owners have cleaned up.
    package var load: (descriptors: Int, timers: Int) {
        checkIsolated()
        return (watched.count, timers.count)
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: Interest, _ generation: UInt32) -> Int32 {
        var event = epoll_event()
        if interest.contains(.read) { event.events |= EPOLLIN.rawValue }
        if interest.contains(.write) { event.events |= EPOLLOUT.rawValue }
        event.data.u64 = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor))
        return epoll_ctl(epoll, operation, descriptor, &event) == 0 ? 0 : errno
    }

    fileprivate func loop() {
        ReactorThread.enter(self)
        defer { ReactorThread.leave() }
        let capacity = 256
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        var jobs: [UnownedJob] = []
        var calls: [@Sendable () -> Void] = []
        while true {
            runQueue(&jobs, &calls)
            if !tickEnd.isEmpty {
                runTickEnd()
                continue  // what they have enqueued runs before the thread sleeps
            }

            enum Next { case sleep, poll, end }
            let next = queue.withLockedValue { queue -> Next in
                if !queue.isEmpty { return .poll }
                queue.isAwake = false
                if queue.isStopping {
                    queue.hasThread = false
                    return .end
                }
                return .sleep
            }
            let timeout: Int32
            switch next {
            case .end: return
            case .poll: timeout = 0
            case .sleep: timeout = timers.milliseconds(from: Self.now)
            }
            let count = epoll_wait(epoll, events, Int32(capacity), timeout)
            if next == .sleep { queue.withLockedValue { $0.isAwake = true } }
            if count > 0 { handle(UnsafeBufferPointer(start: events, count: Int(count))) }
            fireTimers()
        }
    }

    private func fireTimers() {
        if timers.count == 0 { return }
        let now = Self.now
        let limit = timers.nextID
        while let body = timers.takeDue(now: now, addedBefore: limit) { body() }
    }

    /// Runs jobs and what they enqueue in turn, but not for ever: descriptors and timers have to get their turn.
    private func runQueue(_ jobs: inout [UnownedJob], _ calls: inout [@Sendable () -> Void]) {
        let executor = asUnownedSerialExecutor()
        for _ in 0..<16 {
            queue.withLockedValue { queue in
                swap(&queue.jobs, &jobs)
                swap(&queue.calls, &calls)
            }
            if jobs.isEmpty && calls.isEmpty { return }
            for job in jobs { job.runSynchronously(on: executor) }
            for call in calls { call() }
            jobs.removeAll(keepingCapacity: true)
            calls.removeAll(keepingCapacity: true)
        }
    }

    private func runTickEnd() {
        var callbacks: [@Sendable () -> Void] = []
        swap(&callbacks, &tickEnd)
        for callback in callbacks { callback() }
        if tickEnd.isEmpty {
            callbacks.removeAll(keepingCapacity: true)
            swap(&callbacks, &tickEnd)
        }
    }

    private func handle(_ events: UnsafeBufferPointer<epoll_event>) {
        for event in events {
            let token = event.data.u64
            if token == Self.wakeUpToken {
                var count: UInt64 = 0
                _ = read(wakeUp, &count, 8)
                continue
            }
            // A handler that ran before may have unregistered this one, and even registered the number anew.
            guard let entry = watched[Int32(bitPattern: UInt32(truncatingIfNeeded: token))],
                entry.generation == UInt32(token >> 32)
            else { continue }
            let failed = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
            entry.handler(
                Events(
                    readable: failed || event.events & EPOLLIN.rawValue != 0,
                    writable: failed || event.events & EPOLLOUT.rawValue != 0,
                    failed: failed))
        }
    }

    private static let wakeUpToken: UInt64 = 0

    /// Nanoseconds of the monotonic clock.
    static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// The kernel refused to watch a descriptor.
package struct ReactorError: Error, CustomStringConvertible {
    package var errno: Int32
    package var attempted: String

    package var description: String { "couldn't \(attempted): \(String(cString: strerror(errno)))" }
}

extension Duration {
    /// Saturates at some 292 years.
    var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max / 2 }
        return product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}

/// A reactor as what tasks prefer to run on.
private final class ReactorTaskExecutor: TaskExecutor {
    private let reactor: Reactor

    init(reactor: Reactor) { self.reactor = reactor }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        reactor.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

// MARK: The thread

/// Which reactor the current thread belongs to.
private enum ReactorThread {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key, nil)
        precondition(code == 0, "no thread-local keys left")
        return key
    }()

    static var current: ObjectIdentifier? {
        guard let pointer = pthread_getspecific(key) else { return nil }
        return ObjectIdentifier(Unmanaged<Reactor>.fromOpaque(pointer).takeUnretainedValue())
    }

    static func enter(_ reactor: Reactor) { pthread_setspecific(key, Unmanaged.passUnretained(reactor).toOpaque()) }
    static func leave() { pthread_setspecific(key, nil) }
}

private func startThread(named name: String, reactor: Reactor) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    // Signals belong to the program's other threads; besides, a write to a closed socket must be an error, not a SIGPIPE.
    // A thread inherits its creator's mask.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    var thread = pthread_t()
    let code = pthread_create(&thread, &attributes, reactorMain, Unmanaged.passRetained(reactor).toOpaque())
    pthread_sigmask(SIG_SETMASK, &before, nil)
    pthread_attr_destroy(&attributes)
    precondition(code == 0, "no thread for reactor \(name): \(String(cString: strerror(code)))")
    pthread_setname_np(thread, String(name.prefix(15)))
}

private func reactorMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<Reactor>.fromOpaque(argument).takeRetainedValue().loop()
    return nil
}

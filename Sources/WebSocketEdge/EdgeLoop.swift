import DequeModule
package import NIOCore
import NIOPosix

/// The receive buffer that a thread's connections share: NIO would keep one for each.
final class ReceiveBuffer {
    static let capacity = 16 * 1024
    // A value per thread, which no other thread can reach.
    nonisolated(unsafe) private static let perThread = ThreadSpecificVariable<ReceiveBuffer>()

    static var current: ReceiveBuffer {
        if let existing = perThread.currentValue { return existing }
        let new = ReceiveBuffer()
        perThread.currentValue = new
        return new
    }

    private var buffer: ByteBuffer?
    /// Payloads without their masks.
    var unmasked = [UInt8](repeating: 0, count: 4096)

    func take(_ allocator: ByteBufferAllocator) -> ByteBuffer {
        guard var buffer = buffer.take() else { return allocator.buffer(capacity: Self.capacity) }
        buffer.clear()
        return buffer
    }

    /// Only a buffer that came from here is kept; nothing of it may be in use elsewhere.
    func giveBack(_ buffer: ByteBuffer) {
        if self.buffer == nil, buffer.storageCapacity >= Self.capacity { self.buffer = buffer }
    }
}

/// The first read of a channel gets a tiny buffer, because NIO keeps that one as long as the channel lives; every later
/// one gets the thread's shared buffer, which the handler gives back. Needs `maxMessagesPerRead` 1 and no `nextBufferSize`.
struct TinyFirstAllocator: RecvByteBufferAllocator {
    private var started = false

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        started ? ReceiveBuffer.current.take(allocator) : allocator.buffer(capacity: 16)
    }

    mutating func record(actualReadBytes: Int) -> Bool {
        started = true
        return true
    }
}

/// What the connections of one event loop share. Confined to the loop.
package final class EdgeLoop {
    package let eventLoop: any EventLoop
    let configuration: EdgeConfiguration
    package private(set) var metrics = EdgeMetrics()

    private var wheel: HeartbeatWheel<EdgeConnection>
    private var dirty: [EdgeConnection] = []
    private var flushScheduled = false
    /// Connections with something written that can wait a little.
    private var waiting: [EdgeConnection] = []
    /// Deadlines of requests, then of close handshakes: each kind takes equally long, so they come due in order.
    private var requests: Deque<(due: NIODeadline, connection: EdgeConnection)> = []
    private var closes: Deque<(due: NIODeadline, connection: EdgeConnection)> = []
    /// Connections whose close handshake is under way.
    private var closing: [ObjectIdentifier: EdgeConnection] = [:]
    /// Connections above the high watermark.
    private var slow: [ObjectIdentifier: Slow] = [:]
    private var closedSinceTrim = 0
    /// Bytes in and out until the last trim, and until the last tick.
    private var trafficAtTrim: UInt64 = 0
    private var trafficAtTick: UInt64 = 0
    private var lastTrim: NIODeadline
    /// When what a mass disconnect left for later is free as well.
    private var trimAgain: NIODeadline?
    private var ticking: RepeatedTask?

    private struct Slow {
        var connection: EdgeConnection
        var waiting: Int
        var since: NIODeadline
    }

    init(_ eventLoop: any EventLoop, configuration: EdgeConfiguration) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        wheel = HeartbeatWheel(ticks: Int(configuration.heartbeat.nanoseconds / configuration.tick.nanoseconds))
        lastTrim = .now()
    }

    func start() {
        guard ticking == nil else { return }
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        ticking = eventLoop.scheduleRepeatedTask(initialDelay: configuration.tick, delay: configuration.tick) { _ in
            loop.value.tick()
        }
    }

    func stop() {
        ticking?.cancel()
        ticking = nil
    }

    func count(_ change: (inout EdgeMetrics) -> Void) { change(&metrics) }

    /// Sockets with a session.
    package var openConnections: Int { wheel.count }

    // MARK: Connections

    func accepted(_ connection: EdgeConnection) {
        metrics.accepted += 1
        requests.append((eventLoop.now + configuration.requestTimeout, connection))
    }

    func opened(_ connection: EdgeConnection) {
        metrics.upgraded += 1
        metrics.open += 1
        wheel.insert(connection)
    }

    func closing(_ connection: EdgeConnection) {
        closing[ObjectIdentifier(connection)] = connection
        closes.append((eventLoop.now + configuration.closeTimeout, connection))
    }

    func closed(_ connection: EdgeConnection) {
        if connection.wheelSlot >= 0 {
            wheel.remove(connection)
            metrics.open -= 1
            closedSinceTrim += 1
        }
        slow[ObjectIdentifier(connection)] = nil
        closing[ObjectIdentifier(connection)] = nil
    }

    func becameSlow(_ connection: EdgeConnection) {
        slow[ObjectIdentifier(connection)] = Slow(
            connection: connection, waiting: connection.waitingBytes, since: eventLoop.now)
    }

    func noLongerSlow(_ connection: EdgeConnection) { slow[ObjectIdentifier(connection)] = nil }

    /// Flushes the connection at the end of this turn of the loop, together with all others.
    func flushLater(_ connection: EdgeConnection) {
        dirty.append(connection)
        guard !flushScheduled else { return }
        flushScheduled = true
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { loop.value.flush() }
    }

    /// Flushes the connection a little later, unless something else does before.
    func flushSoon(_ connection: EdgeConnection) {
        waiting.append(connection)
        guard waiting.count == 1 else { return }
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: configuration.unhurried) {
            let waiting = loop.value.waiting
            loop.value.waiting.removeAll(keepingCapacity: waiting.count <= 4096)
            for connection in waiting { connection.flushWaiting() }
        }
    }

    private func flush() {
        flushScheduled = false
        var flushing: [EdgeConnection] = []
        swap(&flushing, &dirty)
        for connection in flushing { connection.flush() }
        if dirty.isEmpty {  // keep the larger array's memory
            flushing.removeAll(keepingCapacity: flushing.count <= 4096)
            dirty = flushing
        }
    }

    // MARK: Time

    private func tick() {
        let now = eventLoop.now
        for connection in wheel.advance() { connection.heartbeat() }
        while let first = requests.first, first.due <= now {
            requests.removeFirst()
            first.connection.requestTimedOut()
        }
        while let first = closes.first, first.due <= now {
            closes.removeFirst()
            first.connection.cut()
        }
        for (id, entry) in slow {
            let waiting = entry.connection.waitingBytes
            if waiting < entry.waiting {
                slow[id] = Slow(connection: entry.connection, waiting: waiting, since: now)
            } else if now - entry.since >= configuration.stallTimeout {
                metrics.stalled += 1
                slow[id] = nil
                entry.connection.cut()
            }
        }
        trim(now)
    }

    /// Closes every connection, a few at a time so that the loop stays responsive; calls `done` when all are gone.
    /// `patience`: how long those have to answer that are closed last; then they are cut.
    func closeAll(
        _ code: CloseCode, _ reason: String, patience: TimeAmount, done: @escaping @Sendable () -> Void
    ) {
        for connection in wheel.some(configuration.closesPerStep) {
            wheel.remove(connection)
            metrics.open -= 1
            closedSinceTrim += 1
            connection.close(code, reason)
        }
        if wheel.count == 0, closing.isEmpty || patience <= .zero {
            for connection in closing.values {
                connection.flush()
                connection.cut()
            }
            done()
            return
        }
        let left = wheel.count == 0 ? patience - .milliseconds(10) : patience
        let loop = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleTask(in: .milliseconds(10)) {
            loop.value.closeAll(code, reason, patience: left, done: done)
        }
    }

    /// glibc keeps what mass disconnects and bursts of traffic freed; measured: nothing but this returns it. It takes
    /// milliseconds, so after a burst it waits until that is over.
    private func trim(_ now: NIODeadline) {
        let traffic = metrics.bytesIn + metrics.bytesOut
        let isCalm = traffic - trafficAtTick < 1 << 20
        trafficAtTick = traffic
        let isAgain = trimAgain.map { $0 <= now } ?? false
        guard closedSinceTrim >= 1000 || isAgain || isCalm && traffic - trafficAtTrim >= 16 << 20,
            now - lastTrim >= .seconds(5)
        else { return }
        // Connections that are gone are held by their deadlines for a while.
        if closedSinceTrim >= 1000 {
            trimAgain = now + configuration.closeTimeout + configuration.requestTimeout
        } else if isAgain {
            trimAgain = nil
        }
        closedSinceTrim = 0
        trafficAtTrim = traffic
        lastTrim = now
        Allocator.trim()
    }
}

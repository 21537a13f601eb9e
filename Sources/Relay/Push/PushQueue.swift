import DequeModule
package import Protocol

/// What is to be pushed to one process of a chat node, as a value: one `Deliver` at a time, the next gathering behind it,
/// so that a conversation's events arrive in order and a burst costs one call.
///
/// States and their exits:
/// - idle: an addition sends at once → sending.
/// - sending: success sends what gathered → sending, or → idle; failure asks for the same again after a while → waiting,
///   or, when it failed too often, gives up → lost.
/// - waiting: `resume` sends the same again → sending.
/// - lost (also by overflow): everything is dropped until the node attaches again.
package struct PushQueue {
    package enum Action: Sendable {
        case none
        case send(ChatDeliverRequest)
        /// Call `resume` after so many milliseconds.
        case wait(milliseconds: Int64)
        /// What was pushed here may be missing: the node has to attach again.
        case lost
    }

    package struct Limits: Sendable {
        /// Deliveries in one call, and bytes, by an estimate. A busy node answers a call after tens of milliseconds, and what
        /// it gets a second is what these let through in that time.
        package var callDeliveries = 4096
        package var callBytes = 512 * 1024
        /// Events that are handed to the queues at a time.
        package var addedEvents = 512
        /// What may gather behind a call.
        package var queuedDeliveries = 20_000
        package var queuedBytes = 16 << 20
        package var queuedSignals = 5_000
        package var queuedSignalBytes = 1 << 20
        /// Failures of one call before giving up.
        package var failures = 4
        package var retryMilliseconds: Int64 = 50
        package init() {}
    }

    private enum State {
        case idle
        case sending(ChatDeliverRequest)
        case waiting(ChatDeliverRequest)
        case lost
    }

    /// Tells this queue from a later one to the same process, whose calls are none of its own.
    package let number: UInt64
    private let incarnation: UInt64
    private let limits: Limits
    private var state = State.idle
    private var failures = 0
    private var deliveries: Deque<(delivery: ChatDelivery, size: Int)> = []
    private var bytes = 0
    private var receipts: [ChatReceipt] = []
    private var typings: [ChatTyping] = []
    private var mutes: [ChatMute] = []
    private var signalBytes = 0

    package init(incarnation: UInt64, number: UInt64 = .random(in: .min ... .max), limits: Limits = .init()) {
        self.number = number
        self.incarnation = incarnation
        self.limits = limits
    }

    /// Deliveries that wait behind the call under way.
    package var depth: Int { deliveries.count }

    /// Events, in order. The caller adds all that it has, then carries out the one action.
    package mutating func add(_ added: [ChatDelivery]) -> Action {
        if case .lost = state { return .none }
        for delivery in added {
            let size = Self.size(delivery)
            bytes += size
            deliveries.append((delivery, size))
        }
        guard deliveries.count <= limits.queuedDeliveries, bytes <= limits.queuedBytes else { return lose() }
        return sendIfIdle()
    }

    /// A signal, dropped where too many wait: the next one says the same or more.
    package mutating func add(_ receipt: ChatReceipt) -> Action {
        if admits(receipt.handles) { receipts.append(receipt) }
        return sendIfIdle()
    }

    package mutating func add(_ typing: ChatTyping) -> Action {
        if admits(typing.handles) { typings.append(typing) }
        return sendIfIdle()
    }

    package mutating func add(_ mute: ChatMute) -> Action {
        if admits(mute.handles) { mutes.append(mute) }
        return sendIfIdle()
    }

    private mutating func admits(_ handles: [UInt32]) -> Bool {
        if case .lost = state { return false }
        let size = Self.signalSize + handles.count * Self.handleSize
        guard receipts.count + typings.count + mutes.count < limits.queuedSignals,
            signalBytes + size <= limits.queuedSignalBytes
        else { return false }
        signalBytes += size
        return true
    }

    package mutating func succeeded() -> Action {
        guard case .sending = state else { return .none }
        failures = 0
        state = .idle
        return sendIfIdle()
    }

    package mutating func failed() -> Action {
        guard case .sending(let request) = state else { return .none }
        failures += 1
        guard failures < limits.failures else { return lose() }
        state = .waiting(request)
        return .wait(milliseconds: limits.retryMilliseconds << (failures - 1))
    }

    package mutating func resume() -> Action {
        guard case .waiting(let request) = state else { return .none }
        state = .sending(request)
        return .send(request)
    }

    private mutating func lose() -> Action {
        state = .lost
        deliveries = []
        receipts = []
        typings = []
        mutes = []
        bytes = 0
        signalBytes = 0
        return .lost
    }

    private mutating func sendIfIdle() -> Action {
        guard case .idle = state else { return .none }
        guard !deliveries.isEmpty || !receipts.isEmpty || !typings.isEmpty || !mutes.isEmpty else { return .none }
        var request = ChatDeliverRequest()
        request.incarnation = incarnation
        var count = 0
        var size = 0
        while count < min(deliveries.count, limits.callDeliveries), size < limits.callBytes {
            size += deliveries[count].size
            count += 1
        }
        request.deliveries = deliveries.prefix(count).map(\.delivery)
        deliveries.removeFirst(count)
        bytes -= size
        swap(&request.receipts, &receipts)
        swap(&request.typings, &typings)
        swap(&request.mutes, &mutes)
        signalBytes = 0
        state = .sending(request)
        return .send(request)
    }

    /// Bytes of a handle (at most: it is a varint), and of a signal but for them.
    private static let handleSize = 5
    private static let signalSize = 40

    private static func size(_ delivery: ChatDelivery) -> Int {
        delivery.event.size + delivery.handles.count * handleSize
    }
}

import Logging
import NIOConcurrencyHelpers
import NIOCore
import RPC

/// One connection from a client: decodes requests on its event loop, runs their handlers as child tasks there, and
/// flushes what they answer once per tick.
final class ServerConnection: Sendable {
    /// A decoded request whose handler is to be started.
    struct Call: Sendable {
        let context: RPCContext
        let invocation: RPCServiceMethod.Invocation
    }

    private struct State {
        var machine: ServerConnectionStateMachine
        var outbox = Outbox()
        var liveness: Liveness
        var client: RPCIdentity?
        /// Calls that have come and not been started.
        var arrived: [Call] = []
        /// `run`, while it waits for calls.
        var runner: UnsafeContinuation<Void, Never>?
        /// Handlers that have suspended, to cancel them. Only the event loop takes them out or uses them.
        var tasks: [UInt64: HandlerTask] = [:]
        /// Streams' writers that wait for credit or for room.
        var writers: [UInt64: UnsafeContinuation<Void, Never>] = [:]
        var isReadingPaused = false
        var closeWhenWritten = false
        var isClosed = false
        var armed = UInt64.max
    }

    let channel: any Channel
    private let loop: any EventLoop
    private let methods: [UInt32: RPCServiceMethod]
    private let configuration: RPCConnectionConfiguration
    private let logger: Logger
    private let state: NIOLockedValueBox<State>

    /// Deadlines are kept to within this many nanoseconds, so that one timer does for many calls.
    private static let timerGrain: UInt64 = 10_000_000
    /// Streams wait while more than this many bytes do.
    private var streamRoom: Int { min(1 << 20, configuration.maxOutbound) }

    init(
        channel: any Channel, handshake: ServerHandshake, methods: [UInt32: RPCServiceMethod],
        configuration: RPCConnectionConfiguration, logger: Logger
    ) {
        self.channel = channel
        self.methods = methods
        self.configuration = configuration
        self.logger = logger
        loop = channel.eventLoop
        state = NIOLockedValueBox(
            State(
                machine: ServerConnectionStateMachine(
                    handshake: handshake, maxConcurrentCalls: configuration.maxConcurrentCalls,
                    maxFrame: configuration.maxFrame),
                liveness: Liveness(
                    interval: configuration.pingInterval.wholeNanoseconds,
                    timeout: configuration.pingTimeout.wholeNanoseconds,
                    now: NIODeadline.now().uptimeNanoseconds)))
    }

    /// The longest frame body that may be received now.
    var maxBody: Int { state.withLockedValue { $0.machine.maxBody } }

    // MARK: - Handlers

    /// Runs the handlers of all calls until the connection is closed and they have ended.
    func run() async {
        let slot = HandlerSlot()
        await withDiscardingTaskGroup { group in
            while let calls = await arrivals() {
                for (index, call) in calls.enumerated() {
                    if index > 0, index.isMultiple(of: Outbox.part) { flush(more: true) }
                    group.addImmediateTask { await self.serve(call, slot) }
                    keep(slot, for: call.context.callID)
                }
                // All answers of handlers that did not suspend, at once.
                flush()
            }
        }
    }

    /// The calls that have come since it was asked last; `nil` when no more will.
    private func arrivals() async -> [Call]? {
        await withUnsafeContinuation { continuation in
            let ready = state.withLockedValue { state -> Bool in
                if !state.arrived.isEmpty || state.isClosed { return true }
                state.runner = continuation
                return false
            }
            if ready { continuation.resume() }
        }
        return state.withLockedValue { state in
            if state.isClosed { return nil }
            defer { state.arrived.removeAll(keepingCapacity: true) }
            // What the handlers answer at once needs no flush of its own: `run` does it.
            _ = state.outbox.schedule()
            return state.arrived
        }
    }

    private func serve(_ call: Call, _ slot: HandlerSlot) async {
        let id = call.context.callID
        withUnsafeCurrentTask { slot.task = $0.map(HandlerTask.init) }
        do {
            try await call.invocation(call.context, RPCResponder(self, callID: id))
        } catch {
            fail(id, call.context.method, error)
        }
        slot.task = nil
        state.withLockedValue { _ = $0.tasks.removeValue(forKey: id) }
    }

    /// Remembers a handler that has suspended, so that it can be cancelled.
    private func keep(_ slot: HandlerSlot, for id: UInt64) {
        guard let task = slot.task else { return }
        let isOpen = state.withLockedValue { state in
            guard state.machine.contains(id) else { return false }
            state.tasks[id] = task
            return true
        }
        // It was cancelled before it began.
        if !isOpen { task.cancel() }
    }

    private func fail(_ id: UInt64, _ method: String, _ error: any Error) {
        let answer: RPCError
        switch error {
        case let error as RPCError:
            answer = error
        case is CancellationError:
            answer = RPCError(.cancelled, "cancelled")
        default:
            logger.error(
                "rpc handler failed", metadata: ["rpc.method": "\(method)", "error": "\(String(reflecting: error))"])
            answer = RPCError(.internalError, "\(method) failed")
        }
        finish(id, frame: FrameEncoder.error(answer, callID: id))
    }

    /// Ends a call with its last frame.
    func finish(_ id: UInt64, _ kind: FrameKind, _ payload: [UInt8]) {
        guard Frame.headerSize + payload.count <= configuration.maxFrame else {
            let error = RPCError(.tooLarge, "the answer has \(payload.count) bytes")
            return finish(id, frame: FrameEncoder.error(error, callID: id))
        }
        let wake = state.withLockedValue { state -> Bool in
            guard state.machine.finish(id) else { return false }
            state.outbox.append(kind, callID: id, payload: payload)
            return state.outbox.schedule()
        }
        if wake { loop.execute { self.flush() } }
    }

    private func finish(_ id: UInt64, frame: [UInt8]) {
        let wake = state.withLockedValue { state -> Bool in
            guard state.machine.finish(id) else { return false }
            state.outbox.append(frame)
            return state.outbox.schedule()
        }
        if wake { loop.execute { self.flush() } }
    }

    /// Sends a stream's message; waits while there is no credit or no room.
    func write(_ id: UInt64, _ payload: [UInt8]) async throws(RPCError) {
        guard Frame.headerSize + payload.count <= configuration.maxFrame else {
            throw RPCError(.tooLarge, "a message of the stream has \(payload.count) bytes")
        }
        while true {
            if Task.isCancelled { throw RPCError(.cancelled, "cancelled") }
            let (sending, wake) = state.withLockedValue { state -> (ServerConnectionStateMachine.Sending, Bool) in
                guard state.outbox.waiting < streamRoom || !state.machine.contains(id) else { return (.wait, false) }
                let sending = state.machine.send(id)
                guard sending == .send else { return (sending, false) }
                state.outbox.append(.message, callID: id, payload: payload)
                return (sending, state.outbox.schedule())
            }
            switch sending {
            case .send:
                if wake { loop.execute { self.flush() } }
                return
            case .gone:
                throw RPCError(.cancelled, "the caller has gone")
            case .wait:
                await waitToWrite(id)
            }
        }
    }

    private func waitToWrite(_ id: UInt64) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let ready = state.withLockedValue { state -> Bool in
                    let isReady =
                        Task.isCancelled || !state.machine.contains(id) || state.writers[id] != nil
                        || (state.machine.hasCredit(id) && state.outbox.waiting < streamRoom)
                    if !isReady { state.writers[id] = continuation }
                    return isReady
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            state.withLockedValue { $0.writers.removeValue(forKey: id) }?.resume()
        }
    }

    // MARK: - On the event loop

    /// Watches over the handshake and the peer.
    func opened() {
        loop.assertInEventLoop()
        loop.scheduleTask(in: TimeAmount(configuration.handshakeTimeout)) { [weak self] in
            guard let self, self.state.withLockedValue({ $0.machine.isHandshaking }) else { return }
            self.reject("no handshake in time")
        }
        let interval = TimeAmount(configuration.pingInterval)
        loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] task in
            guard let self, self.channel.isActive else { return task.cancel() }
            self.checkLiveness()
        }
    }

    /// Bytes have come: what is answered to them is flushed together by `readComplete`. Gives the time that counts for
    /// all of them.
    func readBegins() -> UInt64 {
        let now = NIODeadline.now().uptimeNanoseconds
        state.withLockedValue { state in
            state.liveness.sawLife(now: now)
            _ = state.outbox.schedule()
        }
        return now
    }

    /// Starts the handlers of the calls that came.
    func readComplete() {
        let runner = state.withLockedValue { state in
            state.arrived.isEmpty ? nil : state.runner.take()
        }
        flush()
        runner?.resume()
    }

    func receive(_ frame: Frame, now: UInt64) throws(ProtocolViolation) {
        let result = state.withLockedValue { state -> Result<ServerConnectionStateMachine.Action, ProtocolViolation> in
            do throws(ProtocolViolation) {
                let action = try state.machine.receive(frame, now: now)
                switch action {
                case .send(let bytes):
                    state.outbox.append(bytes)
                case .ready(let identity, let bytes):
                    state.client = identity
                    state.outbox.append(bytes)
                case .refuse(let bytes, _):
                    state.outbox.append(bytes)
                    state.closeWhenWritten = true
                case .none, .start, .cancel, .credit:
                    break
                }
                return .success(action)
            } catch {
                return .failure(error)
            }
        }
        switch try result.get() {
        case .none, .send:
            break
        case .ready(let identity, _):
            logger.debug("rpc client connected", metadata: ["rpc.peer": "\(identity)"])
        case .refuse(_, let reason):
            log(reason)
        case .start(let header, let payload, let deadline):
            start(frame.callID, header, payload, deadline)
        case .cancel:
            cancelHandler(frame.callID)
        case .credit:
            state.withLockedValue { $0.writers.removeValue(forKey: frame.callID) }?.resume()
        }
    }

    private func start(
        _ id: UInt64, _ header: RequestHeader, _ payload: UnsafeRawBufferPointer, _ deadline: UInt64
    ) {
        guard let method = methods[header.method] else {
            let name = String(header.method, radix: 16)
            let error = RPCError(.unimplemented, "no method 0x\(name) here", details: ["method": "0x\(name)"])
            return finish(id, frame: FrameEncoder.error(error, callID: id))
        }
        do {
            let invocation = try method.prepare(payload)
            state.withLockedValue { state in
                let context = RPCContext(
                    peer: state.client ?? RPCIdentity(role: "", id: ""), callID: id, method: method.descriptor.name,
                    deadline: deadline == .max ? nil : .uptimeNanoseconds(deadline), trace: header.trace,
                    eventLoop: loop)
                state.arrived.append(Call(context: context, invocation: invocation))
            }
        } catch {
            let error = RPCError(.invalid, "request of \(method.descriptor.name) could not be decoded")
            finish(id, frame: FrameEncoder.error(error, callID: id))
        }
    }

    /// Cancels the handler of a call that has been taken out of the table.
    private func cancelHandler(_ id: UInt64) {
        loop.assertInEventLoop()
        let (task, writer) = state.withLockedValue {
            ($0.tasks.removeValue(forKey: id), $0.writers.removeValue(forKey: id))
        }
        task?.cancel()
        writer?.resume()
    }

    /// Begins the end: no new calls; closes when the open ones have ended.
    func drain() {
        let reason = RPCError(.unavailable, "shutting down")
        let isNews = state.withLockedValue { state -> Bool in
            guard let goaway = state.machine.drain(reason) else { return false }
            state.outbox.append(goaway)
            _ = state.outbox.schedule()
            return true
        }
        if isNews { flush() }
    }

    /// Closes at once; handlers are cancelled.
    func close() {
        channel.close(promise: nil)
    }

    /// Closes because the peer does not behave.
    func reject(_ reason: String) {
        log(reason)
        channel.close(promise: nil)
    }

    private func log(_ reason: String) {
        let client = state.withLockedValue { $0.client }
        logger.warning(
            "rpc connection closed",
            metadata: [
                "rpc.reason": "\(reason)", "rpc.peer": "\(client?.description ?? "unknown")",
                "rpc.address": "\(channel.remoteAddress?.description ?? "unknown")",
            ])
    }

    /// The connection is gone: cancels the handlers and ends `run` when they have ended.
    func closed() {
        let (ids, runner) = state.withLockedValue { state -> ([UInt64], UnsafeContinuation<Void, Never>?) in
            state.isClosed = true
            return (state.machine.close(), state.runner.take())
        }
        for id in ids { cancelHandler(id) }
        runner?.resume()
    }

    /// Writes all that waits, sets the timer for deadlines, stops reading from a client that does not read. `more`: the
    /// caller flushes again.
    private func flush(more: Bool = false) {
        loop.assertInEventLoop()
        let (buffer, alarm, pause, drained) = state.withLockedValue { state -> (ByteBuffer?, UInt64?, Bool, Bool) in
            let buffer = state.outbox.take(more: more)
            let pause = !state.isReadingPaused && state.outbox.waiting > configuration.maxOutbound
            if pause { state.isReadingPaused = true }
            let drained = state.machine.isDrained && state.outbox.isEmpty
            let next = state.machine.nextDeadline
            let alarm = next == .max ? next : (next / Self.timerGrain + 1) * Self.timerGrain
            guard alarm < state.armed else { return (buffer, nil, pause, drained) }
            state.armed = alarm
            return (buffer, alarm, pause, drained)
        }
        if drained { return channel.close(promise: nil) }
        if pause { channel.setOption(.autoRead, value: false).whenFailure { _ in } }
        if let buffer {
            let count = buffer.readableBytes
            let promise = loop.makePromise(of: Void.self)
            promise.futureResult.whenComplete { result in self.written(count, result) }
            channel.writeAndFlush(buffer, promise: promise)
        }
        if let alarm {
            loop.scheduleTask(deadline: .uptimeNanoseconds(alarm)) { [weak self] in self?.expire(alarm: alarm) }
        }
    }

    private func written(_ count: Int, _ result: Result<Void, any Error>) {
        let (writers, resume, close) = state.withLockedValue {
            state -> ([UnsafeContinuation<Void, Never>], Bool, Bool) in
            state.outbox.written(count)
            if case .success = result, state.isReadingPaused {
                // Only a client that reads makes room where so much waits.
                state.liveness.tookBytes(now: NIODeadline.now().uptimeNanoseconds)
            }
            let resume = state.isReadingPaused && state.outbox.waiting < configuration.maxOutbound / 2
            if resume { state.isReadingPaused = false }
            let close = state.outbox.isEmpty && (state.closeWhenWritten || state.machine.isDrained)
            guard !state.writers.isEmpty, state.outbox.waiting < streamRoom else { return ([], resume, close) }
            // Those without credit go back to waiting.
            defer { state.writers.removeAll() }
            return (Array(state.writers.values), resume, close)
        }
        for writer in writers { writer.resume() }
        if resume { channel.setOption(.autoRead, value: true).whenFailure { _ in } }
        if close { channel.close(promise: nil) }
    }

    private func expire(alarm: UInt64) {
        let now = NIODeadline.now().uptimeNanoseconds
        let expired = state.withLockedValue { state -> [UInt64] in
            // An alarm that an earlier one has replaced does nothing.
            guard state.armed == alarm else { return [] }
            state.armed = .max
            let expired = state.machine.expire(now: now)
            for id in expired {
                let error = RPCError(.deadlineExceeded, "the handler did not end in time")
                state.outbox.append(FrameEncoder.error(error, callID: id))
            }
            _ = state.outbox.schedule()
            return expired
        }
        for id in expired { cancelHandler(id) }
        flush()
    }

    private func checkLiveness() {
        let now = NIODeadline.now().uptimeNanoseconds
        let action = state.withLockedValue { state -> Liveness.Action in
            guard !state.machine.isHandshaking else { return .none }
            let action = state.liveness.check(now: now)
            if case .ping(let number) = action {
                state.outbox.append(FrameEncoder.frame(.ping, callID: number))
                _ = state.outbox.schedule()
            }
            return action
        }
        switch action {
        case .none: break
        case .ping: flush()
        case .dead: reject("no answer to a ping")
        }
    }
}

/// A handler's task, to cancel it while it is known to run. Used on the connection's event loop only, where the handler's
/// own end is also seen, so it is never used after that.
struct HandlerTask: @unchecked Sendable {
    private let task: UnsafeCurrentTask

    init(_ task: UnsafeCurrentTask) {
        self.task = task
    }

    func cancel() {
        task.cancel()
    }
}

/// The handler that was started last, for the one who starts it to see whether it has suspended: `nil` when it has ended.
/// Used on the connection's event loop only.
final class HandlerSlot: @unchecked Sendable {
    var task: HandlerTask?
}

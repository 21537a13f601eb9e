import Logging
import NIOConcurrencyHelpers
import NIOCore
import RPC

/// What a connection tells its pool.
protocol ClientConnectionOwner: AnyObject, Sendable {
    /// The handshake is done: calls may be made.
    func connectionReady(_ connection: ClientConnection)
    /// It takes no new calls: the server goes away, or the connection is lost or was never made. Told once, before any
    /// call fails for it.
    func connectionGone(_ connection: ClientConnection, _ error: RPCError)
}

/// One connection to a server: encodes calls on any thread, flushes and decodes on its event loop.
final class ClientConnection: PooledConnection, RPCCallHolder {
    /// What became of a call given to `start`.
    enum Start {
        /// The call is the connection's now.
        case started
        /// Take another connection.
        case notOpen
        /// It can't be made.
        case refused(RPCError)
    }

    private struct State {
        var machine: ClientConnectionStateMachine
        var outbox = Outbox()
        var liveness: Liveness
        /// The last call whose request was given to the socket.
        var flushedID: UInt64 = 0
        /// When the deadline timer fires; `UInt64.max`: it isn't set.
        var armed = UInt64.max
        var isGone = false
        var isClosed = false
    }

    let channel: any Channel
    /// The pool's name for it.
    let token: UInt64
    private let loop: any EventLoop
    private let peer: String
    private let configuration: RPCConnectionConfiguration
    private let logger: Logger
    private let owner: any ClientConnectionOwner
    private let state: NIOLockedValueBox<State>

    /// Deadlines are kept to within this many nanoseconds, so that one timer does for many calls.
    private static let timerGrain: UInt64 = 10_000_000

    init(
        channel: any Channel, token: UInt64, peer: String, handshake: ClientHandshake,
        configuration: RPCConnectionConfiguration, owner: any ClientConnectionOwner, logger: Logger
    ) {
        self.channel = channel
        self.token = token
        self.peer = peer
        self.configuration = configuration
        self.owner = owner
        self.logger = logger
        loop = channel.eventLoop
        state = NIOLockedValueBox(
            State(
                machine: ClientConnectionStateMachine(
                    handshake: handshake, maxConcurrentCalls: configuration.maxConcurrentCalls,
                    maxFrame: configuration.maxFrame),
                liveness: Liveness(
                    interval: configuration.pingInterval.wholeNanoseconds,
                    timeout: configuration.pingTimeout.wholeNanoseconds,
                    now: NIODeadline.now().uptimeNanoseconds)))
    }

    var outstanding: Int { state.withLockedValue { $0.machine.outstanding } }

    /// The longest frame body that may be received now.
    var maxBody: Int { state.withLockedValue { $0.machine.maxBody } }

    // MARK: - Calls, from any thread

    func start(_ call: RPCCall) -> Start {
        let now = NIODeadline.now().uptimeNanoseconds
        guard call.deadline > now else {
            return .refused(RPCError(.deadlineExceeded, "no time was left for \(call.method.name)"))
        }
        let header = RequestHeader(
            method: call.method.id, timeoutMilliseconds: call.timeoutMilliseconds(now: now),
            credit: call.method.serverStreaming ? call.options.credit : 0, trace: call.options.trace)
        let size = FrameEncoder.requestSize(header, payload: call.request.count)
        let (opening, wake) = state.withLockedValue { state -> (ClientConnectionStateMachine.Opening, Bool) in
            guard state.outbox.isEmpty || state.outbox.waiting + size <= configuration.maxOutbound else {
                return (.full, false)
            }
            let opening = state.machine.open(
                call, requestBytes: size - Frame.lengthSize, streaming: call.method.serverStreaming,
                credit: header.credit, deadline: call.deadline)
            guard case .opened(let id) = opening else { return (opening, false) }
            state.outbox.append(header, callID: id, payload: call.request)
            return (opening, state.outbox.schedule())
        }
        switch opening {
        case .opened(let id):
            if wake { loop.execute { self.flush() } }
            call.cancellation?.enter(self, call, id: id)
            return .started
        case .notOpen:
            return .notOpen
        case .full:
            return .refused(RPCError(.unavailable, "too many calls wait for \(peer)"))
        case .tooLarge:
            return .refused(
                RPCError(.tooLarge, "a request of \(call.request.count) bytes is longer than \(peer) takes"))
        }
    }

    func cancel(_ call: RPCCall, id: UInt64, with error: RPCError) {
        let (cancelled, wake) = state.withLockedValue { state -> ((any RPCPendingCall)?, Bool) in
            guard let cancelled = state.machine.cancel(id) else { return (nil, false) }
            state.outbox.append(FrameEncoder.frame(.cancel, callID: id))
            return (cancelled, state.outbox.schedule())
        }
        if wake { loop.execute { self.flush() } }
        cancelled?.fail(error)
    }

    func grant(id: UInt64, messages: UInt32) {
        let wake = state.withLockedValue { state -> Bool in
            guard state.machine.grant(id, messages) else { return false }
            state.outbox.append(FrameEncoder.credit(callID: id, messages: messages))
            return state.outbox.schedule()
        }
        if wake { loop.execute { self.flush() } }
    }

    /// Takes no new calls; closes when the open ones have ended.
    func retire() {
        state.withLockedValue { $0.machine.retire() }
        closeIfDrained()
    }

    /// Closes at once: open calls fail.
    func close() {
        channel.close(promise: nil)
    }

    // MARK: - On the event loop

    /// Begins the handshake, and watches over it and the peer.
    func opened(firstFrame: [UInt8]) {
        loop.assertInEventLoop()
        state.withLockedValue { state in
            state.outbox.append(firstFrame)
            _ = state.outbox.schedule()
        }
        flush()
        loop.scheduleTask(in: TimeAmount(configuration.handshakeTimeout)) { [weak self] in
            guard let self, self.state.withLockedValue({ $0.machine.isHandshaking }) else { return }
            self.fail(RPCError(.unavailable, "\(self.peer) did not finish the handshake in time"))
        }
        let interval = TimeAmount(configuration.pingInterval)
        loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] task in
            guard let self, self.channel.isActive else { return task.cancel() }
            self.checkLiveness()
        }
    }

    /// Bytes have come: what is answered to them is flushed together by `readComplete`.
    func readBegins() {
        let now = NIODeadline.now().uptimeNanoseconds
        state.withLockedValue { state in
            state.liveness.sawLife(now: now)
            _ = state.outbox.schedule()
        }
    }

    func readComplete() {
        flush()
    }

    /// A part of what has come was worked on: what was answered to it goes out.
    func readPart() {
        flush(more: true)
    }

    func receive(_ frame: Frame) throws(ProtocolViolation) {
        let result = state.withLockedValue { state -> Result<ClientConnectionStateMachine.Action, ProtocolViolation> in
            do throws(ProtocolViolation) {
                let action = try state.machine.receive(frame)
                if case .send(let bytes) = action { state.outbox.append(bytes) }
                return .success(action)
            } catch {
                return .failure(error)
            }
        }
        switch try result.get() {
        case .none, .send:
            break
        case .ready(let identity):
            logger.debug("rpc connection ready", metadata: ["rpc.peer": "\(identity)"])
            owner.connectionReady(self)
        case .refused(let error):
            fail(RPCError(.unavailable, "\(peer) refused the connection: \(error.message)"))
        case .response(let call):
            call.finish(response: frame.payload)
        case .message(let call):
            call.receive(message: frame.payload)
        case .streamEnded(let call):
            call.finishStream()
        case .failed(let call, let error):
            call.fail(error)
        case .goaway(let error, let unserved, _):
            let reason = RPCError(.unavailable, "\(peer) goes away: \(error.message)")
            gone(reason)
            for call in unserved { call.connectionLost(reason, processed: false) }
        }
    }

    /// Closes because something is wrong.
    func fail(_ error: RPCError) {
        logger.info("rpc connection failed", metadata: ["rpc.peer": "\(peer)", "rpc.error": "\(error.message)"])
        closed(error)
        channel.close(promise: nil)
    }

    /// The connection is lost: tells the pool, then fails the calls.
    func closed(_ error: RPCError) {
        let (calls, flushedID) = state.withLockedValue { state -> ([(id: UInt64, call: any RPCPendingCall)], UInt64) in
            guard !state.isClosed else { return ([], 0) }
            state.isClosed = true
            return (state.machine.close(), state.flushedID)
        }
        gone(error)
        for (id, call) in calls { call.connectionLost(error, processed: id <= flushedID) }
    }

    private func gone(_ error: RPCError) {
        let first = state.withLockedValue { state in
            defer { state.isGone = true }
            return !state.isGone
        }
        if first { owner.connectionGone(self, error) }
    }

    private func closeIfDrained() {
        let drained = state.withLockedValue { $0.machine.isDrained && $0.outbox.isEmpty }
        if drained { channel.close(promise: nil) }
    }

    /// Writes all that waits, and sets the timer for deadlines. `more`: the caller flushes again.
    private func flush(more: Bool = false) {
        loop.assertInEventLoop()
        let (buffer, alarm, drained) = state.withLockedValue { state -> (ByteBuffer?, UInt64?, Bool) in
            let buffer = state.outbox.take(more: more)
            let drained = state.machine.isDrained && state.outbox.isEmpty
            state.flushedID = state.machine.lastID
            let next = state.machine.nextDeadline
            let alarm = next == .max ? next : (next / Self.timerGrain + 1) * Self.timerGrain
            guard alarm < state.armed else { return (buffer, nil, drained) }
            state.armed = alarm
            return (buffer, alarm, drained)
        }
        if drained { return channel.close(promise: nil) }
        if let buffer {
            let count = buffer.readableBytes
            let promise = loop.makePromise(of: Void.self)
            promise.futureResult.whenComplete { _ in
                self.state.withLockedValue { $0.outbox.written(count) }
                self.closeIfDrained()
            }
            channel.writeAndFlush(buffer, promise: promise)
        }
        if let alarm {
            loop.scheduleTask(deadline: .uptimeNanoseconds(alarm)) { [weak self] in self?.expire(alarm: alarm) }
        }
    }

    private func expire(alarm: UInt64) {
        let now = NIODeadline.now().uptimeNanoseconds
        let expired = state.withLockedValue { state -> [(id: UInt64, call: any RPCPendingCall)] in
            // An alarm that an earlier one has replaced does nothing.
            guard state.armed == alarm else { return [] }
            state.armed = .max
            let expired = state.machine.expire(now: now)
            for (id, _) in expired { state.outbox.append(FrameEncoder.frame(.cancel, callID: id)) }
            _ = state.outbox.schedule()
            return expired
        }
        for (_, call) in expired {
            call.fail(RPCError(.deadlineExceeded, "\(peer) did not answer in time"))
        }
        flush()
    }

    private func checkLiveness() {
        let now = NIODeadline.now().uptimeNanoseconds
        let action = state.withLockedValue { state -> Liveness.Action in
            // Until the handshake is done its own timer watches.
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
        case .dead: fail(RPCError(.unavailable, "\(peer) does not answer pings"))
        }
    }
}

/// Feeds a connection with what its channel receives.
final class ClientConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let connection: ClientConnection
    private let firstFrame: [UInt8]
    private var accumulator = FrameAccumulator()

    init(_ connection: ClientConnection, firstFrame: [UInt8]) {
        self.connection = connection
        self.firstFrame = firstFrame
    }

    func channelActive(context: ChannelHandlerContext) {
        connection.opened(firstFrame: firstFrame)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.readBegins()
        var frames = 0
        do throws(ProtocolViolation) {
            try accumulator.feed(unwrapInboundIn(data), maxBody: { connection.maxBody }) {
                frame throws(ProtocolViolation) in
                if frames > 0, frames.isMultiple(of: Outbox.part) { connection.readPart() }
                frames += 1
                try connection.receive(frame)
            }
        } catch {
            connection.fail(RPCError(.unavailable, "protocol violated by the server: \(error.reason)"))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.readComplete()
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.closed(RPCError(.unavailable, "connection lost"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.fail(RPCError(.unavailable, "connection failed: \(error)"))
    }
}

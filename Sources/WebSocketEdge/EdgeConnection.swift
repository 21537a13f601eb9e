package import NIOCore

/// One connection: the upgrade and then the frames, in one handler to save memory. Confined to its loop.
package final class EdgeConnection: ChannelInboundHandler, WheelMember {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Exits: `request` by a whole request to `deciding`; that by the delegate's answer to `open` or `responding`; `open` by
    /// a close frame of either side to `closing`; all by the end of the channel to `closed`.
    private enum Phase: UInt8 {
        case request
        case deciding
        case responding
        case open
        case closing
        case closed
    }

    var wheelSlot: Int32 = -1
    var wheelIndex: Int32 = -1
    private var phase = Phase.request
    private var isDirty = false
    /// Whether something was written that leaves with the next flush, or soon without one.
    private var isWaiting = false
    /// Whether anything came since the last ping, and pings that nothing came after.
    private var heard = false
    private var unanswered: UInt8 = 0
    /// Whether a close handshake is on because the peer asked for it, so that the server ends the connection.
    private var closeAfterFlush = false
    /// Whether the peer broke the protocol: what it still sends is read, so that the kernel does not answer it with a reset,
    /// which would take the close frame with it, and dropped.
    private var isDeaf = false
    package private(set) var subprotocol = Subprotocol.json

    private let loop: EdgeLoop
    private let server: EdgeServerShared
    private var context: ChannelHandlerContext?
    private var session: (any EdgeSession)?
    /// Bytes that are no whole head or frame yet.
    private var pending: ByteBuffer?
    private var lazily: Lazily?

    /// What most connections don't need most of the time.
    private struct Lazily {
        var search = HTTPRequestHead.Search()
        var assembler: MessageAssembler?
    }

    init(loop: EdgeLoop, server: EdgeServerShared) {
        self.loop = loop
        self.server = server
    }

    package var eventLoop: any EventLoop { loop.eventLoop }

    // MARK: For the session

    /// Whether less waits to be sent than the high watermark.
    package var isWritable: Bool { context?.channel.isWritable ?? false }

    package var isOpen: Bool { phase == .open }

    /// Writes a whole frame (`ServerFrames.frame`); it leaves at the end of the loop's turn. Nothing happens where the
    /// connection is closing.
    package func write(_ frame: ByteBuffer) {
        guard phase == .open else { return }
        send(frame)
    }

    /// Writes a frame that can wait for the next one: it leaves with that, or within some milliseconds.
    package func writeUnhurried(_ frame: ByteBuffer) {
        guard phase == .open else { return }
        send(frame, isUnhurried: true)
    }

    /// Starts the close handshake; the session's `closed` follows when the connection is gone.
    package func close(_ code: CloseCode, _ reason: String) {
        guard phase == .open else { return }
        send(ServerFrames.close(code, reason))
        phase = .closing
        loop.closing(self)
    }

    /// Ends the connection without a word.
    package func cut() { context?.close(promise: nil) }

    // MARK: Channel

    package func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    package func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    package func channelActive(context: ChannelHandlerContext) { loop.accepted(self) }

    package func channelInactive(context: ChannelHandlerContext) {
        phase = .closed
        pending = nil
        lazily = nil
        loop.closed(self)
        if let session {
            self.session = nil
            session.closed()
        }
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        if isWritable { loop.noLongerSlow(self) } else { loop.becameSlow(self) }
        // What the peer sends would only make more answers for it.
        try? context.channel.syncOptions?.setOption(.autoRead, value: isWritable)
        session?.writabilityChanged(isWritable)
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        let received = buffer
        loop.count { $0.bytesIn += UInt64(received.readableBytes) }
        heard = true
        if var earlier = pending.take() {
            earlier.writeBuffer(&buffer)
            buffer = earlier
        }
        consume(&buffer)
        if buffer.readableBytes > 0, phase != .closed, phase != .responding {
            // A copy: the shared buffer goes back.
            pending = ByteBuffer(bytes: buffer.readableBytesView)
        }
        ReceiveBuffer.current.giveBack(received)
    }

    private func consume(_ buffer: inout ByteBuffer) {
        if phase == .request { readRequest(&buffer) }
        if phase == .deciding, buffer.readableBytes > loop.configuration.messageBytes { cut() }
        if phase == .open || phase == .closing { readFrames(&buffer) }
    }

    // MARK: Upgrade

    private func readRequest(_ buffer: inout ByteBuffer) {
        var search = lazily?.search ?? HTTPRequestHead.Search()
        let limit = loop.configuration.headBytes
        guard let end = buffer.withUnsafeReadableBytes({ search.end(in: $0) }), end <= limit else {
            if buffer.readableBytes > limit { refuse(.headTooLarge) }
            lazily = Lazily(search: search)
            return
        }
        lazily = nil
        do throws(HTTPProblem) {
            let head = try Self.head(buffer, end)
            buffer.moveReaderIndex(forwardBy: end)
            guard head.method == "GET" else { throw .method }
            if head.path == loop.configuration.path {
                decide(try UpgradeRequest(head, origins: loop.configuration.origins))
            } else {
                respond(to: head.path)
            }
        } catch {
            refuse(error)
        }
    }

    private static func head(_ buffer: ByteBuffer, _ count: Int) throws(HTTPProblem) -> HTTPRequestHead {
        let result: Result<HTTPRequestHead, HTTPProblem> = buffer.withUnsafeReadableBytes { bytes in
            do throws(HTTPProblem) {
                return .success(try HTTPRequestHead.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count])))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func decide(_ request: UpgradeRequest) {
        phase = .deciding
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        server.delegate.authenticate(request, on: eventLoop) { result in
            connection.value.decided(request, result)
        }
    }

    private func decided(_ request: UpgradeRequest, _ result: Result<EdgeDelegate.Opener, HTTPProblem>) {
        guard phase == .deciding, context != nil else { return }  // the peer is gone
        switch result {
        case .failure(let problem): refuse(problem)
        case .success(let open):
            subprotocol = request.subprotocol
            phase = .open
            loop.opened(self)
            send(ByteBuffer(string: request.response))
            session = open(self)
            guard var rest = pending.take() else { return }
            readFrames(&rest)
            if rest.readableBytes > 0, phase != .closed { pending = rest }
        }
    }

    private func respond(to path: String) {
        phase = .deciding
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        let loop = eventLoop
        let accepted = server.submit(path) { response in
            loop.execute { connection.value.answer(response ?? HTTPProblem.notFound.response) }
        }
        if !accepted { refuse(.unavailable) }
    }

    private func refuse(_ problem: HTTPProblem) {
        loop.count { $0.refused += 1 }
        answer(problem.response)
    }

    private func answer(_ response: HTTPResponse) {
        guard phase == .request || phase == .deciding, let context else { return }
        phase = .responding
        pending = nil
        let buffer = response.encoded(allocator: context.channel.allocator)
        let bound = NIOLoopBound(context, eventLoop: eventLoop)
        context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in bound.value.close(promise: nil) }
    }

    // MARK: Frames

    private func readFrames(_ buffer: inout ByteBuffer) {
        guard !isDeaf else { return buffer.moveReaderIndex(to: buffer.writerIndex) }
        do throws(WebSocketViolation) {
            while phase == .open || phase == .closing, try readFrame(&buffer) {}
        } catch {
            loop.count { $0.violations += 1 }
            buffer.moveReaderIndex(to: buffer.writerIndex)
            close(error.code, error.reason)
            isDeaf = true
            return
        }
        // Whoever closed does not want to hear anything but the answer, and that may be behind a half frame.
        if phase == .closed { buffer.moveReaderIndex(to: buffer.writerIndex) }
    }

    /// False where the bytes end before a frame does.
    private func readFrame(_ buffer: inout ByteBuffer) throws(WebSocketViolation) -> Bool {
        guard let header = try Self.header(buffer, loop.configuration.messageBytes),
            buffer.readableBytes >= header.size + header.length
        else { return false }
        let scratch = ReceiveBuffer.current
        // Sessions may come back here (a fake one in a test, say): the bytes are theirs while they look at them.
        var payload = scratch.unmasked
        scratch.unmasked = []
        defer { scratch.unmasked = payload }
        if payload.count < header.length { payload = [UInt8](repeating: 0, count: max(4096, header.length)) }
        let outcome: Result<Void, WebSocketViolation> = payload.withUnsafeMutableBytes { target in
            buffer.withUnsafeReadableBytes { source in
                FrameHeader.unmask(
                    UnsafeRawBufferPointer(rebasing: source[header.size..<(header.size + header.length)]),
                    mask: header.mask, into: target)
            }
            buffer.moveReaderIndex(forwardBy: header.size + header.length)
            return act(header, UnsafeRawBufferPointer(rebasing: target[..<header.length]))
        }
        try outcome.get()
        return true
    }

    private static func header(_ buffer: ByteBuffer, _ limit: Int) throws(WebSocketViolation) -> FrameHeader? {
        let result: Result<FrameHeader?, WebSocketViolation> = buffer.withUnsafeReadableBytes { bytes in
            do throws(WebSocketViolation) {
                return .success(try FrameHeader.parse(bytes, maximumPayload: limit))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func act(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) -> Result<Void, WebSocketViolation> {
        do throws(WebSocketViolation) {
            let limit = loop.configuration.messageBytes
            var assembler =
                lazily?.assembler ?? MessageAssembler(limit: limit, acceptsBinary: subprotocol == .protobuf)
            let outcome = try assembler.receive(header, payload: payload)
            if header.opcode == .continuation || !header.isFinal {
                lazily = outcome == .incomplete ? Lazily(assembler: assembler) : nil
            }
            carryOut(outcome, payload)
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func carryOut(_ outcome: MessageAssembler.Outcome, _ payload: UnsafeRawBufferPointer) {
        switch outcome {
        case .close(let code): peerCloses(code)
        case .incomplete, .pong: if phase == .open { session?.receivedControl() }
        case .ping:
            guard phase == .open else { return }
            session?.receivedControl()
            // A peer that pings and does not read gets no more than fits.
            if isWritable { write(ServerFrames.frame(.pong, Array(payload))) }
        case .message(_, let assembled):
            guard phase == .open, let session else { return }
            loop.count { $0.messagesIn += 1 }
            if let assembled {
                assembled.withUnsafeBytes { session.received($0) }
            } else {
                session.received(payload)
            }
        }
    }

    private func peerCloses(_ code: CloseCode?) {
        if phase == .open {
            send(ServerFrames.close(code, ""))
            phase = .closing
            loop.closing(self)
        }
        // Both have said it: the server ends the TCP connection (RFC 6455 §7.1.1), after what waits has left.
        closeAfterFlush = true
        if !isDirty {
            isDirty = true
            loop.flushLater(self)
        }
    }

    private func send(_ frame: ByteBuffer, isUnhurried: Bool = false) {
        guard let context else { return }
        loop.count {
            $0.framesOut += 1
            $0.bytesOut += UInt64(frame.readableBytes)
        }
        context.write(wrapOutboundOut(frame), promise: nil)
        if isDirty { return }
        if isUnhurried {
            if !isWaiting {
                isWaiting = true
                loop.flushSoon(self)
            }
        } else {
            isDirty = true
            loop.flushLater(self)
        }
    }

    // MARK: For the loop

    /// What waits has waited long enough.
    func flushWaiting() {
        if isWaiting { flush() }
    }

    func flush() {
        isDirty = false
        isWaiting = false
        guard let context else { return }
        guard closeAfterFlush else {
            context.flush()
            // The peer sees the end after the close frame, and ends the connection itself.
            if isDeaf { context.close(mode: .output, promise: nil) }
            return
        }
        let bound = NIOLoopBound(context, eventLoop: eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in bound.value.close(promise: nil) }
    }

    func heartbeat() {
        guard phase == .open else { return }
        if heard { unanswered = 0 }
        guard unanswered < 2 else {
            loop.count { $0.heartbeatsMissed += 1 }
            close(.timeout, "no heartbeat")
            return
        }
        heard = false
        unanswered += 1
        if isWritable { send(ServerFrames.ping) }
    }

    func requestTimedOut() {
        switch phase {
        case .request: refuse(.timeout)
        case .deciding: refuse(.unavailable)
        // A response that the peer does not read.
        case .responding: cut()
        case .open, .closing, .closed: break
        }
    }

    /// Bytes written to the connection that the kernel has not taken.
    var waitingBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }
}

import Glibc

/// What a load wants to know of its connections. Everything is called on the loop's thread.
package protocol LoadHandler: AnyObject {
    /// A message, each once and in order; what else the log has is passed over.
    func received(_ event: EventView, by connection: LoadConnection, now: UInt64)
    func acknowledged(_ ack: AckView, to connection: LoadConnection, now: UInt64)
    func refused(_ error: ErrorView, to connection: LoadConnection)
    func received(_ receipt: ReceiptView, by connection: LoadConnection, now: UInt64)
    func received(_ typing: TypingView, by connection: LoadConnection, now: UInt64)
    /// A synced connection was lost, and not because we closed it.
    func lost(_ connection: LoadConnection)
}

extension LoadHandler {
    package func received(_ receipt: ReceiptView, by connection: LoadConnection, now: UInt64) {}
    package func received(_ typing: TypingView, by connection: LoadConnection, now: UInt64) {}
    package func lost(_ connection: LoadConnection) {}
}

/// Why a connection did not come about.
package enum LoadFailure: Error, Sendable, Equatable, CustomStringConvertible {
    case unreachable(errno: Int32)
    /// The server answered the upgrade with something else.
    case refused(status: Int)
    /// It was closed before `synced`; 1006: without a word.
    case closed(code: Int)

    package var description: String {
        switch self {
        case .unreachable(let errno): "couldn't connect: \(String(cString: strerror(errno)))"
        case .refused(let status): "the upgrade was answered with \(status)"
        case .closed(let code): "closed with \(code) before synced"
        }
    }
}

/// A client's WebSocket with the least that a load needs. Only on its loop's thread.
package final class LoadConnection: @unchecked Sendable {
    package enum Phase { case closed, connecting, upgrading, greeting, synced }

    /// What one connection knows of a conversation.
    package struct Conversation {
        package let id: [UInt8]
        package var check = SequenceCheck()
        /// The highest seq that the server was told of.
        var told: UInt64 = 0
        /// Index of the last own message that came back.
        var ownIndex = -1

        package var name: String { String(decoding: id, as: UTF8.self) }
    }

    package let index: Int
    package private(set) var phase = Phase.closed
    /// Nanoseconds of the clock: when connecting began, and when `synced` came.
    package private(set) var startedAt: UInt64 = 0
    package private(set) var syncedAt: UInt64 = 0
    package private(set) var conversations: [Conversation] = []
    /// Kept until the load is over.
    package var handler: (any LoadHandler)?
    /// Whether a new `hello` says what this client holds; otherwise the server goes by what it was told.
    package var saysCursors = false

    /// Whether a conversation's first event must be its first at all.
    package var expectsAll = false

    private let loop: LoadLoop
    private var descriptor: Int32 = -1
    private(set) var generation: UInt32 = 0
    private var partial: [UInt8] = []
    private var unsent: [UInt8] = []
    private var isDirty = false
    private var isWaitingToWrite = false
    private var isTelling = false
    private var request: [UInt8] = []
    private var opened: ((LoadConnection, LoadFailure?) -> Void)?

    package init(index: Int, loop: LoadLoop) { (self.index, self.loop) = (index, loop) }

    // MARK: Opening and closing

    /// Opens, says hello, and calls `opened` when all that was missed has come, or when it failed.
    package func connect(
        _ address: LoadAddress, ticket: String? = nil, bearer: String? = nil,
        opened: @escaping (LoadConnection, LoadFailure?) -> Void
    ) {
        precondition(phase == .closed)
        startedAt = LoadLoop.clock
        self.opened = opened
        let path = ticket.map { "\(address.path)?ticket=\($0)" } ?? address.path
        request = Upgrade.request(host: address.host, path: path, authorization: bearer)
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return report(.unreachable(errno: errno)) }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        phase = .connecting
        generation = loop.register(descriptor, self)
        isWaitingToWrite = true
        var target = address.socketAddress
        let result = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if result != 0, errno != EINPROGRESS { fail(.unreachable(errno: errno)) }
    }

    /// Closes at once; the handler hears nothing of it.
    package func close() {
        guard phase != .closed else { return }
        if phase == .synced {
            let frame = ClientFrames.frame(opcode: 8, [0x03, 0xE8])
            _ = write(frame)
        }
        drop()
    }

    /// Cuts the connection without a word, as a network does.
    package func cut() { if phase != .closed { drop() } }

    private func drop() {
        phase = .closed
        loop.unregister(descriptor)
        descriptor = -1
        partial = []
        unsent = []
        isWaitingToWrite = false
        opened = nil
    }

    private func fail(_ failure: LoadFailure) {
        let wasSynced = phase == .synced
        let opened = opened
        drop()
        if wasSynced {
            handler?.lost(self)
        } else {
            opened?(self, failure)
        }
    }

    private func report(_ failure: LoadFailure) {
        let opened = opened
        self.opened = nil
        opened?(self, failure)
    }

    // MARK: Sending

    /// Sends at the end of the round, together with what else is sent in it.
    @inline(__always)
    package func send(_ frame: UnsafeRawBufferPointer) {
        guard phase != .closed else { return }
        unsent.append(contentsOf: frame)
        if !isDirty {
            isDirty = true
            loop.isDirty(self)
        }
    }

    package func send(_ frame: [UInt8]) { frame.withUnsafeBytes { send($0) } }

    func flush() {
        isDirty = false
        guard phase != .closed, phase != .connecting, !unsent.isEmpty else { return }
        let sent = write(unsent)
        if sent == unsent.count {
            // What is idle keeps nothing.
            unsent.removeAll(keepingCapacity: phase == .synced && unsent.capacity <= 4096)
        } else if sent > 0 {
            unsent.removeFirst(sent)
        } else if errno != EAGAIN, errno != EINTR {
            return fail(.closed(code: 1006))
        }
        if isWaitingToWrite != !unsent.isEmpty {
            isWaitingToWrite.toggle()
            loop.update(descriptor, generation, writing: isWaitingToWrite)
        }
    }

    private func write(_ bytes: [UInt8]) -> Int {
        // A socket that is gone is an error here, not a signal.
        bytes.withUnsafeBytes {
            Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
        }
    }

    func becameWritable() {
        guard phase == .connecting else { return flush() }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        guard code == 0 else { return fail(.unreachable(errno: code)) }
        phase = .upgrading
        unsent = request
        request = []
        flush()
    }

    /// Tells the server what came.
    func acknowledge() {
        isTelling = false
        guard phase == .synced || phase == .greeting else { return }
        var news: [(conversation: [UInt8], seq: UInt64)] = []
        for place in conversations.indices {
            guard let last = conversations[place].check.last, last > conversations[place].told else { continue }
            conversations[place].told = last
            news.append((conversations[place].id, last))
        }
        if !news.isEmpty { send(ClientFrames.received(news)) }
    }

    // MARK: Receiving

    func becameReadable() {
        guard phase != .closed else { return }
        let buffer = loop.buffer
        let held = partial.count
        if held > 0 { partial.withUnsafeBytes { buffer.copyMemory(from: $0) } }
        let count = recv(descriptor, buffer.baseAddress! + held, buffer.count - held, 0)
        if count < 0 {
            if errno != EAGAIN, errno != EINTR { fail(.closed(code: 1006)) }
            return
        }
        if count == 0 { return fail(.closed(code: 1006)) }
        if held > 0 { partial = [] }
        let now = LoadLoop.clock
        let mine = generation
        var rest = UnsafeRawBufferPointer(rebasing: buffer[..<(held + count)])
        if phase == .upgrading {
            guard let answer = Upgrade.answer(rest) else {
                partial = Array(rest)
                return
            }
            guard answer.status == 101 else { return fail(.refused(status: answer.status)) }
            phase = .greeting
            send(ClientFrames.hello(cursors: saysCursors ? cursors : nil))
            rest = UnsafeRawBufferPointer(rebasing: rest[answer.size...])
        }
        while !rest.isEmpty {
            switch ServerFrame.parse(rest) {
            case .incomplete:
                partial = Array(rest)
                return
            case .malformed: return fail(.closed(code: 1002))
            case .frame(let frame):
                take(frame, now: now)
                // A handler may have closed it.
                guard phase != .closed, generation == mine else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[frame.size...])
            }
        }
    }

    /// What this client holds, for `hello`.
    private var cursors: [String: UInt64] {
        var cursors: [String: UInt64] = [:]
        for conversation in conversations { cursors[conversation.name] = conversation.check.last }
        return cursors
    }

    private func take(_ frame: ServerFrame, now: UInt64) {
        switch frame.opcode {
        case 2: take(ServerFrameView(frame.payload), now: now)
        case 8:
            let code = frame.payload.count >= 2 ? Int(frame.payload[0]) << 8 | Int(frame.payload[1]) : 1005
            fail(.closed(code: code))
        case 9: send(ClientFrames.frame(opcode: 10, frame.payload))
        case _: break
        }
    }

    private func take(_ view: ServerFrameView, now: UInt64) {
        switch view {
        case .event(let event): take(event, now: now)
        case .ack(let ack): handler?.acknowledged(ack, to: self, now: now)
        case .error(let error): handler?.refused(error, to: self)
        case .receipt(let receipt): handler?.received(receipt, by: self, now: now)
        case .typing(let typing): handler?.received(typing, by: self, now: now)
        case .synced:
            guard phase == .greeting else { return }
            phase = .synced
            syncedAt = now
            let opened = opened
            self.opened = nil
            opened?(self, nil)
        case .other: break
        case .malformed: loop.findings.errors += 1
        }
    }

    private func take(_ event: EventView, now: UInt64) {
        let place = place(of: event.conversation)
        switch conversations[place].check.take(event.seq) {
        case .next, .late: break
        case .gap: loop.findings.outOfOrder += 1
        case .repeated:
            loop.findings.repeated += 1
            return
        }
        if !isTelling {
            isTelling = true
            loop.acknowledgeLater(self)
        }
        guard event.isMessage else { return }
        if event.isOwn, let index = event.index {
            // The log has a sender's messages in the order in which they were sent.
            if index <= conversations[place].ownIndex { loop.findings.outOfOrder += 1 }
            conversations[place].ownIndex = index
        }
        handler?.received(event, by: self, now: now)
    }

    private static func isSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard let first = one.baseAddress, let second = other.baseAddress else { return true }
        return memcmp(first, second, one.count) == 0
    }

    private func place(of id: UnsafeRawBufferPointer) -> Int {
        for place in conversations.indices {
            let known = conversations[place].id
            if known.count == id.count, known.withUnsafeBytes({ Self.isSame($0, id) }) {
                return place
            }
        }
        conversations.append(Conversation(id: Array(id), check: SequenceCheck(after: expectsAll ? 0 : nil)))
        return conversations.count - 1
    }
}

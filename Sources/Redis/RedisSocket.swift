import Glibc
import Reactor

/// A connection on the reactor: bytes out, replies in. It belongs to an actor on the reactor, which alone calls it.
final class RedisSocket {
    /// Why the connection is of no use any more.
    struct Failure: Error {
        var code: RedisError.Code
        var message: String
    }

    private let reactor: Reactor
    private let descriptor: Int32
    private let registration: Reactor.Registration
    private let parser = RESP.Parser()
    private var isConnecting = true
    private var isOpen = true
    private var out: [UInt8] = []
    private var sent = 0
    /// When something last came from the server.
    private(set) var lastRead = ContinuousClock.now

    /// Begins to connect.
    /// - Parameter handler: Called on the reactor when there is something to do.
    init(_ address: SocketAddress, reactor: Reactor, handler: @escaping Reactor.Handler) throws(Failure) {
        let (descriptor, code) = address.connect()
        guard let descriptor else { throw Self.failure(code) }
        do {
            self.registration = try reactor.register(descriptor, for: .write, handler)
        } catch {
            Glibc.close(descriptor)
            throw Failure(code: .disconnected, message: "\(error)")
        }
        self.reactor = reactor
        self.descriptor = descriptor
    }

    deinit {
        precondition(!self.isOpen, "a socket is closed before it is given up")
    }

    func close() {
        guard self.isOpen else { return }
        self.isOpen = false
        self.reactor.unregister(self.registration)
        Glibc.close(self.descriptor)
    }

    /// Appends a command; it leaves with the next `flush()`.
    func write(_ bytes: [UInt8]) {
        self.out.append(contentsOf: bytes)
    }

    /// An event on the descriptor: completes the connection, sends what is left and takes what has come.
    /// - Parameter body: Gets each reply, in order; false to stop, because the socket has been closed.
    func handle(_ events: Reactor.Events, _ body: (RedisValue) -> Bool) throws(Failure) {
        if self.isConnecting {
            guard events.writable else { return }
            var code: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(self.descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
            guard code == 0 else { throw Self.failure(code) }
            self.isConnecting = false
        }
        if events.readable { try self.receive(body) }
        if self.isOpen { try self.flush() }
    }

    /// Sends what was written; the rest when the socket takes more.
    func flush() throws(Failure) {
        if self.isConnecting { return }
        while self.sent < self.out.count {
            let count = self.out.withUnsafeBytes { bytes in
                Glibc.send(
                    self.descriptor, bytes.baseAddress! + self.sent, bytes.count - self.sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                guard errno == EAGAIN else { throw Self.failure(errno) }
                self.reactor.update(self.registration, to: [.read, .write])
                return
            }
            self.sent += count
        }
        self.out.removeAll(keepingCapacity: self.out.count < 1 << 20)
        self.sent = 0
        self.reactor.update(self.registration, to: .read)
    }

    private func receive(_ body: (RedisValue) -> Bool) throws(Failure) {
        do {
            try withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 1) { buffer in
                while self.isOpen {
                    let count = recv(self.descriptor, buffer.baseAddress, buffer.count, 0)
                    if count < 0 {
                        if errno == EINTR { continue }
                        if errno == EAGAIN { return }
                        throw Self.failure(errno)
                    }
                    if count == 0 { throw Failure(code: .disconnected, message: "the server closed the connection") }
                    self.lastRead = .now
                    try self.parser.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                    while let value = try self.parser.next() {
                        if !body(value) { return }
                    }
                    if count < buffer.count { return }
                }
            }
        } catch let failure as Failure {
            throw failure
        } catch let violation as RESP.Parser.Violation {
            throw Failure(code: .protocolViolation, message: violation.message)
        } catch {
            throw Failure(code: .protocolViolation, message: "\(error)")
        }
    }

    private static func failure(_ code: Int32) -> Failure {
        Failure(code: .disconnected, message: String(cString: strerror(code)))
    }
}

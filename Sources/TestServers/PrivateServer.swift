import Glibc
import NIOConcurrencyHelpers

/// A server's command, and the process that runs it now: what the servers that need no more than that share.
final class PrivateServer: Sendable {
    private let command: [String]
    private let log: String
    private let process = NIOLockedValueBox<ServerProcess?>(nil)

    init(_ command: [String], log: String) {
        self.command = command
        self.log = log
    }

    /// Starts it and waits until it is ready.
    func start(_ isReady: () -> Bool) async throws {
        let process = try ServerProcess(self.command, output: self.log)
        self.process.withLockedValue { $0 = process }
        let deadline = ContinuousClock.now + .seconds(30)
        while !isReady() {
            guard ContinuousClock.now < deadline else {
                throw TestServerError("\(self.command[0]) doesn't start: \(Processes.readFile(self.log) ?? "")")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Asks it to end, and makes it if it doesn't.
    func stop() async {
        guard let process = self.process.withLockedValue({ $0 }) else { return }
        process.signal(SIGCONT)
        process.signal(SIGTERM)
        for _ in 0..<500 where !process.processes.isEmpty { try? await Task.sleep(for: .milliseconds(10)) }
        await self.kill()
    }

    func kill() async {
        let process = self.process.withLockedValue { process in
            defer { process = nil }
            return process
        }
        await process?.end()
    }

    func signal(_ number: Int32) { self.process.withLockedValue { $0 }?.signal(number) }

    /// Says `text` to a port of this machine and returns the beginning of the answer, which must come within a second;
    /// `nil` if none does.
    static func ask(port: Int, _ text: String) -> String? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var limit = timeval(tv_sec: 1, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                connect(descriptor, address, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected, send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL)) >= 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }
}

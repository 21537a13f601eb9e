import Glibc
import NIOConcurrencyHelpers

/// Free loopback ports for one cluster's run.
///
/// They come in blocks below the range from which the kernel picks ports for outgoing connections, so that none is taken
/// while its process restarts. A block is reserved by listening on its first port until this object goes away: two
/// clusters that start at the same time never share one.
final class Ports: Sendable {
    static let blockSize = 64

    private struct State {
        var reservations: [Int32] = []
        var free: [Int] = []
    }

    private let state = NIOLockedValueBox(State())
    private let range: Range<Int>

    init(range: Range<Int> = Ports.usual) {
        self.range = range
    }

    deinit {
        state.withLockedValue { state in
            for descriptor in state.reservations { close(descriptor) }
        }
    }

    /// Below the kernel's own range (ip_local_port_range), above the well-known ones.
    static let usual: Range<Int> = {
        let text = (try? readFile("/proc/sys/net/ipv4/ip_local_port_range")) ?? ""
        let lowest = text.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 32768
        return lowest >= 20_000 ? 16_384..<min(lowest, 49_152) : 49_152..<65_536
    }()

    /// A port that nothing listens on, and that no other cluster will pick.
    func take() throws -> Int {
        try state.withLockedValue { state in
            while true {
                while let port = state.free.popLast() {
                    if let descriptor = Self.listen(on: port) {
                        close(descriptor)
                        return port
                    }
                }
                let (first, descriptor) = try reserveBlock()
                state.reservations.append(descriptor)
                state.free = Array((first + 1)..<(first + Self.blockSize)).reversed()
            }
        }
    }

    /// The first port of a block that no one has, and the socket that keeps it so.
    private func reserveBlock() throws -> (first: Int, descriptor: Int32) {
        let blocks = range.count / Self.blockSize
        let start = Int.random(in: 0..<blocks)
        for offset in 0..<blocks {
            let first = range.lowerBound + (start + offset) % blocks * Self.blockSize
            if let descriptor = Self.listen(on: first) { return (first, descriptor) }
        }
        throw LocalClusterError(.portInUse, "no free ports between \(range.lowerBound) and \(range.upperBound)")
    }

    /// Whether something listens on a port of this machine, or we may not.
    static func isFree(_ port: Int, address: String) -> Bool {
        guard let descriptor = listen(on: port, address: address) else { return false }
        close(descriptor)
        return true
    }

    /// Nil: the port is taken. Otherwise a listening socket, to be closed.
    private static func listen(on port: Int, address: String = "127.0.0.1") -> Int32? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, String(port), &hints, &list) == 0, let info = list else { return nil }
        defer { freeaddrinfo(list) }
        let descriptor = socket(info.pointee.ai_family, info.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // As servers do: what lingers from closed connections doesn't count.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size)
        if info.pointee.ai_family == AF_INET6 {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, size)
        }
        guard bind(descriptor, info.pointee.ai_addr, info.pointee.ai_addrlen) == 0, Glibc.listen(descriptor, 1) == 0
        else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}

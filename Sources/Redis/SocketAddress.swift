import Foundation
import Glibc

/// An address that a name was resolved to.
struct SocketAddress: Sendable {
    var family: Int32
    /// A `sockaddr` of that family.
    var bytes: [UInt8]

    /// Resolves `host:port` (an IPv6 address in brackets); none if it can't be.
    static func resolve(_ address: String) async -> [SocketAddress] {
        guard let (host, port) = self.split(address) else { return [] }
        return await withCheckedContinuation { continuation in
            // getaddrinfo blocks: not on a task's thread.
            Thread.detachNewThread { continuation.resume(returning: self.lookUp(host, port)) }
        }
    }

    static func split(_ address: String) -> (host: String, port: String)? {
        guard let colon = address.lastIndex(of: ":") else { return nil }
        let port = String(address[address.index(after: colon)...])
        guard UInt16(port) != nil else { return nil }
        var host = address[..<colon]
        if host.first == "[", host.last == "]" { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : (String(host), port)
    }

    private static func lookUp(_ host: String, _ port: String) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next?.pointee {
            if let address = info.ai_addr {
                let bytes = UnsafeRawBufferPointer(start: address, count: Int(info.ai_addrlen))
                addresses.append(SocketAddress(family: info.ai_family, bytes: Array(bytes)))
            }
            next = info.ai_next
        }
        return addresses
    }

    /// A non-blocking TCP socket that is connecting to it; `nil` and the errno if that fails at once.
    func connect() -> (descriptor: Int32?, errno: Int32) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(self.family, kind, Int32(IPPROTO_TCP))
        guard descriptor >= 0 else { return (nil, Glibc.errno) }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let code = self.bytes.withUnsafeBytes { bytes in
            Glibc.connect(
                descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        if code == 0 || Glibc.errno == EINPROGRESS { return (descriptor, 0) }
        let failure = Glibc.errno
        Glibc.close(descriptor)
        return (nil, failure)
    }
}

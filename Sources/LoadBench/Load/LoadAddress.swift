import Glibc

/// Where to open WebSockets: resolved once.
package struct LoadAddress: Sendable {
    /// As in the `Host` header.
    package var host: String
    /// Without a ticket.
    package var path: String
    let socketAddress: sockaddr_in

    /// - Parameter url: `http://host:port` or `ws://host:port`, perhaps with a path.
    package init(_ url: String, path: String = "/chat-service/v1/ws") throws {
        let pieces = url.split(separator: "/")
        guard pieces.count >= 2, pieces[0].hasSuffix(":") else { throw BenchFailure("no address: \(url)") }
        let authority = pieces[1]
        let parts = authority.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1]) else { throw BenchFailure("no host:port in \(url)") }
        host = String(authority)
        self.path = path
        var hints = addrinfo()
        hints.ai_family = AF_INET
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(String(parts[0]), nil, &hints, &found) == 0, let first = found,
            let bytes = UnsafeRawPointer(first.pointee.ai_addr)
        else { throw BenchFailure("no IPv4 address of \(parts[0])") }
        var address = bytes.loadUnaligned(as: sockaddr_in.self)
        freeaddrinfo(found)
        address.sin_port = port.bigEndian
        socketAddress = address
    }
}

import Glibc

/// An IP address, read from its text.
package struct NetworkAddress: Sendable, Hashable {
    /// In network order, 4 or 16; an IPv4 address mapped into IPv6 counts as IPv4.
    package let bytes: [UInt8]

    package init?(_ text: String) {
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, text, &four) == 1 {
            bytes = four
            return
        }
        var six = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let mapped = six[0..<10].allSatisfy { $0 == 0 } && six[10] == 0xFF && six[11] == 0xFF
        bytes = mapped ? Array(six[12...]) : six
    }

    /// The address, or of IPv6 the /64 that it is in: whoever has one address there has all.
    package var network: String {
        if bytes.count == 4 { return bytes.map { String($0) }.joined(separator: ".") }
        return bytes[..<8].map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "/64"
    }
}

/// The peers whose `X-Forwarded-For` is believed: the gateway. Everyone else could write anything there.
package struct TrustedProxies: Sendable, Equatable {
    private struct Block: Sendable, Equatable {
        var bytes: [UInt8]
        var bits: Int

        func contains(_ address: [UInt8]) -> Bool {
            guard address.count == bytes.count else { return false }
            for index in address.indices {
                let left = bits - index * 8
                if left <= 0 { return true }
                let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
                if address[index] & mask != bytes[index] & mask { return false }
            }
            return true
        }
    }

    private let blocks: [Block]

    /// Loopback, IPv4 and IPv6.
    package static let loopback = TrustedProxies(list: "127.0.0.0/8,::1")!

    /// Addresses and CIDR blocks, separated by commas; nil when one of them is neither.
    package init?(list: String) {
        var blocks: [Block] = []
        for part in list.split(separator: ",") {
            let text = part.filter { !$0.isWhitespace }
            let halves = text.split(separator: "/", maxSplits: 1)
            guard let host = halves.first, let bytes = NetworkAddress(String(host))?.bytes else { return nil }
            var bits = bytes.count * 8
            if halves.count == 2 {
                guard let given = Int(halves[1]), (0...bits).contains(given) else { return nil }
                bits = given
            }
            blocks.append(Block(bytes: bytes, bits: bits))
        }
        self.blocks = blocks
    }

    package func trusts(_ address: String) -> Bool {
        guard let bytes = NetworkAddress(address)?.bytes else { return false }
        return blocks.contains { $0.contains(bytes) }
    }

    /// The client that a trusted peer speaks for: the rightmost address that isn't a trusted proxy itself.
    package func client(forwarded: String, peer: String) -> String {
        var client = peer
        for part in forwarded.split(separator: ",").reversed() {
            let address = String(part.filter { !$0.isWhitespace })
            guard NetworkAddress(address)?.bytes != nil else { return client }
            client = address
            if !trusts(address) { return client }
        }
        return client
    }
}

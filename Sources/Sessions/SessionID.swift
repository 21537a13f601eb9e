/// What names a connection to operators and in `welcome`: `<node>.<incarnation, hexadecimal>.<handle>`.
package struct SessionID: Hashable, Sendable, CustomStringConvertible {
    package var node: String
    package var incarnation: UInt64
    package var handle: UInt32

    package init(node: String, incarnation: UInt64, handle: UInt32) {
        self.node = node
        self.incarnation = incarnation
        self.handle = handle
    }

    /// nil for anything that `description` doesn't write; a node's name may have dots in it.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 3, let handle = UInt32(parts[parts.count - 1]),
            let incarnation = UInt64(parts[parts.count - 2], radix: 16)
        else { return nil }
        let node = parts.dropLast(2).joined(separator: ".")
        self.init(node: node, incarnation: incarnation, handle: handle)
        guard !node.isEmpty, description == String(text) else { return nil }
    }

    package var description: String { "\(node).\(String(incarnation, radix: 16)).\(handle)" }
}

package import ChatModel

/// One connection as the roster holds it.
package struct RosterConnection: Hashable, Sendable {
    package var node: String
    package var incarnation: UInt64
    /// The czxid of the node's znode when it last reported; 0 when it had none.
    package var epoch: Int64
    package var handle: UInt32
    package var user: UserID
    package var device: DeviceID
    /// Unix milliseconds.
    package var since: Int64

    package init(
        node: String, incarnation: UInt64, epoch: Int64, handle: UInt32, user: UserID, device: DeviceID, since: Int64
    ) {
        self.node = node
        self.incarnation = incarnation
        self.epoch = epoch
        self.handle = handle
        self.user = user
        self.device = device
        self.since = since
    }
}

/// The name of a node's view: `<node>/<incarnation>/<n>`.
struct RosterView: Hashable, Sendable, CustomStringConvertible {
    var node: String
    var incarnation: UInt64
    var number: UInt64

    init(node: String, incarnation: UInt64, number: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.number = number
    }

    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let incarnation = UInt64(parts[1], radix: 16),
            let number = UInt64(parts[2], radix: 16)
        else { return nil }
        self.init(node: String(parts[0]), incarnation: incarnation, number: number)
    }

    var description: String { "\(node)/\(String(incarnation, radix: 16))/\(String(number, radix: 16))" }
}

/// How what a report says becomes arguments of a script, and back.
enum RosterCoding {
    /// What a script takes of one entry: handle, user, device, since.
    static let wordsPerEntry = 4

    /// An epoch so that strings compare as the numbers do: Lua's numbers don't hold 64 bits.
    static func epoch(_ epoch: Int64) -> String {
        let digits = String(max(0, epoch))
        return String(repeating: "0", count: 19 - digits.count) + digits
    }

    /// A node's name can stand in keys and views: ZooKeeper allows no slash in it, the scripts no bar.
    static func isValid(node: String) -> Bool {
        (1...128).contains(node.utf8.count)
            && node.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x2F && $0 != 0x7C }
    }

    /// `device|since`
    static func value(_ text: Substring) -> (device: DeviceID, since: Int64)? {
        let parts = text.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 2, let device = DeviceID(parts[0]), let since = Int64(parts[1]) else { return nil }
        return (device, since)
    }
}

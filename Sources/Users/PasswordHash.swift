import Crypto
import CryptoExtras
import FoundationEssentials

/// A password's scrypt hash with what it was made with, as the store keeps it: `$scrypt$ln=14,r=8,p=1$salt$hash`, salt
/// and hash in base64 without padding (the PHC string format).
package struct PasswordHash: Equatable, Sendable, CustomStringConvertible {
    /// What scrypt costs: 128 * r * 2^logN bytes of memory, and time in proportion.
    package struct Cost: Equatable, Sendable {
        /// The binary logarithm of scrypt's N.
        package var logN: Int
        package var r: Int
        package var p: Int

        /// 16 MiB and some 50 ms: what OWASP's cheat sheet names for p = 5 is five times as dear; with 2^14 a login
        /// storm is bearable on a small machine. Raised by configuration, and each hash at its user's next login.
        package static let standard = Cost(logN: 14, r: 8, p: 1)

        package init(logN: Int, r: Int = 8, p: Int = 1) {
            self.logN = logN
            self.r = r
            self.p = p
        }

        /// Work in the same unit, to tell which of two is stronger.
        var work: Int { (1 << logN) * r * p }

        /// What this process is willing to compute: at most 256 MiB.
        var isAcceptable: Bool {
            (1...20).contains(logN) && (1...32).contains(r) && (1...16).contains(p) && 128 * r << logN <= 256 << 20
        }
    }

    package var cost: Cost
    package var salt: [UInt8]
    package var key: [UInt8]

    /// Hashes a password. Takes as long as `cost` says: never on an event loop.
    package init(password: String, salt: [UInt8], cost: Cost) throws {
        self.cost = cost
        self.salt = salt
        self.key = try Self.derive(password, salt: salt, cost: cost)
    }

    /// Reads what `description` wrote; nil for anything else or a cost that no one here would have chosen.
    package init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        var values: [Substring: Int] = [:]
        for parameter in parts[2].split(separator: ",") {
            let pair = parameter.split(separator: "=")
            guard pair.count == 2, let value = Int(pair[1]) else { return nil }
            values[pair[0]] = value
        }
        guard let logN = values["ln"], let r = values["r"], let p = values["p"] else { return nil }
        let cost = Cost(logN: logN, r: r, p: p)
        guard cost.isAcceptable, let salt = Self.decode(parts[3]), let key = Self.decode(parts[4]), key.count == 32
        else { return nil }
        self.cost = cost
        self.salt = salt
        self.key = key
    }

    package var description: String {
        "$scrypt$ln=\(cost.logN),r=\(cost.r),p=\(cost.p)$\(Self.encode(salt))$\(Self.encode(key))"
    }

    /// Whether this is the password. Takes as long as hashing it, and the same time whatever the answer.
    package func matches(_ password: String) throws -> Bool {
        let other = try Self.derive(password, salt: salt, cost: cost)
        var difference: UInt8 = 0
        for (left, right) in zip(key, other) { difference |= left ^ right }
        return key.count == other.count && difference == 0
    }

    /// Whether it is to be replaced by a stronger one at the next occasion.
    package func isWeaker(than cost: Cost) -> Bool { self.cost.work < cost.work }

    private static func derive(_ password: String, salt: [UInt8], cost: Cost) throws -> [UInt8] {
        let key = try KDF.Scrypt.deriveKey(
            from: Data(password.utf8), salt: Data(salt), outputByteCount: 32, rounds: 1 << cost.logN,
            blockSize: cost.r, parallelism: cost.p)
        return key.withUnsafeBytes { Array($0) }
    }

    private static func encode(_ bytes: [UInt8]) -> String {
        String(Data(bytes).base64EncodedString().prefix { $0 != "=" })
    }

    private static func decode(_ text: Substring) -> [UInt8]? {
        let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
        return Data(base64Encoded: text + padding).map { [UInt8]($0) }
    }
}

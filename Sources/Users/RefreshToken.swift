package import ChatModel
package import Crypto
import FoundationEssentials
import ServiceKit

/// What a refresh token says: `roost-r1.` and base64url of device, family and generation (8 bytes each, big endian)
/// and their HMAC-SHA256.
///
/// The secret is in the MAC, so every token ever given can be told from a forged one without keeping any: reuse is
/// seen however old the token is, and nobody who merely guesses can end another's session.
package struct RefreshToken: Hashable, Sendable {
    package var device: DeviceID
    /// The login that it descends from.
    package var family: Int64
    /// How many tokens of its family came before it, plus one.
    package var generation: Int64

    package init(device: DeviceID, family: Int64, generation: Int64) {
        self.device = device
        self.family = family
        self.generation = generation
    }

    private static let prefix = "roost-r1."

    /// The token as the client gets it. The same values give the same token.
    package func encoded(key: SymmetricKey) -> String {
        let payload = BigEndian.bytes(device.rawValue, UInt64(bitPattern: family), UInt64(bitPattern: generation))
        return Self.prefix + Base64URL.encode(payload + HMAC<SHA256>.authenticationCode(for: payload, using: key))
    }

    /// The token that a client brought, if one of `keys` made it.
    package init?(_ string: String, keys: [SymmetricKey]) {
        guard string.hasPrefix(Self.prefix), string.utf8.count < 128,
            let bytes = Base64URL.decode(string.dropFirst(Self.prefix.count)), bytes.count == 24 + 32,
            keys.contains(where: {
                HMAC<SHA256>.isValidAuthenticationCode(bytes[24...], authenticating: bytes[..<24], using: $0)
            })
        else { return nil }
        self.init(
            device: DeviceID(rawValue: BigEndian.read(bytes[0..<8])),
            family: Int64(bitPattern: BigEndian.read(bytes[8..<16])),
            generation: Int64(bitPattern: BigEndian.read(bytes[16..<24])))
    }
}

/// What to do with a refresh token that is genuine.
package enum Rotation: Equatable, Sendable {
    /// It is the present one: it becomes the past, the next generation is given.
    case rotate
    /// It is the one before, its successor was given a moment ago and has not been used: that answer was lost, or two
    /// tabs asked at once. The same successor is given again.
    case `repeat`
    /// It was used before, and its successor too, or long ago: someone has a copy. The device's session ends.
    case reuse
    /// It is of an earlier login of the device, too old, or the device was logged out: refused, with no consequence.
    case refuse

    /// How long an answer that may have been lost is repeated.
    package static let grace: Int64 = 10_000
    /// After how long without a refresh a session ends by itself.
    package static let idleLifetime: Int64 = 90 * 24 * 3600 * 1000

    /// What the store holds of a device.
    package struct Session: Equatable, Sendable {
        package var family: Int64
        package var generation: Int64
        /// When `generation` was given, in Unix milliseconds.
        package var lastUsed: Int64
        package var revoked: Bool

        package init(family: Int64, generation: Int64, lastUsed: Int64, revoked: Bool) {
            self.family = family
            self.generation = generation
            self.lastUsed = lastUsed
            self.revoked = revoked
        }
    }

    package static func decide(_ token: RefreshToken, session: Session, now: Int64) -> Rotation {
        guard !session.revoked, token.family == session.family else { return .refuse }
        guard now - session.lastUsed < idleLifetime else { return .refuse }
        // A generation not given yet: the database went back in time (a restored backup).
        guard token.generation <= session.generation else { return .refuse }
        if token.generation == session.generation { return .rotate }
        let lastAnswer = token.generation == session.generation - 1
        return lastAnswer && now - session.lastUsed <= grace ? .repeat : .reuse
    }
}

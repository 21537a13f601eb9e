package import ChatModel
package import Crypto
import ServiceKit

/// What opens one WebSocket: base64url of user, device, expiry and a nonce, and their HMAC-SHA256. That it is good only
/// once is the redeemer's business, by the nonce.
package struct Ticket: Hashable, Sendable {
    /// How long a ticket is good, in milliseconds.
    package static let lifetime: Int64 = 30_000

    package var user: UserID
    package var device: DeviceID
    /// Unix milliseconds.
    package var expires: Int64
    package var nonce: [UInt8]

    /// Unix milliseconds.
    package var issued: Int64 { expires - Self.lifetime }

    /// - Parameter nonce: 16 random bytes.
    package init(user: UserID, device: DeviceID, expires: Int64, nonce: [UInt8]) {
        precondition(nonce.count == 16)
        self.user = user
        self.device = device
        self.expires = expires
        self.nonce = nonce
    }

    package func encoded(key: SymmetricKey) -> String {
        let payload =
            [1] + BigEndian.bytes(user.rawValue, device.rawValue, UInt64(bitPattern: expires)) + nonce
        return Base64URL.encode(payload + HMAC<SHA256>.authenticationCode(for: payload, using: key))
    }

    /// The ticket that a client brought, if one of `keys` made it and it has not expired.
    package init?(_ string: String, keys: [SymmetricKey], now: Int64) {
        guard string.utf8.count < 256, let bytes = Base64URL.decode(string), bytes.count == 41 + 32, bytes[0] == 1,
            keys.contains(where: {
                HMAC<SHA256>.isValidAuthenticationCode(bytes[41...], authenticating: bytes[..<41], using: $0)
            })
        else { return nil }
        self.init(
            user: UserID(rawValue: BigEndian.read(bytes[1..<9])),
            device: DeviceID(rawValue: BigEndian.read(bytes[9..<17])),
            expires: Int64(bitPattern: BigEndian.read(bytes[17..<25])),
            nonce: Array(bytes[25..<41]))
        guard expires > now else { return nil }
    }
}

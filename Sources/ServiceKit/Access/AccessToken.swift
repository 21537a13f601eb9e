import ChatModel
package import JWTKit

/// The claims of an access token: a JWT signed with EdDSA by `users`, checked by every service on its own.
package struct AccessToken: JWTPayload, Equatable {
    package static let lifetime: Duration = .seconds(600)

    /// The user, decimal.
    package var sub: String
    /// The device, decimal.
    package var device: String
    /// Issued and expiring, Unix seconds; `iat` has fractions, so that a token issued right after a revocation counts.
    package var iat: Double
    package var exp: Double

    /// - Parameter now: Unix milliseconds.
    package init(identity: Identity, now: Int64, lifetime: Duration = Self.lifetime) {
        sub = identity.user.description
        device = identity.device.description
        iat = Double(now) / 1000
        exp = (Double(now) + lifetime.milliseconds) / 1000
    }

    package var identity: Identity? {
        guard let user = UserID(sub), let device = DeviceID(device) else { return nil }
        return Identity(user: user, device: device)
    }

    /// Nothing: `Authenticator` looks at the times, with its own clock.
    package func verify(using algorithm: some JWTAlgorithm) throws {}
}

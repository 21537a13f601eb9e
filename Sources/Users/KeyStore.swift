import ChatModel
package import Crypto
import FoundationEssentials
package import Postgres
import ServiceKit

/// What tokens are made and checked with. The first of each is the one that new ones are made with.
package struct AccountKeys: Sendable {
    package struct Signing: Sendable {
        package var kid: String
        package var key: Curve25519.Signing.PrivateKey
    }

    package var access: [Signing]
    package var ticket: [SymmetricKey]
    package var refresh: [SymmetricKey]

    /// The public halves: RFC 7517 and 8037.
    package var jwks: String {
        let keys = access.map { signing in
            let x = Base64URL.encode(signing.key.publicKey.rawRepresentation)
            return #"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"\#(signing.kid)","x":"\#(x)"}"#
        }
        return #"{"keys":[\#(keys.joined(separator: ","))]}"#
    }
}

/// The keys in PostgreSQL, sealed (AES-256-GCM) with a key that is derived from the cluster's shared secret.
package struct KeyStore: Sendable {
    private enum Purpose: String, CaseIterable { case access, ticket, refresh }

    private let pool: PostgresPool
    private let seal: SymmetricKey

    package init(pool: PostgresPool, secret: String) {
        self.pool = pool
        seal = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: Array(secret.utf8)), info: Array("roost users keys v1".utf8),
            outputByteCount: 32)
    }

    /// The keys; those of which there are none are made. Several instances that begin at once agree.
    ///
    /// Keys that were sealed with another secret are passed over (and kept): what they signed is no longer good, so
    /// users log in again. `sealedOtherwise` tells how many.
    package func load(now: Int64) async throws -> (keys: AccountKeys, sealedOtherwise: Int) {
        try await pool.transaction { connection in
            // Until the transaction ends. The number is the lock's name.
            _ = try await connection.query("SELECT pg_advisory_xact_lock(727076, 1)")
            let rows = try await connection.query(
                "SELECT kid, purpose, sealed FROM users.keys ORDER BY created_at DESC, kid"
            ).rows
            var opened: [Purpose: [(kid: String, bytes: [UInt8])]] = [:]
            var closed = 0
            for row in rows {
                let kid = try row.text(0)
                guard let purpose = Purpose(rawValue: try row.text(1)),
                    let bytes = open(try row.bytes(2), kid: kid, purpose: purpose)
                else {
                    closed += 1
                    continue
                }
                opened[purpose, default: []].append((kid, bytes))
            }
            for purpose in Purpose.allCases where opened[purpose] == nil {
                let kid = "\(purpose.rawValue)-\(Base64URL.encode((0..<9).map { _ in UInt8.random(in: 0...255) }))"
                let bytes = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
                _ = try await connection.query(
                    "INSERT INTO users.keys (kid, purpose, sealed, created_at) VALUES ($1, $2, $3, $4)",
                    [
                        .text(kid), .text(purpose.rawValue),
                        .bytes(try close(bytes, kid: kid, purpose: purpose)), .timestamp(milliseconds: now),
                    ])
                opened[purpose] = [(kid, bytes)]
            }
            let keys = AccountKeys(
                access: try opened[.access, default: []].map {
                    AccountKeys.Signing(
                        kid: $0.kid, key: try Curve25519.Signing.PrivateKey(rawRepresentation: $0.bytes))
                },
                ticket: opened[.ticket, default: []].map { SymmetricKey(data: $0.bytes) },
                refresh: opened[.refresh, default: []].map { SymmetricKey(data: $0.bytes) })
            return (keys, closed)
        }
    }

    private func close(_ bytes: [UInt8], kid: String, purpose: Purpose) throws -> [UInt8] {
        let box = try AES.GCM.seal(bytes, using: seal, authenticating: Array("\(purpose.rawValue)/\(kid)".utf8))
        guard let combined = box.combined else { throw CryptoKitError.incorrectParameterSize }
        return [UInt8](combined)
    }

    private func open(_ sealed: [UInt8], kid: String, purpose: Purpose) -> [UInt8]? {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let bytes = try? AES.GCM.open(box, using: seal, authenticating: Array("\(purpose.rawValue)/\(kid)".utf8))
        else { return nil }
        return [UInt8](bytes)
    }
}

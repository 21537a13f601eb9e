import Crypto
import RPC

/// Proofs by HMAC-SHA256 with a key that all processes of the cluster share.
struct SharedKeyProver: HandshakeProver {
    private let key: SymmetricKey

    init(key: [UInt8]) {
        self.key = SymmetricKey(data: key)
    }

    func prove(_ bytes: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: bytes, using: key))
    }

    func verify(_ proof: [UInt8], of bytes: [UInt8]) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(proof, authenticating: bytes, using: key)
    }
}

extension RPCSecurity {
    /// Proves and checks the shared key; `nil` where TLS alone has to.
    var prover: (any HandshakeProver)? { sharedKey.map { SharedKeyProver(key: $0) } }
}

/// 32 bytes that nobody can guess, for one handshake.
func handshakeNonce() -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    return (0..<32).map { _ in UInt8.random(in: .min ... .max, using: &random) }
}

import NIOConcurrencyHelpers
import NIOSSL
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import Testing

@Suite(.timeLimit(.minutes(1))) struct TLSTests {
    /// Mutual TLS: both sides have the certificate, and believe in no other.
    private func security(withCertificate: Bool = true) throws -> RPCSecurity {
        let certificate = try NIOSSLCertificate(bytes: Array(testCertificate.utf8), format: .pem)
        let key = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(bytes: Array(testKey.utf8), format: .pem))
        var client = TLSConfiguration.makeClientConfiguration()
        client.trustRoots = .certificates([certificate])
        if withCertificate {
            client.certificateChain = [.certificate(certificate)]
            client.privateKey = key
        }
        var server = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: key)
        server.trustRoots = .certificates([certificate])
        server.certificateVerification = .noHostnameVerification
        return RPCSecurity(sharedKey: nil, clientTLS: client, serverTLS: server)
    }

    @Test func mutualTLSTakesThePlaceOfTheKey() async throws {
        let security = try security()
        try await withServer(Scripted(), configure: { $0.security = security }) { _, peer in
            try await withPool([peer], security: security) { pool in
                let answer = try await LastSeenStub(pool).get(viewer(9))
                #expect(answer.presences.count == 1)
                // Many records.
                let large = LastSeenGetRequest.with { $0.users = Array(repeating: 1, count: 1 << 17) }
                _ = try await LastSeenStub(pool).get(large)
            }
        }
    }

    @Test func aClientWithoutCertificateIsNotServed() async throws {
        let service = Scripted()
        let security = try security()
        let bare = try self.security(withCertificate: false)
        try await withServer(service, configure: { $0.security = security }) { _, peer in
            try await withPool([peer], security: bare, configure: { $0.peerWait = .seconds(1) }) { pool in
                let error = await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(9)) }
                #expect(error?.code == .unavailable)
            }
        }
        #expect(service.seen.withLockedValue { $0.gets } == 0)
    }
}

/// For 127.0.0.1, by itself; from 2024 to 2124. Made for these tests.
private let testCertificate = """
    -----BEGIN CERTIFICATE-----
    MIIBfjCCASOgAwIBAgIBATAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDApyb29zdC10
    ZXN0MCAXDTI0MDEwMTAwMDAwMFoYDzIxMjQwMTAxMDAwMDAwWjAVMRMwEQYDVQQD
    DApyb29zdC10ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE98ZWqLyhoRNC
    WRY9aS85l4PPJhwZqVLKRAA7RYv0ZU845qUgMu/fVlHtwS4d+sGlixDUIHHlj5/j
    2DCEcGTWdqNiMGAwDwYDVR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMB0G
    A1UdJQQWMBQGCCsGAQUFBwMBBggrBgEFBQcDAjAdBgNVHQ4EFgQUrEE2xyliJ2NP
    J6xZX6DPEF4U9JEwCgYIKoZIzj0EAwIDSQAwRgIhANjLZanHBhbMn1h3vCbsn0d6
    QoJxFuqujLwVmhjJ0RSkAiEAgztnbGzOxeJH3cQEGvdhKJ0XF7yE4g63wETdr11D
    tXE=
    -----END CERTIFICATE-----
    """

private let testKey = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMVgcqkDu9fisFIp+
    vqewF/nFdDZb0NhJ1LtQ0GUHYDmhRANCAAT3xlaovKGhE0JZFj1pLzmXg88mHBmp
    UspEADtFi/RlTzjmpSAy799WUe3BLh36waWLENQgceWPn+PYMIRwZNZ2
    -----END PRIVATE KEY-----
    """

import ChatModel
import Crypto
import FoundationEssentials
import JWTKit
import Logging
import NIOConcurrencyHelpers
import Testing

@testable import ServiceKit

private let logger = Logger(label: "authenticator") { _ in SwiftLogNoOpLogHandler() }

/// Keys that a test makes and turns over.
final class Issuer: AccessKeySource {
    struct State {
        var keys: [(kid: String, key: EdDSA.PrivateKey)] = []
        var reads = 0
        var isDown = false
    }

    let state = NIOLockedValueBox(State())
    private let now: Int64

    init(now: Int64) throws {
        self.now = now
        try addKey("k1")
    }

    func addKey(_ kid: String) throws {
        let key = try EdDSA.PrivateKey(curve: .ed25519)
        state.withLockedValue { $0.keys.append((kid, key)) }
    }

    func keys() async throws -> String {
        let (keys, isDown) = state.withLockedValue { state in
            state.reads += 1
            return (state.keys, state.isDown)
        }
        struct Down: Error {}
        if isDown { throw Down() }
        let members = keys.map { kid, key in
            #"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"\#(kid)","x":"\#(Self.x(key))"}"#
        }
        return #"{"keys":[\#(members.joined(separator: ","))]}"#
    }

    func followRevocations(_ revoked: @escaping @Sendable ([Revocation]) -> Void) async throws {
        try await untilCancelled()
    }

    func token(_ identity: Identity, kid: String = "k1", issued: Int64? = nil) async throws -> String {
        guard let key = state.withLockedValue({ $0.keys.first { $0.kid == kid }?.key }) else { return "" }
        let collection = JWTKeyCollection()
        await collection.add(eddsa: key, kid: JWKIdentifier(string: kid))
        return try await collection.sign(
            AccessToken(identity: identity, now: issued ?? now), kid: JWKIdentifier(string: kid))
    }

    private static func x(_ key: EdDSA.PrivateKey) -> String {
        key.publicKey.rawRepresentation.base64EncodedString().filter { $0 != "=" }
            .map { $0 == "+" ? "-" : $0 == "/" ? "_" : String($0) }.joined()
    }
}

@Suite struct AuthenticatorTests {
    private let start: Int64 = 1_800_000_000_000
    private let ann = Identity(user: UserID(rawValue: 1), device: DeviceID(rawValue: 11))

    @Test func aGoodTokenIsItsUsers() async throws {
        let issuer = try Issuer(now: start)
        let now = start
        let authenticator = Authenticator(adminToken: nil, source: issuer, now: { now }, logger: logger)
        let token = try await issuer.token(ann)
        #expect(try await authenticator.verify(accessToken: token) == ann)
        guard case .user(ann) = await authenticator.authenticate(header: "Bearer \(token)") else {
            Issue.record("not the user")
            return
        }
    }

    @Test func badOnesAreRefused() async throws {
        let issuer = try Issuer(now: start)
        let stranger = try Issuer(now: start)
        let clock = NIOLockedValueBox(start)
        let authenticator = Authenticator(
            adminToken: nil, source: issuer, now: { clock.withLockedValue { $0 } }, logger: logger)
        let good = try await issuer.token(ann)
        let parts = good.split(separator: ".")
        let none = Data(#"{"alg":"none","kid":"k1"}"#.utf8).base64EncodedString().filter { $0 != "=" }
        let forged = [
            try await stranger.token(ann), String(good.dropLast(4)) + "AAAA", "\(none).\(parts[1]).",
            "\(parts[0]).\(parts[1])", "", "..", String(repeating: "a", count: 100_000),
        ]
        for token in forged {
            let problem = await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: token) }
            #expect(problem?.code == .unauthorized)
        }
        clock.withLockedValue { $0 += 600_000 }
        let problem = await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: good) }
        #expect(problem?.detail.contains("expired") == true)
    }

    @Test func aNewKeyIsFetchedWhenATokenNeedsIt() async throws {
        let issuer = try Issuer(now: start)
        let now = start
        let authenticator = Authenticator(adminToken: nil, source: issuer, now: { now }, logger: logger)
        #expect(try await authenticator.verify(accessToken: try await issuer.token(ann)) == ann)
        #expect(issuer.state.withLockedValue { $0.reads } == 1)
        try issuer.addKey("k2")
        let token = try await issuer.token(ann, kid: "k2")
        // Asking is rate limited: just now the keys were read.
        await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: token) }
        #expect(issuer.state.withLockedValue { $0.reads } == 1)
        try await Task.sleep(for: .milliseconds(2100))
        #expect(try await authenticator.verify(accessToken: token) == ann)
        #expect(issuer.state.withLockedValue { $0.reads } == 2)
    }

    @Test func withoutKeysItIsUnavailableAndNotUnauthorized() async throws {
        let issuer = try Issuer(now: start)
        issuer.state.withLockedValue { $0.isDown = true }
        let now = start
        let authenticator = Authenticator(adminToken: nil, source: issuer, now: { now }, logger: logger)
        let token = try await issuer.token(ann)
        let problem = await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: token) }
        #expect(problem?.code == .unavailable)
    }

    @Test func aRevokedDeviceIsOutUntilItLogsInAgain() async throws {
        let issuer = try Issuer(now: start)
        let clock = start + 60_000
        let authenticator = Authenticator(adminToken: nil, source: issuer, now: { clock }, logger: logger)
        let token = try await issuer.token(ann)
        #expect(try await authenticator.verify(accessToken: token) == ann)
        authenticator.revoke([Revocation(device: ann.device, endedAt: start + 5)])
        await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: token) }
        let later = try await issuer.token(ann, issued: start + 6)
        #expect(try await authenticator.verify(accessToken: later) == ann)
        // An older end that is told again changes nothing.
        authenticator.revoke([Revocation(device: ann.device, endedAt: start + 1)])
        await #expect(throws: Problem.self) { try await authenticator.verify(accessToken: token) }
        #expect(try await authenticator.verify(accessToken: later) == ann)
        let other = Identity(user: ann.user, device: DeviceID(rawValue: 12))
        #expect(try await authenticator.verify(accessToken: try await issuer.token(other)) == other)
    }
}

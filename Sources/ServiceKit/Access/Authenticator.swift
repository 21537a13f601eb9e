package import ChatModel
import Crypto
import FoundationEssentials
import JWTKit
package import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle

/// The end of a device's session.
package struct Revocation: Sendable, Hashable {
    package var device: DeviceID
    /// Unix milliseconds: access tokens issued before are void, those of a later login are good.
    package var endedAt: Int64

    package init(device: DeviceID, endedAt: Int64) {
        self.device = device
        self.endedAt = endedAt
    }
}

/// Where the keys come from that access tokens are signed with, and which devices' sessions have ended.
package protocol AccessKeySource: Sendable {
    /// The present public keys: RFC 7517, JSON.
    func keys() async throws -> String
    /// Tells of devices whose tokens are no longer good, those of the last token lifetime first, until cancelled.
    /// It may return or throw when the source is lost; it is then called again.
    func followRevocations(_ revoked: @escaping @Sendable ([Revocation]) -> Void) async throws
}

/// Tells who a request comes from: checks access tokens against the keys of `users` and the devices that were logged out
/// since, and the operator's token in constant time.
package final class Authenticator: Sendable {
    private struct State {
        var source: (any AccessKeySource)?
        var keys = JWTKeyCollection()
        var kids: Set<String> = []
        /// Unix milliseconds: tokens of the device issued before are void.
        var revoked: [DeviceID: Int64] = [:]
        var lastRefresh: ContinuousClock.Instant?
        var isRefreshing = false
        var verified = VerifiedTokens()
        var problem: String? = "the keys of users have not been read yet"
    }

    /// How often an unknown key id may make us ask for the keys.
    private static let refreshInterval: Duration = .seconds(2)
    private static let refreshPeriod: Duration = .seconds(60)

    private let state: NIOLockedValueBox<State>
    /// How often the keys were asked for.
    private let refreshes = Broadcast<UInt64>(0)
    private let adminDigest: SHA256.Digest?
    private let now: @Sendable () -> Int64
    private let logger: Logger

    /// - Parameters:
    ///   - adminToken: nil or empty: no one is the operator.
    ///   - now: Unix milliseconds.
    package init(
        adminToken: String?, source: (any AccessKeySource)? = nil,
        now: @escaping @Sendable () -> Int64 = { UnixClock.now() }, logger: Logger
    ) {
        state = NIOLockedValueBox(State(source: source))
        adminDigest = adminToken.flatMap { $0.isEmpty ? nil : SHA256.hash(data: Array($0.utf8)) }
        self.now = now
        self.logger = logger
    }

    /// Replaces the source; before `run`. The users role gives its own.
    package func use(_ source: any AccessKeySource) {
        state.withLockedValue { $0.source = source }
    }

    /// Why no access token can be checked; nil when they can.
    package var problem: String? { state.withLockedValue { $0.problem } }

    /// Makes the tokens void that those devices were given before.
    package func revoke(_ revocations: [Revocation]) {
        state.withLockedValue { state in
            for revocation in revocations {
                state.revoked[revocation.device, default: .min] = max(
                    state.revoked[revocation.device] ?? .min, revocation.endedAt)
            }
        }
    }

    /// Who the value of an `Authorization` header stands for.
    package func authenticate(header: String) async -> RoostRequestContext.Authentication {
        let parts = header.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else {
            return .failed(.unauthorized("Only Authorization: Bearer is known here."))
        }
        let token = String(parts[1])
        if isAdmin(token) { return .admin }
        do {
            return .user(try await verify(accessToken: token))
        } catch {
            return .failed(error)
        }
    }

    /// Whether a token is the operator's. Its time tells nothing about it.
    package func isAdmin(_ token: String) -> Bool {
        guard let adminDigest else { return false }
        return SHA256.hash(data: Array(token.utf8)) == adminDigest
    }

    /// Who an access token stands for.
    ///
    /// - Throws: `unauthorized` for a bad, expired or revoked one, `unavailable` when the keys can't be had.
    package func verify(accessToken token: String) async throws(Problem) -> Identity {
        let claims: AccessToken
        if let known = state.withLockedValue({ $0.verified[token] }) {
            claims = known
        } else {
            guard token.utf8.count <= 4096, let kid = Self.keyID(of: token) else { throw Self.bad }
            if !state.withLockedValue({ $0.kids.contains(kid) }) {
                await refreshForUnknownKey()
                guard state.withLockedValue({ $0.kids.contains(kid) }) else {
                    if let problem { throw .unavailable("Access tokens can't be checked now: \(problem).") }
                    throw Self.bad
                }
            }
            let keys = state.withLockedValue { $0.keys }
            guard let verified = try? await keys.verify(token, as: AccessToken.self) else { throw Self.bad }
            claims = verified
            state.withLockedValue { $0.verified[token] = verified }
        }
        guard let identity = claims.identity else { throw Self.bad }
        let now = now()
        guard Double(now) < claims.exp * 1000 else { throw .unauthorized("The access token has expired.") }
        if let revokedAt = state.withLockedValue({ $0.revoked[identity.device] }), claims.iat * 1000 < Double(revokedAt)
        {
            throw .unauthorized("This device has been logged out.")
        }
        return identity
    }

    private static let bad = Problem.unauthorized("The access token is not valid.")

    /// Reads the keys at once and every minute, and follows the revocations, until cancelled.
    package func run() async {
        await withTaskGroup { group in
            group.addTask { await self.refreshPeriodically() }
            group.addTask { await self.followRevocations() }
        }
    }

    private func refreshPeriodically() async {
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            let ok = await refresh()
            pause =
                ok ? Self.refreshPeriod : min(pause >= Self.refreshPeriod ? .milliseconds(200) : pause * 2, .seconds(5))
            try? await Task.sleep(for: pause)
            dropOld()
        }
    }

    private func followRevocations() async {
        var pause = Duration.milliseconds(200)
        while !Task.isCancelled {
            let started = ContinuousClock.now
            do {
                if let source = state.withLockedValue({ $0.source }) {
                    try await source.followRevocations { self.revoke($0) }
                }
            } catch {
                logger.debug("Lost the revocations of users", metadata: [LogKey.error: "\(error)"])
            }
            if ContinuousClock.now - started > .seconds(10) { pause = .milliseconds(200) }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(5))
        }
    }

    /// Asks for the keys unless that was done just now; who comes while one asks waits for that answer.
    private func refreshForUnknownKey() async {
        enum Step {
            case ask, wait, nothing
        }
        let asked = refreshes.value
        let now = ContinuousClock.now
        let step: Step = state.withLockedValue { state in
            if state.isRefreshing { return .wait }
            let pause = state.problem == nil ? Self.refreshInterval : .milliseconds(100)
            if let last = state.lastRefresh, now - last < pause { return .nothing }
            return .ask
        }
        switch step {
        case .ask: await refresh()
        case .wait: _ = try? await refreshes.first { $0 > asked ? true : nil }
        case .nothing: break
        }
    }

    @discardableResult
    private func refresh() async -> Bool {
        state.withLockedValue { state in
            state.isRefreshing = true
            state.lastRefresh = .now
        }
        defer {
            state.withLockedValue { $0.isRefreshing = false }
            refreshes.update { $0 += 1 }
        }
        guard let source = state.withLockedValue({ $0.source }) else {
            state.withLockedValue { $0.problem = "there is no source of keys" }
            return false
        }
        do {
            let set = try JSONDecoder().decode(JWKS.self, from: Data(try await source.keys().utf8))
            let collection = JWTKeyCollection()
            try await collection.add(jwks: set)
            let kids = Set(set.keys.compactMap { $0.keyIdentifier?.string })
            state.withLockedValue { state in
                if state.kids != kids { state.verified.removeAll() }
                state.keys = collection
                state.kids = kids
                state.problem = kids.isEmpty ? "users has no keys" : nil
            }
            return !kids.isEmpty
        } catch {
            logger.debug("Could not read the keys of users", metadata: [LogKey.error: "\(error)"])
            state.withLockedValue { state in
                // Old keys stay good while users is away.
                state.problem = state.kids.isEmpty ? "the keys of users can't be read" : nil
            }
            return false
        }
    }

    /// Forgets revocations that no living token can be older than, and tokens that have expired.
    private func dropOld() {
        let horizon = now() - Int64(AccessToken.lifetime.milliseconds) - 60_000
        state.withLockedValue { state in
            state.revoked = state.revoked.filter { $0.value > horizon }
            state.verified.removeAll()
        }
    }

    /// The key id in a token's header, without trusting anything else in it. Only EdDSA is taken.
    private static func keyID(of token: String) -> String? {
        struct Header: Decodable {
            var alg: String
            var kid: String
        }
        guard let dot = token.utf8.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        var base64 = String(token[..<dot].map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        base64 += String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64),
            let header = try? JSONDecoder().decode(Header.self, from: data), header.alg == "EdDSA"
        else { return nil }
        return header.kid
    }
}

/// Tokens whose signature was found good, so that a client's next request costs a look-up and no curve arithmetic.
/// Bounded; when full it starts anew.
private struct VerifiedTokens: Sendable {
    private static let limit = 4096
    private var claims: [String: AccessToken] = [:]

    subscript(token: String) -> AccessToken? {
        get { claims[token] }
        set {
            if claims.count >= Self.limit { claims.removeAll(keepingCapacity: true) }
            claims[token] = newValue
        }
    }

    mutating func removeAll() { claims.removeAll(keepingCapacity: true) }
}

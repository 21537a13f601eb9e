package import ChatModel
package import Logging
import Postgres
import Protocol
package import ServiceKit

/// What a login answers: who, on which device, and the tokens.
package struct SignedIn: Sendable {
    package var account: Account
    package var device: Device
    package var accessToken: String
    package var refreshToken: String
    package var expiresIn: Duration
}

/// What the calls about accounts do. Errors are `Problem`s, or the store's and the hasher's own, which
/// `UsersRoutes` translates.
package struct AccountService: Sendable {
    package var store: AccountStore
    package var hasher: PasswordHasher
    package var limiter: RequestLimiter
    package var issuer: TokenIssuer
    package var revocations: RevocationFeed
    package var sockets: SocketCloser
    package var surroundings: Surroundings
    /// Unix milliseconds.
    package var now: @Sendable () -> Int64
    package var logger: Logger

    package init(
        store: AccountStore, hasher: PasswordHasher, limiter: RequestLimiter, issuer: TokenIssuer,
        revocations: RevocationFeed, sockets: SocketCloser, surroundings: Surroundings,
        now: @escaping @Sendable () -> Int64, logger: Logger
    ) {
        self.store = store
        self.hasher = hasher
        self.limiter = limiter
        self.issuer = issuer
        self.revocations = revocations
        self.sockets = sockets
        self.surroundings = surroundings
        self.now = now
        self.logger = logger
    }

    // MARK: Signing in

    package func register(_ registration: Registration, address: String) async throws -> SignedIn {
        try await limit([.init(.registration, address: address)])
        // Before the hash, which is what costs; the unique indexes have the last word.
        let taken = try await store.taken(username: registration.username, email: registration.email)
        try Self.refuseTaken(username: taken.username, email: taken.email)
        let password = try await hasher.hash(registration.password)
        let now = now()
        let family = Int64.random(in: .min ... .max)
        // An id is drawn from 2^63: two attempts are one more than anyone will need.
        for _ in 0..<3 {
            let account = Account(
                id: .random(), username: registration.username, email: registration.email,
                displayName: registration.displayName, createdAt: now)
            let device = Device(id: .random(), name: Self.unnamed, createdAt: now, lastUsedAt: now)
            do {
                try await store.create(account, password: password, device: device, family: family)
                return try await signedIn(
                    account, device, RefreshToken(device: device.id, family: family, generation: 1), at: now)
            } catch let error as PostgresError where error.sqlState == .uniqueViolation {
                try Self.refuseTaken(
                    username: error.constraint == "accounts_username", email: error.constraint == "accounts_email")
            }
        }
        throw Problem(code: .internal, detail: "No free id was found.")
    }

    private static let unnamed = "Unnamed device"

    private static func refuseTaken(username: Bool, email: Bool) throws(Problem) {
        var errors: [FieldError] = []
        if username { errors.append(FieldError(field: "username", message: "is taken")) }
        if email { errors.append(FieldError(field: "email", message: "belongs to another account")) }
        guard let first = errors.first else { return }
        throw Problem(code: .conflict, detail: "\(first.field) \(first.message).", errors: errors)
    }

    package func logIn(_ login: Login, address: String) async throws -> SignedIn {
        let attempts = [Self.failures(of: login.login, from: address), .init(.loginName, login.login)]
        try await limit([.init(.login, address: address)] + attempts)
        let found: (account: Account, password: String)?
        let isRight: Bool
        do {
            found = try await store.find(login: login.login)
            // As long for a name that nobody has.
            isRight = try await hasher.verify(login.password, against: found?.password)
        } catch {
            // Our own fault counts against nobody.
            await limiter.giveBack(attempts)
            throw error
        }
        guard isRight, let found else { throw Self.wrong }
        // Only failures count against the name.
        await limiter.giveBack(attempts)
        if hasher.isWeak(found.password), let stronger = try? await hasher.hash(login.password) {
            _ = try? await store.setPassword(found.account.id, from: found.password, to: stronger, now: now())
        }
        let family = Int64.random(in: .min ... .max)
        let now = now()
        let device: Device
        if let id = login.device {
            guard
                let resumed = try await store.resume(
                    id, of: found.account.id, name: login.deviceName, family: family, now: now)
            else { throw Problem.field("device", Login.unknownDevice) }
            device = resumed
        } else {
            device = Device(id: .random(), name: login.deviceName ?? Self.unnamed, createdAt: now, lastUsedAt: now)
            try await store.add(device, to: found.account.id, family: family)
        }
        // The password may have been changed while this one was hashed: that change ended all devices but this one.
        guard let present = try await store.find(found.account.id),
            try await isStill(login.password, was: found.password, now: present.password)
        else {
            try await end(.one(device.id), of: found.account.id)
            throw Self.wrong
        }
        if login.device == nil { await introduce(device, of: found.account.id) }
        return try await signedIn(
            found.account, device, RefreshToken(device: device.id, family: family, generation: 1), at: now)
    }

    /// Has a new device begin with the end of long conversations. Without that it gets all of them, which is only slow.
    private func introduce(_ device: Device, of user: UserID) async {
        var request = RelayAddDeviceRequest()
        request.user = user.rawValue
        request.device = device.id.rawValue
        do {
            try await surroundings.addDevice(request)
        } catch {
            logger.notice(
                "The relay doesn't know of a new device",
                metadata: [LogKey.device: "\(device.id)", LogKey.error: "\(error)"])
        }
    }

    private static let wrong = Problem.unauthorized("The name or the password is wrong.")

    /// A hash that was only made stronger meanwhile is still the same password's.
    private func isStill(_ password: String, was: String, now: String) async throws -> Bool {
        if was == now { return true }
        return try await hasher.verify(password, against: now)
    }

    package func refresh(_ refresh: Refresh) async throws -> SignedIn {
        let refused = Problem.unauthorized("The refresh token is not good: log in again.")
        guard let token = RefreshToken(refresh.token, keys: try issuer.keys().refresh) else { throw refused }
        // Another request with the same token may come between the look and the change: then look again.
        for _ in 0..<3 {
            // Before the look: a token must not seem newer than a logout that the look did not see.
            let now = now()
            guard let held = try await store.session(token.device) else { throw refused }
            switch Rotation.decide(token, session: held.session, now: now) {
            case .rotate:
                guard
                    try await store.rotate(token.device, family: token.family, generation: token.generation, now: now)
                else { continue }
                var next = token
                next.generation += 1
                return try await signedIn(held.account, held.device, next, at: now)
            case .repeat:
                var next = token
                next.generation = held.session.generation
                return try await signedIn(held.account, held.device, next, at: now)
            case .reuse:
                logger.notice(
                    "A used refresh token came back: the device's session ends",
                    metadata: [LogKey.user: "\(held.account.id)", LogKey.device: "\(token.device)"])
                try await end(.one(token.device), of: held.account.id)
                throw Problem.unauthorized(
                    "This refresh token was used before, so the device was logged out: log in again.")
            case .refuse:
                throw refused
            }
        }
        throw Problem.conflict("The token is being refreshed by others: try again.")
    }

    private func signedIn(
        _ account: Account, _ device: Device, _ token: RefreshToken, at now: Int64
    ) async throws -> SignedIn {
        SignedIn(
            account: account, device: device,
            accessToken: try await issuer.accessToken(for: Identity(user: account.id, device: device.id), now: now),
            refreshToken: try issuer.refreshToken(token), expiresIn: AccessToken.lifetime)
    }

    // MARK: Devices

    package func devices(of user: UserID, after: DeviceID?, limit: Int) async throws -> [Device] {
        try await store.devices(of: user, after: after, limit: limit)
    }

    package func logOut(_ device: DeviceID, of user: UserID) async throws {
        guard try await end(.one(device), of: user) > 0 else { throw Problem.notFound("There is no such device.") }
    }

    /// Ends sessions: in the store, for every service that checks tokens, and the sockets.
    @discardableResult
    private func end(_ selection: AccountStore.Selection, of user: UserID) async throws -> Int {
        let now = now()
        let ended = try await store.revoke(selection, of: user, now: now)
        await revocations.revoked(ended, at: now)
        await sockets.close(ended, of: user)
        return ended.count
    }

    // MARK: Accounts

    package func account(_ id: UserID) async throws -> Account {
        guard let account = try await store.accounts([id]).first else {
            throw Problem.notFound("There is no such user.")
        }
        return account
    }

    package func update(_ id: UserID, _ changes: AccountStore.Changes) async throws -> Account {
        guard let account = try await store.update(id, changes, now: now()) else {
            throw Problem.notFound("There is no such user.")
        }
        if changes.lastSeenVisibility != nil { await surroundings.privacyChanged(id) }
        return account
    }

    /// Changes a password, and ends the sessions of all other devices.
    package func changePassword(of identity: Identity, _ body: RequestFields, address: String) async throws {
        guard let found = try await store.find(identity.user) else { throw Problem.notFound("There is no such user.") }
        let change = try PasswordChange(body, account: found.account)
        let attempts = [Self.failures(of: found.account.username, from: address)]
        try await limit(attempts)
        guard try await hasher.verify(change.current, against: found.password) else {
            throw Problem(
                code: .forbidden, detail: "The current password is wrong.",
                errors: [FieldError(field: "current", message: "is wrong")])
        }
        await limiter.giveBack(attempts)
        let hash = try await hasher.hash(change.new)
        guard try await store.setPassword(identity.user, from: found.password, to: hash, now: now()) else {
            throw Problem.conflict("The password was changed by another request just now.")
        }
        try await end(.allBut(identity.device), of: identity.user)
    }

    // MARK: Blocks

    /// Blocks a user, or no longer: first where it is enforced, then where it is listed.
    package func block(_ peer: UserID, _ isBlocked: Bool, by user: UserID) async throws {
        guard peer != user else { throw Problem.field("user", "must be another user") }
        _ = try await account(peer)
        var request = RelayBlockRequest()
        request.user = user.rawValue
        request.peer = peer.rawValue
        request.blocked = isBlocked
        try await surroundings.block(request)
        if isBlocked {
            try await store.block(peer, by: user, now: now())
        } else {
            try await store.unblock(peer, by: user)
        }
        await surroundings.privacyChanged(user)
    }

    /// Failed logins of one name from one address.
    private static func failures(of login: String, from address: String) -> RequestLimiter.Key {
        let network = NetworkAddress(address)?.network ?? address
        return RequestLimiter.Key(.loginFailure, "\(network) \(login)")
    }

    private func limit(_ keys: [RequestLimiter.Key]) async throws(Problem) {
        try await limiter.check(keys, "Too many attempts: wait a little.")
    }
}

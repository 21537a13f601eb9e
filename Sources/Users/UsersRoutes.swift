import ChatModel
import HTTPTypes
package import Hummingbird
import Postgres
package import ServiceKit

/// The REST interface: `/user-service/v1`.
package struct UsersRoutes: Sendable {
    private let service: AccountService

    package init(service: AccountService) { self.service = service }

    package func add(to router: Router<RoostRequestContext>) {
        router.get("/user-service/.well-known/jwks.json", use: jwks)
        let group = router.group("/user-service/v1")
        group.post("users", use: register)
        group.post("sessions", use: logIn)
        group.post("sessions/refresh", use: refresh)
        group.get("devices", use: devices)
        group.delete("devices/:device", use: logOut)
        group.get("users/me", use: me)
        group.patch("users/me", use: update)
        group.post("users/me/password", use: changePassword)
        group.get("users", use: search)
        group.get("users/:user", use: user)
        group.get("blocks", use: blocks)
        group.put("blocks/:user") { try await block($1, true) }
        group.delete("blocks/:user") { try await block($1, false) }
        group.post("tickets", use: ticket)
    }

    // MARK: Bodies

    private struct PublicUser: Encodable, Sendable, ResponseEncodable {
        var id: String
        var username: String
        var displayName: String
        @Nullable var avatar: String?
        var about: String

        init(_ account: Account) {
            id = account.id.description
            username = account.username
            displayName = account.displayName
            _avatar = Nullable(wrappedValue: account.avatar)
            about = account.about
        }
    }

    private struct BlockedUser: Encodable, Sendable {
        var id: String
        var username: String
        var displayName: String
        @Nullable var avatar: String?
        var about: String
        var since: Timestamp

        init(_ block: AccountStore.Block) {
            id = block.account.id.description
            username = block.account.username
            displayName = block.account.displayName
            _avatar = Nullable(wrappedValue: block.account.avatar)
            about = block.account.about
            since = Timestamp(milliseconds: block.since)
        }
    }

    private struct OwnUser: Encodable, Sendable, ResponseEncodable {
        var id: String
        var username: String
        var email: String
        var displayName: String
        @Nullable var avatar: String?
        var about: String
        var lastSeenVisibility: String
        var readReceipts: Bool
        var createdAt: Timestamp

        init(_ account: Account) {
            id = account.id.description
            username = account.username
            email = account.email
            displayName = account.displayName
            _avatar = Nullable(wrappedValue: account.avatar)
            about = account.about
            lastSeenVisibility = account.lastSeenVisibility.name
            readReceipts = account.readReceipts
            createdAt = Timestamp(milliseconds: account.createdAt)
        }
    }

    private struct DeviceItem: Encodable, Sendable {
        var id: String
        var name: String
        var createdAt: Timestamp
        var lastUsedAt: Timestamp
        var current: Bool

        init(_ device: Device, current: Bool) {
            id = device.id.description
            name = device.name
            createdAt = Timestamp(milliseconds: device.createdAt)
            lastUsedAt = Timestamp(milliseconds: device.lastUsedAt)
            self.current = current
        }
    }

    private struct SignedInBody: Encodable, Sendable {
        var user: OwnUser
        var device: DeviceItem
        var accessToken: String
        var refreshToken: String
        var expiresIn: Int64

        init(_ signedIn: SignedIn) {
            user = OwnUser(signedIn.account)
            device = DeviceItem(signedIn.device, current: true)
            accessToken = signedIn.accessToken
            refreshToken = signedIn.refreshToken
            expiresIn = signedIn.expiresIn.components.seconds
        }
    }

    private struct TicketBody: Encodable, Sendable {
        var ticket: String
        var expiresIn: Int64
    }

    // MARK: Signing in

    @Sendable private func register(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        try await translated {
            let registration = try Registration(try await request.decodeJSON(RequestFields.self, context))
            return try secret(
                SignedInBody(try await service.register(registration, address: context.clientAddress)), .created)
        }
    }

    @Sendable private func logIn(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        try await translated {
            let login = try Login(try await request.decodeJSON(RequestFields.self, context))
            return try secret(SignedInBody(try await service.logIn(login, address: context.clientAddress)), .created)
        }
    }

    @Sendable private func refresh(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        try await translated {
            let refresh = try Refresh(try await request.decodeJSON(RequestFields.self, context))
            return try secret(SignedInBody(try await service.refresh(refresh)), .ok)
        }
    }

    @Sendable private func ticket(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        try await service.limiter.check([.init(.ticket, "\(identity.user)")], "Too many tickets: slow down.")
        let ticket = try service.issuer.ticket(for: identity, now: service.now())
        return try secret(TicketBody(ticket: ticket, expiresIn: Ticket.lifetime / 1000), .created)
    }

    @Sendable private func jwks(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "application/jwk-set+json", .cacheControl: "public, max-age=60"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: try service.issuer.keys().jwks)))
    }

    // MARK: Devices

    @Sendable private func devices(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let page = try Page(request)
        let after = try page.cursor.map { cursor throws(Problem) in
            guard let device = DeviceID(cursor) else { throw .field("cursor", "is not one of ours") }
            return device
        }
        return try await translated {
            let devices = try await service.devices(of: identity.user, after: after, limit: page.limit + 1)
            return try .json(
                PageResponse(
                    items: devices.prefix(page.limit).map { DeviceItem($0, current: $0.id == identity.device) },
                    next: devices.count > page.limit ? devices[page.limit - 1].id.description : nil))
        }
    }

    @Sendable private func logOut(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let device =
            context.parameters.get("device") == "current"
            ? identity.device : try context.identifier("device", as: DeviceID.self)
        return try await translated {
            try await service.logOut(device, of: identity.user)
            return Response(status: .noContent)
        }
    }

    // MARK: Accounts

    @Sendable private func me(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        return try await translated { try .json(OwnUser(try await service.account(identity.user))) }
    }

    @Sendable private func update(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        return try await translated {
            let changes = try AccountStore.Changes(try await request.decodeJSON(RequestFields.self, context))
            return try .json(OwnUser(try await service.update(identity.user, changes)))
        }
    }

    @Sendable private func changePassword(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        return try await translated {
            let body = try await request.decodeJSON(RequestFields.self, context)
            try await service.changePassword(of: identity, body, address: context.clientAddress)
            return Response(status: .noContent)
        }
    }

    @Sendable private func user(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        _ = try context.requireUser()
        let id = try context.identifier("user", as: UserID.self)
        return try await translated { try .json(PublicUser(try await service.account(id))) }
    }

    @Sendable private func search(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        _ = try context.requireUser()
        let page = try Page(request)
        guard let text = request.uri.queryParameters["query"] else { throw Problem.field("query", "is missing") }
        let query: String
        do {
            query = try TextRules.query(String(text))
        } catch {
            throw Problem.field("query", error.message)
        }
        let position = try page.cursor.map { cursor throws(Problem) in
            guard let position = AccountStore.SearchPosition(cursor: cursor) else {
                throw .field("cursor", "is not one of ours")
            }
            return position
        }
        return try await translated {
            let found = try await service.store.search(query, after: position, limit: page.limit + 1)
            return try .json(
                PageResponse(
                    items: found.prefix(page.limit).map { PublicUser($0.account) },
                    next: found.count > page.limit ? found[page.limit - 1].position.cursor : nil))
        }
    }

    // MARK: Blocks

    @Sendable private func blocks(_ request: Request, _ context: RoostRequestContext) async throws -> Response {
        let identity = try context.requireUser()
        let page = try Page(request)
        let after = try page.cursor.map { cursor throws(Problem) in
            guard let user = UserID(cursor) else { throw .field("cursor", "is not one of ours") }
            return user
        }
        return try await translated {
            let blocks = try await service.store.blocks(by: identity.user, after: after, limit: page.limit + 1)
            return try .json(
                PageResponse(
                    items: blocks.prefix(page.limit).map { BlockedUser($0) },
                    next: blocks.count > page.limit ? blocks[page.limit - 1].account.id.description : nil))
        }
    }

    private func block(_ context: RoostRequestContext, _ isBlocked: Bool) async throws -> Response {
        let identity = try context.requireUser()
        let peer = try context.identifier("user", as: UserID.self)
        return try await translated {
            try await service.block(peer, isBlocked, by: identity.user)
            return Response(status: .noContent)
        }
    }

    // MARK: Answers

    /// An answer with tokens: nobody may keep it.
    private func secret(_ body: some Encodable, _ status: HTTPResponse.Status) throws -> Response {
        var response = try Response.json(body, status: status)
        response.headers[.cacheControl] = "no-store"
        return response
    }

    /// Says in the contract's words what the store or the hasher could not do.
    private func translated(_ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let error as PostgresError {
            throw Problem(error)
        } catch is PasswordHasher.Busy {
            throw Problem.unavailable("Too many are logging in at once: try again in a moment.")
        }
    }
}

extension AccountStore.SearchPosition {
    /// Opaque to clients.
    var cursor: String { Base64URL.encode(Array("\(account) \(key)".utf8)) }

    init?(cursor: String) {
        guard cursor.utf8.count <= 1024, let bytes = Base64URL.decode(cursor),
            let text = String(validating: bytes, as: UTF8.self), let blank = text.firstIndex(of: " "),
            let account = UserID(text[..<blank]), !text.utf8.contains(0)
        else { return nil }
        self.init(key: String(text[text.index(after: blank)...]), account: account)
    }
}

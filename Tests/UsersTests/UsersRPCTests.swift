import ChatModel
import Foundation
import HTTPTypes
import NIOConcurrencyHelpers
import Postgres
import Protocol
import RPC
import Redis
import ServiceKit
import TestServers
import Testing
import Users

extension AccountsTests {
    @Suite struct UsersRPCTests {
        @Test func aTicketIsGoodOnce() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice")
                    func ticket() async throws -> String {
                        let answer = try await rest.call(
                            .post, "/user-service/v1/tickets", token: alice["access_token"])
                        #expect(answer.json["expires_in"] as? Int == 30)
                        return try #require(answer["ticket"])
                    }
                    func refusal(_ ticket: String) async throws -> RPCError.Code? {
                        do {
                            _ = try await accounts.redeem(ticket)
                            return nil
                        } catch let error as RPCError {
                            return error.code
                        }
                    }
                    // Many at once: one has it.
                    let shared = try await ticket()
                    let good = NIOLockedValueBox(0)
                    await withTaskGroup { group in
                        for _ in 0..<20 {
                            group.addTask {
                                if (try? await accounts.redeem(shared)) != nil { good.withLockedValue { $0 += 1 } }
                            }
                        }
                    }
                    #expect(good.withLockedValue { $0 } == 1)
                    #expect(try await refusal(shared) == .unauthorized)
                    #expect(try await refusal("") == .unauthorized)

                    let old = try await ticket()
                    accounts.pass(.seconds(31))
                    #expect(try await refusal(old) == .unauthorized)

                    let offline = try await ticket()
                    await accounts.redisServer.kill()
                    #expect(try await refusal(offline) == .unavailable)
                    try await accounts.redisServer.start()
                    // It has forgotten what was used: tickets from before are asked for again.
                    try await eventually("Redis is back") { try await refusal(offline) == .unauthorized }
                    #expect(try await refusal(shared) == .unauthorized)
                    #expect(try await refusal(try await ticket()) == nil)

                    let ended = try await ticket()
                    let current = "/user-service/v1/devices/current"
                    #expect(try await rest.call(.delete, current, token: alice["access_token"]).status == 204)
                    #expect(try await refusal(ended) == .unauthorized, "its device was logged out")
                }
            }
        }

        @Test func accessTokensProfilesAndKeys() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice", displayName: "Alice")
                    let id = UserID(alice["user", "id"] ?? "")
                    var request = UsersAuthenticateRequest()
                    request.accessToken = alice["access_token"] ?? ""
                    let who = try await accounts.rpc.authenticate(request, context: Accounts.call)
                    #expect(who.user == id?.rawValue)
                    request.accessToken = "x"
                    await #expect(throws: RPCError.self) {
                        try await accounts.rpc.authenticate(request, context: Accounts.call)
                    }
                    accounts.pass(.seconds(601))
                    request.accessToken = alice["access_token"] ?? ""
                    await #expect(throws: RPCError.self) {
                        try await accounts.rpc.authenticate(request, context: Accounts.call)
                    }

                    var profiles = UsersProfilesRequest()
                    profiles.ids = [id?.rawValue ?? 0, 1, 2]
                    let found = try await accounts.rpc.profiles(profiles, context: Accounts.call).profiles
                    #expect(found.map(\.username) == ["alice"] && found.first?.displayName == "Alice")
                }
            }
        }

        @Test func aBlockIsListedToldAndEnforced() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice")
                    let token = alice["access_token"]
                    let me = try #require(UserID(alice["user", "id"] ?? ""))
                    let base = "/user-service/v1/blocks"
                    var others: [UserID] = []
                    for name in ["bob", "carol", "dave"] {
                        let other = try await rest.register(name)
                        others.append(try #require(UserID(other["user", "id"] ?? "")))
                    }
                    for other in others + others {
                        #expect(try await rest.call(.put, "\(base)/\(other)", token: token).status == 204)
                    }
                    let told = accounts.relay.withLockedValue { $0 }
                    #expect(told.blocks.count == 6 && told.blocks.allSatisfy { $0.blocked && $0.user == me.rawValue })
                    #expect(told.blocks.prefix(3).map(\.peer) == others.map(\.rawValue))
                    #expect(told.privacy == Array(repeating: me, count: 6))

                    let first = try await rest.call(.get, "\(base)?limit=2", token: token)
                    let next = try #require(first["next"])
                    let second = try await rest.call(.get, "\(base)?limit=2&cursor=\(next)", token: token)
                    let items = first.items + second.items
                    #expect(first.items.count == 2 && second.json["next"] is NSNull)
                    #expect(items.compactMap { $0["id"] as? String } == others.sorted().map(\.description))
                    #expect(items.allSatisfy { ($0["since"] as? String)?.hasSuffix("Z") == true && $0["email"] == nil })

                    var request = UsersBlockingRequest()
                    request.user = others[0].rawValue
                    request.peers = [me.rawValue, others[1].rawValue, 1]
                    #expect(try await accounts.rpc.blocking(request, context: Accounts.call).peers == [me.rawValue])

                    for _ in 0..<2 {
                        #expect(try await rest.call(.delete, "\(base)/\(others[0])", token: token).status == 204)
                    }
                    #expect(accounts.relay.withLockedValue { $0.blocks.last?.blocked } == false)
                    #expect(try await accounts.rpc.blocking(request, context: Accounts.call).peers.isEmpty)
                    #expect(try await rest.call(.get, base, token: token).items.count == 2)

                    let oneself = try await rest.call(.put, "\(base)/\(me)", token: token)
                    #expect(oneself.status == 400 && oneself.code == "invalid" && oneself.fields == ["user"])
                    for unknown in ["1", "x"] {
                        for method in [HTTPRequest.Method.put, .delete] {
                            #expect(try await rest.call(method, "\(base)/\(unknown)", token: token).status == 404)
                        }
                    }
                    #expect(try await rest.call(.get, "\(base)?cursor=x", token: token).code == "invalid")
                    #expect(try await rest.call(.get, base).status == 401)

                    // What can't be enforced isn't listed.
                    accounts.relay.withLockedValue { $0.isAway = true }
                    #expect(try await rest.call(.put, "\(base)/\(others[0])", token: token).status == 503)
                    #expect(try await rest.call(.get, base, token: token).items.count == 2)
                }
            }
        }

        @Test func theRelayHearsOfNewDevices() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let first = try await rest.register("alice")
                    let second = try await rest.logIn("alice")
                    _ = try await rest.logIn("alice", device: second["device", "id"])
                    let told = accounts.relay.withLockedValue { $0.devices }
                    #expect(told.map { DeviceID(rawValue: $0.device).description } == [second["device", "id"]])
                    #expect(told.map { UserID(rawValue: $0.user).description } == [first["user", "id"]])
                    accounts.relay.withLockedValue { $0.isAway = true }
                    #expect(try await rest.logIn("alice").status == 201, "only slower")
                }
            }
        }

        @Test func instancesAgreeOnKeysAndTellEachOtherWhoWasLoggedOut() async throws {
            try await Accounts.withAccounts { accounts in
                // Four more at once, on the keys that are there.
                let sets = NIOLockedValueBox<Set<String>>([])
                try await withThrowingTaskGroup { group in
                    for _ in 0..<4 {
                        group.addTask {
                            let keys = try await KeyStore(pool: accounts.pool, secret: "secret").load(now: 0).keys
                            sets.withLockedValue { _ = $0.insert(keys.jwks) }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try sets.withLockedValue { $0 } == [accounts.service.issuer.keys().jwks])
                // With another secret they can't be opened: others are made.
                let jwks = try accounts.service.issuer.keys().jwks
                let others = try await KeyStore(pool: accounts.pool, secret: "other").load(now: 0)
                #expect(others.sealedOtherwise == 3 && others.keys.jwks != jwks)
                let again = try await KeyStore(pool: accounts.pool, secret: "secret").load(now: 0)
                #expect(again.sealedOtherwise == 3 && again.keys.jwks == jwks)

                let other = try await Accounts.instance(
                    postgres: accounts.postgres, redisServer: accounts.redisServer, pool: accounts.pool,
                    redis: accounts.redis, limits: false)
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice")
                    let pages = NIOLockedValueBox<[[DeviceID]]>([])
                    try await withThrowingTaskGroup { group in
                        group.addTask { await other.service.revocations.run() }
                        group.addTask {
                            try await other.service.revocations.follow { entries in
                                pages.withLockedValue { $0.append(entries.map(\.device)) }
                            }
                        }
                        try await eventually("the first page") { pages.withLockedValue { $0 } == [[]] }
                        let current = "/user-service/v1/devices/current"
                        #expect(try await rest.call(.delete, current, token: alice["access_token"]).status == 204)
                        try await eventually("the other instance knows") {
                            pages.withLockedValue { $0.last?.map(\.description) } == [alice["device", "id"]]
                        }
                        group.cancelAll()
                    }
                    // Who begins later reads it from PostgreSQL.
                    let late = try await Accounts.instance(
                        postgres: accounts.postgres, redisServer: accounts.redisServer, pool: accounts.pool,
                        redis: accounts.redis, limits: false)
                    try await late.service.revocations.refresh()
                    let device = try #require(DeviceID(alice["device", "id"] ?? ""))
                    #expect(late.service.revocations.isRevoked(device, issuedAt: 0))
                }
            }
        }

        @Test func socketsAreClosedWhenSessionsIsBack() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice")
                    accounts.sessionsAreAway.withLockedValue { $0 = true }
                    let current = "/user-service/v1/devices/current"
                    #expect(try await rest.call(.delete, current, token: alice["access_token"]).status == 204)
                    #expect(accounts.closed.withLockedValue { $0.isEmpty })
                    accounts.sessionsAreAway.withLockedValue { $0 = false }
                    try await eventually("closed") { !accounts.closed.withLockedValue { $0.isEmpty } }
                }
            }
        }

        @Test func aFullQueueOfPasswordsIsRefused() async throws {
            let hasher = try PasswordHasher(cost: .init(logN: 14), threads: 1, limit: 3)
            let busy = NIOLockedValueBox(0)
            await withTaskGroup { group in
                for _ in 0..<10 {
                    group.addTask {
                        do {
                            _ = try await hasher.hash("orange tractor 9")
                        } catch is PasswordHasher.Busy {
                            busy.withLockedValue { $0 += 1 }
                        } catch {}
                    }
                }
            }
            #expect((1...7).contains(busy.withLockedValue { $0 }))
            let stored = try await hasher.hash("orange tractor 9")
            #expect(try await hasher.verify("orange tractor 9", against: stored))
            #expect(try await !hasher.verify("orange tractor 8", against: stored))
            #expect(try await !hasher.verify("", against: nil))
            #expect(try await !hasher.verify("", against: "damaged"))
            await hasher.shutdown()
        }
    }
}

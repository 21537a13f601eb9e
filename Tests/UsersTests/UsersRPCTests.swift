import ChatModel
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
                    try await eventually("Redis is back") { try await refusal(offline) == nil }

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

import ChatModel
import Foundation
import HTTPTypes
import NIOConcurrencyHelpers
import Postgres
import Redis
import TestServers
import Testing
import Users

extension AccountsTests {
    @Suite struct UsersRESTTests {
        @Test func registeringAndLoggingIn() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let registered = try await rest.register("Alice", displayName: "Alice Smith")
                    #expect(registered.status == 201)
                    #expect(registered["user", "username"] == "alice")
                    #expect(registered["user", "display_name"] == "Alice Smith")
                    #expect(registered["user", "email"] == "Alice@example.org")
                    #expect(registered.json["expires_in"] as? Int == 600)
                    #expect(registered.headers[.cacheControl] == "no-store")
                    let user = try #require(registered["user", "id"])
                    let device = try #require(registered["device", "id"])

                    // Unique without regard to case; both fields at once.
                    let again = try await rest.register("ALICE")
                    #expect(again.status == 409 && again.code == "conflict" && again.fields == ["username", "email"])

                    for login in ["alice", "ALICE", "alice@example.org", "ALICE@EXAMPLE.ORG"] {
                        let answer = try await rest.logIn(login)
                        #expect(answer.status == 201 && answer["user", "id"] == user)
                        #expect(answer["device", "id"] != device)
                    }
                    let same = try await rest.logIn("alice", device: device)
                    #expect(same.status == 201 && same["device", "id"] == device)

                    let token = try #require(same["access_token"])
                    let me = try await rest.call(.get, "/user-service/v1/users/me", token: token)
                    #expect(me.status == 200 && me["id"] == user && me["last_seen_visibility"] == "everyone")
                    #expect(me.json["read_receipts"] as? Bool == true && me.json["avatar"] is NSNull)
                    let devices = try await rest.call(.get, "/user-service/v1/devices?limit=2", token: token)
                    #expect(devices.items.count == 2)
                    let next = try #require(devices["next"])
                    let rest2 = try await rest.call(.get, "/user-service/v1/devices?cursor=\(next)", token: token)
                    #expect(rest2.items.count == 3 && rest2.json["next"] is NSNull)
                    #expect((devices.items + rest2.items).count { $0["current"] as? Bool == true } == 1)

                    // The answer tells not whether there is such a user.
                    let wrong = try await rest.logIn("alice", password: "not the password")
                    let nobody = try await rest.logIn("nobody-here")
                    #expect(wrong.status == 401 && nobody.status == 401)
                    #expect(wrong["detail"] == nobody["detail"])

                    let jwks = try await rest.call(.get, "/user-service/.well-known/jwks.json")
                    let keys = jwks.json["keys"] as? [[String: Any]] ?? []
                    #expect(keys.count == 1 && keys.first?["crv"] as? String == "Ed25519" && keys.first?["d"] == nil)
                }
            }
        }

        @Test func everyFieldThatIsWrongIsNamed() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    func register(_ body: String) async throws -> Answer {
                        try await rest.call(.post, "/user-service/v1/users", body)
                    }
                    for (body, fields) in [
                        ("{}", ["username", "email", "password"]),
                        (
                            #"{"username": 1, "email": [], "password": {}, "display_name": true}"#,
                            ["username", "email", "password", "display_name"]
                        ),
                        (#"{"username": null, "email": null, "password": null}"#, ["username", "email", "password"]),
                        (
                            #"{"username": "a b", "email": "x", "password": "short"}"#,
                            ["username", "email", "password"]
                        ),
                        (#"{"username": "abc", "email": "a@b.c", "password": "password123"}"#, ["password"]),
                        (
                            #"{"username": "abc", "email": "a@b.c", "password": "orange tractor", "display_name": "a\u0000b"}"#,
                            ["display_name"]
                        ),
                        (
                            #"{"username": "a\u0000c", "email": "a\u0000@b.c", "password": "orange tractor"}"#,
                            ["email", "username"]
                        ),
                    ] {
                        let answer = try await register(body)
                        #expect(answer.status == 400 && answer.code == "invalid", "\(body)")
                        #expect(answer.fields == fields, "\(body)")
                    }
                    for body in [
                        "", "[]", "null", "nonsense", "{", #"{"username": "\#(String(repeating: "[", count: 100))"#,
                    ] {
                        #expect(try await register(body).code == "invalid", "\(body)")
                    }
                    for body in [#"{"login": 1, "password": 2, "device": 3, "device_name": 4}"#] {
                        let answer = try await rest.call(.post, "/user-service/v1/sessions", body)
                        #expect(answer.fields == ["login", "password", "device_name", "device"])
                    }
                    #expect(
                        try await rest.call(.post, "/user-service/v1/sessions", "{}").fields == ["login", "password"])
                    #expect(try await rest.logIn("a\\u0000b").code == "invalid")
                    #expect(
                        try await rest.call(.post, "/user-service/v1/sessions/refresh", "{}").fields == [
                            "refresh_token"
                        ])
                    #expect(try await rest.refresh("nonsense").status == 401)
                    for (method, path) in [
                        (HTTPRequest.Method.get, "devices"), (.delete, "devices/current"), (.get, "users/me"),
                        (.get, "users/1"),
                        (.get, "users?query=a"), (.post, "tickets"),
                    ] {
                        #expect(try await rest.call(method, "/user-service/v1/\(path)").status == 401)
                        #expect(try await rest.call(method, "/user-service/v1/\(path)", token: "a.b.c").status == 401)
                    }
                }
            }
        }

        @Test func refreshTokensRotateAndReuseEndsTheSession() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let first = try await rest.register("alice")
                    let second = try await rest.refresh(first["refresh_token"])
                    #expect(second.status == 200 && second["device", "id"] == first["device", "id"])
                    #expect(second["refresh_token"] != first["refresh_token"])
                    // The answer was lost: the same successor.
                    let repeated = try await rest.refresh(first["refresh_token"])
                    #expect(repeated.status == 200 && repeated["refresh_token"] == second["refresh_token"])
                    let third = try await rest.refresh(second["refresh_token"])
                    #expect(third.status == 200)

                    #expect(try await rest.refresh(first["refresh_token"]).status == 401)
                    #expect(try await rest.refresh(third["refresh_token"]).status == 401, "the session has ended")
                    let device = try #require(first["device", "id"])
                    try await eventually("its sockets are closed") {
                        accounts.closed.withLockedValue { $0.map(\.description) } == [device]
                    }
                    try await eventually("its access token is void") {
                        try await rest.call(.get, "/user-service/v1/users/me", token: third["access_token"]).status
                            == 401
                    }
                    // The same device logs in again: its new tokens are good, the old ones stay void.
                    let back = try await rest.logIn("alice", device: device)
                    #expect(back.status == 201 && back["device", "id"] == device)
                    #expect(
                        try await rest.call(.get, "/user-service/v1/users/me", token: back["access_token"]).status
                            == 200)
                    #expect(
                        try await rest.call(.get, "/user-service/v1/users/me", token: third["access_token"]).status
                            == 401)
                    #expect(try await rest.refresh(third["refresh_token"]).status == 401)
                    #expect(try await rest.refresh(back["refresh_token"]).status == 200)

                    // Long after the answer could have been lost.
                    let late = try await rest.logIn("alice")
                    #expect(try await rest.refresh(late["refresh_token"]).status == 200)
                    accounts.pass(.seconds(11))
                    #expect(try await rest.refresh(late["refresh_token"]).status == 401)
                    #expect(accounts.closed.withLockedValue { $0.last?.description } == late["device", "id"])
                }
            }
        }

        @Test func manyRefreshesAtOnceAgree() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let token = try await rest.register("alice")["refresh_token"]
                    let answers = NIOLockedValueBox<Set<String>>([])
                    try await withThrowingTaskGroup { group in
                        for _ in 0..<8 {
                            group.addTask {
                                let answer = try await accounts.service.refresh(Refresh(token: token ?? ""))
                                answers.withLockedValue { _ = $0.insert(answer.refreshToken) }
                            }
                        }
                        try await group.waitForAll()
                    }
                    #expect(answers.withLockedValue { $0.count } == 1)
                }
            }
        }

        @Test func aDeviceIsItsOwnersAlone() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let alice = try await rest.register("alice")
                    let bob = try await rest.register("bob")
                    let device = try #require(alice["device", "id"])
                    for id in [device, "1", "nonsense", "-1", "99999999999999999999"] {
                        let answer = try await rest.logIn("bob", device: id)
                        #expect(answer.status == 400 && answer.fields == ["device"], "\(id)")
                    }
                    let path = "/user-service/v1/devices/\(device)"
                    #expect(try await rest.call(.delete, path, token: bob["access_token"]).status == 404)
                    #expect(
                        try await rest.call(.delete, "/user-service/v1/devices/x", token: bob["access_token"]).status
                            == 404
                    )
                    #expect(try await rest.call(.delete, path, token: alice["access_token"]).status == 204)
                    #expect(accounts.closed.withLockedValue { $0.map(\.description) } == [device])
                    try await eventually("void") {
                        try await rest.call(.get, "/user-service/v1/users/me", token: alice["access_token"]).status
                            == 401
                    }
                    let current = "/user-service/v1/devices/current"
                    #expect(try await rest.call(.delete, current, token: bob["access_token"]).status == 204)
                }
            }
        }

        @Test func changingOnesAccount() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let token = try await rest.register("alice", displayName: "Alice Smith")["access_token"]
                    let me = "/user-service/v1/users/me"
                    let changed = try await rest.call(
                        .patch, me, token: token,
                        #"{"display_name": "Al Jones", "avatar": "https://x.org/a", "about": "hi\nthere", "last_seen_visibility": "nobody", "read_receipts": false}"#
                    )
                    #expect(changed.status == 200)
                    #expect(changed["display_name"] == "Al Jones" && changed["about"] == "hi\nthere")
                    #expect(changed["avatar"] == "https://x.org/a" && changed["last_seen_visibility"] == "nobody")
                    let part = try await rest.call(.patch, me, token: token, #"{"avatar": null}"#)
                    #expect(part.json["avatar"] is NSNull && part["display_name"] == "Al Jones")
                    #expect(part.json["read_receipts"] as? Bool == false)
                    let wrong = try await rest.call(
                        .patch, me, token: token,
                        #"{"display_name": null, "avatar": "javascript:x", "about": 5, "last_seen_visibility": "x", "read_receipts": "no"}"#
                    )
                    #expect(wrong.status == 400)
                    #expect(
                        Set(wrong.fields) == [
                            "display_name", "avatar", "about", "last_seen_visibility", "read_receipts",
                        ])

                    func found(_ text: String) async throws -> [String] {
                        let query = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                        return try await rest.call(.get, "/user-service/v1/users?query=\(query)", token: token).items
                            .compactMap { $0["username"] as? String }
                    }
                    #expect(try await found("ali") == ["alice"])
                    #expect(try await found("Jones") == ["alice"])
                    #expect(try await found("al jo") == ["alice"])
                    #expect(try await found("smith").isEmpty, "the old name is forgotten")
                }
            }
        }

        @Test func aNewPasswordEndsTheOtherSessions() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let one = try await rest.register("alice")
                    let two = try await rest.logIn("alice")
                    let path = "/user-service/v1/users/me/password"
                    func change(_ current: String, _ new: String) async throws -> Answer {
                        try await rest.call(
                            .post, path, token: two["access_token"], #"{"current": "\#(current)", "new": "\#(new)"}"#)
                    }
                    #expect(try await change("not it at all", "green tractor 10").fields == ["current"])
                    #expect(try await change(Rest.password, "alice").fields == ["new"])
                    #expect(try await change(Rest.password, "qwertyuiop").fields == ["new"])
                    #expect(try await change(Rest.password, "green tractor 10").status == 204)
                    #expect(accounts.closed.withLockedValue { $0.map(\.description) } == [one["device", "id"]])
                    #expect(try await rest.refresh(one["refresh_token"]).status == 401)
                    #expect(try await rest.refresh(two["refresh_token"]).status == 200)
                    #expect(try await rest.logIn("alice").status == 401)
                    #expect(try await rest.logIn("alice", password: "green tractor 10").status == 201)
                }
            }
        }

        @Test func searchPagesWithoutRepeats() async throws {
            try await Accounts.withAccounts { accounts in
                try await accounts.rest { rest in
                    let token = try await rest.register("zed")["access_token"]
                    for number in 1...25 {
                        try await rest.register("anna\(number)", displayName: "Anna Annason \(number)")
                    }
                    var seen: [String] = []
                    var cursor = ""
                    repeat {
                        let page = try await rest.call(
                            .get, "/user-service/v1/users?query=ANN&limit=10\(cursor)", token: token)
                        #expect(page.status == 200)
                        seen += page.items.compactMap { $0["username"] as? String }
                        cursor = page["next"].map { "&cursor=\($0)" } ?? ""
                    } while !cursor.isEmpty && seen.count < 100
                    #expect(seen.count == 25 && Set(seen).count == 25)
                    for bad in ["query=", "query=a&limit=0", "query=a&limit=101", "query=a&cursor=x", "", "query=%00"] {
                        #expect(
                            try await rest.call(.get, "/user-service/v1/users?\(bad)", token: token).code == "invalid",
                            "\(bad)")
                    }
                    #expect(try await rest.call(.get, "/user-service/v1/users?query=%25", token: token).items.isEmpty)
                    let id = try #require(
                        try await rest.call(.get, "/user-service/v1/users?query=anna7", token: token).items.first?["id"]
                            as? String)
                    let user = try await rest.call(.get, "/user-service/v1/users/\(id)", token: token)
                    #expect(user["username"] == "anna7" && user.json["email"] == nil)
                    #expect(try await rest.call(.get, "/user-service/v1/users/1", token: token).status == 404)
                    #expect(try await rest.call(.get, "/user-service/v1/users/x", token: token).status == 404)
                }
            }
        }

        @Test func attemptsAreLimited() async throws {
            try await Accounts.withAccounts(limits: true) { accounts in
                try await accounts.rest { rest in
                    try await rest.register("alice")
                    for _ in 0..<15 { #expect(try await rest.logIn("alice").status == 201, "good ones don't count") }
                    func failUntilLimited(_ name: String) async throws -> (answer: Answer, attempts: Int) {
                        for attempt in 0..<30 {
                            let answer = try await rest.logIn(name, password: "wrong")
                            if answer.status != 401 { return (answer, attempt) }
                        }
                        throw NeverHappened(description: "a limit")
                    }
                    // The bucket fills by one every ten seconds.
                    let (limited, attempts) = try await failUntilLimited("alice")
                    #expect((10...15).contains(attempts))
                    #expect(limited.status == 429 && limited.code == "rate_limited")
                    #expect(Int(limited.headers[.retryAfter] ?? "") ?? 0 >= 1)
                    #expect(try await rest.logIn("bob", password: "wrong").status == 401, "others are not concerned")

                    await accounts.redisServer.kill()
                    let alone = try await failUntilLimited("carol")
                    #expect(alone.answer.status == 429 && alone.attempts >= 10, "this process counts alone")
                }
            }
        }

        @Test func whatIsAwayIsSaid() async throws {
            try await Accounts.withAccounts(ownServer: true) { accounts in
                try await accounts.rest { rest in
                    let token = try await rest.register("alice")["access_token"]
                    await accounts.postgres.kill()
                    for (path, body) in [
                        ("users", #"{"username": "bob", "email": "b@b.org", "password": "orange tractor 9"}"#),
                        ("sessions", #"{"login": "alice", "password": "orange tractor 9"}"#),
                    ] {
                        let answer = try await rest.call(.post, "/user-service/v1/\(path)", body)
                        #expect(answer.status == 503 && answer.code == "unavailable")
                    }
                    #expect(try await rest.call(.get, "/user-service/v1/users/me", token: token).status == 503)
                    // A ticket needs nobody.
                    let ticket = try await rest.call(.post, "/user-service/v1/tickets", token: token)
                    #expect(ticket.status == 201)
                    #expect(try await accounts.redeem(ticket["ticket"] ?? "").rawValue > 0)
                    try await accounts.postgres.start()
                    try await eventually("PostgreSQL is back") { try await rest.logIn("alice").status == 201 }
                }
            }
        }
    }
}

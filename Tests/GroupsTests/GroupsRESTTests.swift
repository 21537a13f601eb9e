import Foundation
import HTTPTypes
import NIOConcurrencyHelpers
import Postgres
import Protocol
import Testing

extension DatabaseTests {
    @Suite struct GroupsRESTTests {
        @Test func aGroupIsMadeFoundChangedAndDeleted() async throws {
            try await Bench.run { bench in
                let made = try await bench.call(
                    1, .post, "groups",
                    [
                        "name": "  Book Club ", "about": "two\nlines", "visibility": "public",
                        "members": ["2", "1", "3", "2"],
                    ])
                #expect(made.status == 201, "\(made)")
                let id = try #require(made["id"])
                #expect(made["conversation"] == id && made["name"] == "Book Club" && made["about"] == "two\nlines")
                #expect(made["visibility"] == "public" && made["role"] == "owner")
                #expect(made.json["avatar"] is NSNull && made.json["member_count"] as? Int == 3)
                #expect(made["created_at"]?.hasSuffix("Z") == true)
                #expect(Set(made.json.keys).count == 9)
                #expect(
                    bench.relay.events(id) == [
                        "group Book Club", "joined 1 owner", "joined 2 member", "joined 3 member",
                    ])
                let request = try #require(bench.relay.requests.first)
                #expect(request.create && request.sender == 1 && request.group.public && !request.changeID.isEmpty)
                #expect(request.conversation & 1 == 1)

                for (user, role) in [(1, "owner"), (2, "member")] {
                    let seen = try await bench.call(UInt64(user), .get, "groups/\(id)")
                    #expect(seen.status == 200 && seen["role"] == role)
                }
                let stranger = try await bench.call(9, .get, "groups/\(id)")
                #expect(stranger.status == 200 && stranger.json["role"] is NSNull)
                #expect(stranger.json["member_count"] as? Int == 3)
                #expect(try await bench.call(2, .get, "groups").ids == [id])
                #expect(try await bench.call(9, .get, "groups").ids == [])
                for query in ["book", "BOOK%20%20cl", "club"] {
                    let found = try await bench.call(9, .get, "groups?query=\(query)")
                    #expect(found.ids == [id], "\(query)")
                    #expect(found.items.first?["role"] is NSNull)
                }
                #expect(try await bench.call(9, .get, "groups?query=ook").ids == [])

                let changed = try await bench.call(
                    1, .patch, "groups/\(id)",
                    ["name": "Readers", "about": NSNull(), "avatar": "media-1", "visibility": "private"])
                #expect(changed.status == 200 && changed["name"] == "Readers" && changed["about"] == "")
                #expect(changed["avatar"] == "media-1" && changed["visibility"] == "private")
                #expect(bench.relay.events(id).last == "group Readers")
                // What is so already is no event.
                #expect(try await bench.call(1, .patch, "groups/\(id)", ["name": "Readers"]).status == 200)
                #expect(bench.relay.requests.count == 2)
                #expect(try await bench.call(9, .get, "groups?query=readers").ids == [])
                #expect(try await bench.call(9, .get, "groups/\(id)").status == 404)
                let removed = try await bench.call(1, .patch, "groups/\(id)", ["avatar": NSNull()])
                #expect(removed.json["avatar"] is NSNull)

                #expect(try await bench.call(2, .delete, "groups/\(id)").code == "forbidden")
                #expect(try await bench.call(1, .delete, "groups/\(id)").status == 204)
                #expect(bench.relay.events(id).last == "group Readers deleted")
                #expect(try await bench.call(1, .delete, "groups/\(id)").code == "not_found")
                #expect(try await bench.call(1, .get, "groups/\(id)").code == "not_found")
                #expect(try await bench.call(2, .get, "groups").ids == [])
                let left = try await bench.pool.query("SELECT FROM groups.outbox")
                #expect(left.rows.isEmpty)
            }
        }

        @Test func badRequestsSayWhatIsWrong() async throws {
            try await Bench.run(limit: 4) { bench in
                func expect(_ body: String, _ fields: [String]) async throws {
                    let answer = try await bench.call(1, .post, "groups", text: Data(body.utf8))
                    #expect(
                        answer.status == 400 && answer.code == "invalid" && answer.fields == fields, "\(body) \(answer)"
                    )
                }
                try await expect("{}", ["name", "visibility"])
                try await expect(#"{"name": null, "visibility": null}"#, ["name", "visibility"])
                try await expect(#"{"name": "  ", "visibility": "secret"}"#, ["name", "visibility"])
                try await expect(
                    #"{"name": 1, "visibility": {}, "about": [], "members": "2"}"#,
                    ["name", "about", "visibility", "members"])
                try await expect(#"{"name": "a\u0000", "visibility": "public"}"#, ["name"])
                try await expect(
                    #"{"name": "\#(String(repeating: "x", count: 65))", "visibility": "public"}"#, ["name"])
                try await expect(
                    #"{"name": "a", "visibility": "public", "about": "\#(String(repeating: "x", count: 501))"}"#,
                    ["about"])
                try await expect(
                    #"{"name": "a", "visibility": "public", "members": ["2", "x", "-1"]}"#, ["members.1", "members.2"])
                try await expect(#"{"name": "a", "visibility": "public", "members": [2]}"#, ["members"])
                try await expect(
                    #"{"name": "a", "visibility": "public", "members": ["2", "3", "4", "5"]}"#, ["members"])
                try await expect(#"{"name": "a", "visibility": "public", "avatar": "javascript:x"}"#, ["avatar"])
                for body in ["", "[]", "null", "nonsense"] { try await expect(body, []) }

                let nobody = try await bench.call(
                    1, .post, "groups", ["name": "a", "visibility": "public", "members": ["2", "99999"]])
                #expect(nobody.code == "not_found" && nobody.fields == ["members.1"])
                bench.blocks.withLockedValue { _ = $0.insert([1, 3]) }
                let blocked = try await bench.call(
                    1, .post, "groups", ["name": "a", "visibility": "public", "members": ["2", "3"]])
                #expect(blocked.code == "forbidden" && blocked.fields == ["members.1"])
                #expect(blocked["detail"]?.contains("user3") == true)
                #expect(bench.relay.requests.isEmpty)

                let id = try await bench.make([1, 2])
                #expect(
                    try await bench.call(1, .patch, "groups/\(id)", ["name": NSNull(), "visibility": 1]).fields == [
                        "visibility", "name",
                    ])
                #expect(try await bench.role(2, id, "king").fields == ["role"])
                #expect(try await bench.call(1, .put, "groups/\(id)/members/2", [:]).fields == ["role"])
                #expect(
                    try await bench.call(1, .post, "groups/\(id)/invites", ["max_uses": 0, "expires_in_s": "x"]).fields
                        == ["expires_in_s", "max_uses"])
                for path in [
                    "groups?limit=0", "groups?cursor=x", "groups?cursor=1.2.3", "groups?query=",
                    "groups?query=a&cursor=x", "groups/\(id)/members?cursor=1.99999999999999999.1",
                    "groups/\(id)/bans?cursor=-1.2", "groups/\(id)/invites?cursor=1.*",
                ] {
                    #expect(try await bench.call(1, .get, path).code == "invalid", "\(path)")
                }
                for path in [
                    "groups/0", "groups/x", "groups/12345", "groups/12345/members", "invites/x", "invites/%00",
                ] {
                    #expect(try await bench.call(1, .get, path).code == "not_found", "\(path)")
                }
                #expect(try await bench.call(1, .put, "groups/\(id)/members/x", ["role": "member"]).code == "not_found")
                for (method, path) in [
                    (HTTPRequest.Method.get, "groups"), (.post, "groups"), (.get, "groups/\(id)"),
                    (.patch, "groups/\(id)"),
                    (.delete, "groups/\(id)"), (.post, "groups/\(id)/join"), (.get, "groups/\(id)/members"),
                    (.put, "groups/\(id)/members/2"), (.delete, "groups/\(id)/members/2"), (.get, "groups/\(id)/bans"),
                    (.put, "groups/\(id)/bans/2"), (.delete, "groups/\(id)/bans/2"), (.get, "groups/\(id)/invites"),
                    (.post, "groups/\(id)/invites"), (.delete, "groups/\(id)/invites/x"), (.get, "invites/x"),
                    (.post, "invites/x"),
                ] {
                    #expect(try await bench.call(nil, method, path).status == 401, "\(method) \(path)")
                }
            }
        }

        @Test func membersComeGoAndGetRoles() async throws {
            try await Bench.run { bench in
                let id = try await bench.make([1, 2, 3, 4])
                // A private group tells strangers nothing.
                for (method, path) in [
                    (HTTPRequest.Method.get, ""), (.post, "/join"), (.get, "/members"), (.delete, "/members/9"),
                    (.delete, "/members/2"), (.get, "/bans"), (.get, "/invites"), (.put, "/bans/2"), (.delete, ""),
                ] {
                    #expect(
                        try await bench.call(9, method, "groups/\(id)\(path)").code == "not_found", "\(method) \(path)")
                }
                #expect(try await bench.role(9, id, "member", by: 9).code == "not_found")
                // Members may look, and leave.
                #expect(try await bench.role(5, id, "member", by: 2).code == "forbidden")
                #expect(try await bench.role(3, id, "admin", by: 2).code == "forbidden")
                #expect(try await bench.role(2, id, "admin", by: 2).code == "forbidden")
                #expect(try await bench.role(2, id, "member", by: 2).status == 200)
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/3").code == "forbidden")
                #expect(try await bench.call(2, .patch, "groups/\(id)", ["name": "x"]).code == "forbidden")
                #expect(try await bench.call(2, .get, "groups/\(id)/invites").code == "forbidden")
                // An admin adds and removes members, no admins.
                #expect(try await bench.role(2, id, "admin").status == 200)
                #expect(try await bench.role(3, id, "admin").status == 200)
                let added = try await bench.role(5, id, "member", by: 2)
                #expect(added.status == 201 && added["role"] == "member")
                #expect((added.json["user"] as? [String: Any])?["username"] as? String == "user5")
                #expect(try await bench.role(5, id, "member", by: 2).status == 200)
                #expect(try await bench.role(6, id, "admin", by: 2).code == "forbidden")
                #expect(try await bench.role(5, id, "admin", by: 2).code == "forbidden")
                #expect(try await bench.role(99_999, id, "member", by: 2).code == "not_found")
                bench.blocks.withLockedValue { _ = $0.insert([2, 7]) }
                #expect(try await bench.role(7, id, "member", by: 2).code == "forbidden")
                #expect(try await bench.role(7, id, "member", by: 1).status == 201)
                #expect(try await bench.call(2, .patch, "groups/\(id)", ["name": "x"]).status == 200)
                #expect(try await bench.call(2, .patch, "groups/\(id)", ["visibility": "public"]).code == "forbidden")
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/3").code == "forbidden")
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/1").code == "forbidden")
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/4").status == 204)
                #expect(try await bench.call(2, .delete, "groups/\(id)/members/4").status == 204)
                #expect(try await bench.members(id) == ["1", "2", "3", "5", "7"])
                #expect(try await bench.members(id, limit: 2) == ["1", "2", "3", "5", "7"])
                #expect(try await bench.call(4, .get, "groups/\(id)").code == "not_found")
                // Stepping down; leaving; the last owner stays.
                #expect(try await bench.role(3, id, "member", by: 3).status == 200)
                #expect(try await bench.role(1, id, "admin").code == "conflict")
                #expect(try await bench.call(1, .delete, "groups/\(id)/members/1").code == "conflict")
                #expect(try await bench.role(5, id, "owner").status == 200)
                #expect(try await bench.role(1, id, "member").status == 200)
                #expect(try await bench.call(1, .delete, "groups/\(id)/members/1").status == 204)
                #expect(try await bench.call(5, .delete, "groups/\(id)/members/5").code == "conflict")
                #expect(try await bench.call(5, .get, "groups/\(id)").json["member_count"] as? Int == 4)
                #expect(
                    bench.relay.events(id).dropFirst(5) == [
                        "role 2 admin", "role 3 admin", "joined 5 member", "joined 7 member", "group x", "removed 4",
                        "role 3 member", "role 5 owner", "role 1 member", "left 1",
                    ])
            }
        }

        @Test func publicGroupsAreJoinedUnlessFullOrBanned() async throws {
            try await Bench.run(limit: 3) { bench in
                let id = try await bench.make(visibility: "public", [1])
                #expect(try await bench.call(9, .get, "groups/\(id)/members").code == "forbidden")
                #expect(try await bench.role(9, id, "member", by: 9).code == "forbidden")
                #expect(try await bench.call(9, .delete, "groups/\(id)/members/9").status == 204)
                let joined = try await bench.call(2, .post, "groups/\(id)/join")
                #expect(joined.status == 200 && joined["role"] == "member" && joined.json["member_count"] as? Int == 2)
                #expect(try await bench.call(2, .post, "groups/\(id)/join").status == 200)
                #expect(try await bench.call(3, .post, "groups/\(id)/join").status == 200)
                #expect(try await bench.call(4, .post, "groups/\(id)/join").code == "conflict")
                #expect(try await bench.role(4, id, "member").code == "conflict")

                #expect(try await bench.call(2, .put, "groups/\(id)/bans/3").code == "forbidden")
                #expect(try await bench.call(1, .put, "groups/\(id)/bans/1").code == "forbidden")
                #expect(try await bench.call(1, .put, "groups/\(id)/bans/99999").code == "not_found")
                for user in [3, 3, 5] {
                    #expect(try await bench.call(1, .put, "groups/\(id)/bans/\(user)").status == 204)
                }
                #expect(try await bench.call(3, .post, "groups/\(id)/join").code == "forbidden")
                #expect(try await bench.call(5, .post, "groups/\(id)/join").code == "forbidden")
                #expect(try await bench.role(3, id, "member").code == "conflict")
                let bans = try await bench.call(1, .get, "groups/\(id)/bans?limit=1")
                #expect((bans.items.first?["user"] as? [String: Any])?["id"] as? String == "5")
                #expect(bans.items.first?["banned_by"] as? String == "1")
                let next = try #require(bans["next"])
                #expect(try await bench.call(1, .get, "groups/\(id)/bans?cursor=\(next)").items.count == 1)
                for _ in 1...2 { #expect(try await bench.call(1, .delete, "groups/\(id)/bans/3").status == 204) }
                #expect(try await bench.call(3, .post, "groups/\(id)/join").status == 200)
                #expect(
                    bench.relay.events(id).dropFirst(2) == [
                        "joined 2 member", "joined 3 member", "banned 3", "joined 3 member",
                    ])
            }
        }

        @Test func invitesLetInUntilTheyEnd() async throws {
            try await Bench.run(limit: 5) { bench in
                let id = try await bench.make([1, 2])
                let made = try await bench.call(1, .post, "groups/\(id)/invites", ["max_uses": 2])
                #expect(made.status == 201)
                let code = try #require(made["code"])
                #expect(code.utf8.count == 22 && made["url"] == "https://chat.example/#/invite/\(code)")
                #expect(made["expires_at"]?.hasSuffix("Z") == true)
                #expect(try await bench.call(2, .post, "groups/\(id)/invites", [:]).code == "forbidden")
                #expect(try await bench.call(9, .post, "groups/\(id)/invites", [:]).code == "not_found")
                // What it leads to, before joining.
                let seen = try await bench.call(9, .get, "invites/\(code)")
                let group = seen.json["group"] as? [String: Any]
                #expect(seen.status == 200 && group?["id"] as? String == id && group?["role"] is NSNull)
                let joined = try await bench.call(9, .post, "invites/\(code)")
                #expect(joined.status == 200 && joined["id"] == id && joined["role"] == "member")
                // Again it is no use of it.
                #expect(try await bench.call(9, .post, "invites/\(code)").status == 200)
                #expect(try await bench.call(1, .get, "groups/\(id)/invites").items.first?["uses"] as? Int == 1)
                #expect(try await bench.call(8, .post, "invites/\(code)").status == 200)
                #expect(try await bench.call(7, .post, "invites/\(code)").code == "not_found")
                #expect(try await bench.call(7, .get, "invites/\(code)").code == "not_found")
                #expect(try await bench.call(1, .get, "groups/\(id)/invites").items.isEmpty)

                // Expiry; never; revoked; banned; full.
                let short = try #require(
                    try await bench.call(1, .post, "groups/\(id)/invites", ["expires_in_s": 10])["code"])
                bench.offset.withLockedValue { $0 = 11_000 }
                #expect(try await bench.call(7, .post, "invites/\(short)").code == "not_found")
                let forever = try await bench.call(1, .post, "groups/\(id)/invites", ["expires_in_s": NSNull()])
                #expect(forever.json["expires_at"] is NSNull && forever.json["max_uses"] is NSNull)
                let open = try #require(forever["code"])
                bench.offset.withLockedValue { $0 = 400 * 86_400_000 }
                #expect(try await bench.call(1, .put, "groups/\(id)/bans/8").status == 204)
                #expect(try await bench.call(8, .post, "invites/\(open)").code == "forbidden")
                #expect(try await bench.call(7, .post, "invites/\(open)").status == 200)
                #expect(try await bench.call(6, .post, "invites/\(open)").status == 200)
                #expect(try await bench.call(5, .post, "invites/\(open)").code == "conflict")
                for _ in 1...2 {
                    #expect(try await bench.call(1, .delete, "groups/\(id)/invites/\(open)").status == 204)
                }
                #expect(try await bench.call(5, .post, "invites/\(open)").code == "not_found")

                for _ in 1...3 { _ = try await bench.call(1, .post, "groups/\(id)/invites", [:]) }
                let page = try await bench.call(1, .get, "groups/\(id)/invites?limit=2")
                let next = try #require(page["next"])
                let rest = try await bench.call(1, .get, "groups/\(id)/invites?cursor=\(next)")
                #expect(Set((page.items + rest.items).compactMap { $0["code"] as? String }).count == 3)
            }
        }

        @Test func listsArePagedWithoutRepeats() async throws {
            try await Bench.run { bench in
                var made: [String] = []
                for index in 1...7 {
                    bench.offset.withLockedValue { $0 += 1000 }
                    made.append(try await bench.make(named: "Walk walkers \(index)", visibility: "public", [1]))
                }
                for (path, expected) in [("groups?", Array(made.reversed())), ("groups?query=walk&", made)] {
                    var found: [String] = []
                    var cursor = ""
                    repeat {
                        let page = try await bench.call(1, .get, "\(path)limit=3\(cursor)")
                        found += page.ids
                        cursor = page["next"].map { "&cursor=\($0)" } ?? ""
                    } while !cursor.isEmpty
                    #expect(found == expected, "\(path)")
                }
            }
        }
    }
}

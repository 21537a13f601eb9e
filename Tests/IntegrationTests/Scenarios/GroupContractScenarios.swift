import Client
import Foundation
import Testing

extension ClusterSuite {
    /// Groups as the contract has them: who is in, who may do what, and what the log says of it.
    @Suite struct GroupContractScenarios {
        /// An owner, a member, somebody who is not in it, and their group.
        struct Cast {
            var ada: Account
            var bob: Account
            var eve: Account
            var conversation: Conversation

            var id: String { conversation.id }
            var path: String { "\(Groups.path)/\(id)" }
        }

        private func cast(_ cluster: TestCluster, visibility: String = "private") async throws -> Cast {
            let (ada, bob) = try await People.two(cluster)
            let eve = try await People.register(cluster, "eve")
            let id = try await Groups.create(by: ada, members: [bob], visibility: visibility)
            return Cast(ada: ada, bob: bob, eve: eve, conversation: Conversation(place: .group, id: id))
        }

        @Test func aGroupIsMadeShownAndChanged() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let made = try await ada.call(
                "POST", Groups.path,
                [
                    "name": "Rowing club", "about": "At six.", "visibility": "private",
                    "members": [.string(bob.user)],
                ])
            #expect(made.status == 201)
            let id = try #require(made.json["id"].string)
            for (account, role) in [(ada, "owner"), (bob, "member")] {
                let group = try await account.json("GET", "\(Groups.path)/\(id)")
                #expect(group["conversation"].string == id)
                #expect(group["name"] == "Rowing club" && group["about"] == "At six.")
                #expect(group["visibility"] == "private" && group["avatar"].isNull)
                #expect(group["role"].string == role)
                #expect(group["member_count"] == 2)
                #expect(group["created_at"].string?.hasSuffix("Z") == true)
                let mine = try await account.json("GET", Groups.path)["items"].array ?? []
                #expect(mine.contains(group))
                let listed = try await Conversation(place: .group, id: id).listed(for: account)
                #expect(listed["kind"] == "group" && listed["group"]["name"] == "Rowing club")
                #expect(listed["group"]["role"].string == role)
            }
            let members = try await bob.json("GET", "\(Groups.path)/\(id)/members")["items"].array ?? []
            #expect(
                Dictionary(uniqueKeysWithValues: members.map { ($0["user"]["id"].string, $0["role"].string) })
                    == [ada.user: "owner", bob.user: "member"])

            let reader = try await ChatConnection.connect(bob)
            let changed = try await ada.json("PATCH", "\(Groups.path)/\(id)", ["name": "Regatta", "about": ""])
            #expect(changed["name"] == "Regatta" && changed["about"] == "")
            let event = try await reader.event(in: Conversation(place: .group, id: id)) {
                $0["kind"] == "group" && $0["group"]["name"] == "Regatta"
            }
            #expect(event["group"]["id"].string == id && event["group"]["visibility"] == "private")
            #expect(event["sender"].string == ada.user)
            try await reader.close()
            #expect(try await bob.call("PATCH", "\(Groups.path)/\(id)", ["name": "Mine"]).status == 403)
            #expect(try await ada.call("PATCH", "\(Groups.path)/\(id)", ["name": ""]).status == 400)
        }

        @Test func theFirstEventsSayWhatItIsAndWhoIsInIt() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let log = try await cast.conversation.log(for: cast.bob)
            try Promise.inOrder(log, from: 1)
            #expect(log.map { $0["kind"].string } == ["group", "member", "member"])
            #expect(log[0]["group"]["name"] == "Rowing club")
            #expect(Set(log[1...].map { $0["user"].string }) == [cast.ada.user, cast.bob.user])
            #expect(log[1...].allSatisfy { $0["change"] == "joined" })
            #expect(log.first { $0["user"].string == cast.ada.user }?["role"] == "owner")
        }

        @Test func strangersSeeNothingOfAPrivateGroup() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let eve = cast.eve
            _ = try await cast.conversation.post("for us", by: cast.ada)
            for (method, path, body) in [
                ("GET", cast.path, nil), ("GET", "\(cast.path)/members", nil), ("POST", "\(cast.path)/join", nil),
                ("PATCH", cast.path, ["name": "Mine"]), ("DELETE", cast.path, nil),
                ("POST", "\(cast.path)/invites", [:]),
                ("PUT", "\(cast.path)/members/\(eve.user)", ["role": "owner"]),
                ("GET", "\(cast.conversation.path)/messages", nil),
                ("PUT", "\(cast.conversation.path)/read", ["seq": 1]),
                (
                    "POST", "\(Place.group.prefix)/messages",
                    ["conversation": .string(cast.id), "client_id": "x", "body": ["text": "x"]]
                ),
            ] as [(String, String, JSONValue?)] {
                let status = try await eve.call(method, path, body).status
                #expect(status == 403 || status == 404, "\(method) \(path): \(status)")
            }
            let stranger = try await ChatConnection.connect(eve)
            #expect(try await stranger.message(conversation: cast.id, "x")["type"] == "error")
            #expect(stranger.events.isEmpty)
            try await stranger.close()
            let found = try await eve.json("GET", "\(Groups.path)?query=rowing&limit=100")["items"].array ?? []
            #expect(!found.contains { $0["id"].string == cast.id })
        }

        @Test func aPublicGroupIsFoundAndJoined() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, eve) = try await People.two(cluster)
            let name = "Chess \(UInt32.random(in: 0...UInt32.max))"
            let id = try await Groups.create(by: ada, visibility: "public", name: name)
            let conversation = Conversation(place: .group, id: id)
            _ = try await conversation.post("before", by: ada)
            let owner = try await ChatConnection.connect(ada)
            let query = name.replacingOccurrences(of: " ", with: "%20")
            let found = try await eve.json("GET", "\(Groups.path)?query=\(query)")["items"].array ?? []
            #expect(found.map { $0["id"].string } == [id])
            #expect(found.first?["role"].isNull == true)

            let newcomer = try await ChatConnection.connect(eve)
            let joined = try await eve.json("POST", "\(Groups.path)/\(id)/join")
            #expect(joined["role"] == "member" && joined["member_count"] == 2)
            let event = try await owner.event(in: conversation) { $0["user"].string == eve.user }
            #expect(event["kind"] == "member" && event["change"] == "joined" && event["role"] == "member")
            // Who joins starts at the join.
            _ = try await conversation.post("after", by: ada)
            let first = try #require(event["seq"].int)
            try await newcomer.waitForEvents(2, in: id)
            try Promise.inOrder(newcomer.events(in: id), from: first)
            #expect(Promise.texts(try await conversation.history(for: eve)) == ["after"])
            let listed = try await conversation.listed(for: eve)
            #expect(listed["unread"] == 1)
            // Again: nothing happens.
            _ = try await eve.json("POST", "\(Groups.path)/\(id)/join")
            #expect(try await conversation.listed(for: eve)["head"].int == first + 1)
            try await owner.close()
            try await newcomer.close()
        }

        @Test func invitesLetInAsOftenAndAsLongAsTheySay() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let carl = try await People.register(cluster, "carl")
            #expect(try await cast.bob.call("POST", "\(cast.path)/invites", [:]).status == 403)
            let invite = try await cast.ada.json("POST", "\(cast.path)/invites", ["max_uses": 1])
            let code = try #require(invite["code"].string)
            #expect(invite["url"].string?.contains(code) == true)
            #expect(invite["expires_at"].string?.hasSuffix("Z") == true)
            let group = try await cast.eve.json("POST", "/group-service/v1/invites/\(code)")
            #expect(group["id"].string == cast.id && group["role"] == "member")
            let usedUp = try await carl.call("POST", "/group-service/v1/invites/\(code)").status
            #expect(usedUp == 404 || usedUp == 403 || usedUp == 409)
            let short = try await cast.ada.json("POST", "\(cast.path)/invites", ["expires_in_s": 1])
            let shortCode = try #require(short["code"].string)
            try await eventually(within: .seconds(10)) {
                let status = try await carl.call("GET", "/group-service/v1/invites/\(shortCode)").status
                if status == 200 { throw NotYet("it has not expired") }
            }
            #expect(try await carl.call("POST", "/group-service/v1/invites/\(shortCode)").status == 404)
            #expect(try await carl.call("POST", "/group-service/v1/invites/nonsense").status == 404)
            #expect(try await carl.call("GET", cast.path).status >= 403)
        }

        @Test func whoIsRemovedGetsNothingAfterThat() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let removed = try await ChatConnection.connect(cast.bob, node: "chat-2")
            let stays = try await ChatConnection.connect(cast.ada, node: "chat-1")
            _ = try await stays.message(conversation: cast.id, "all of us")
            #expect(try await Groups.remove(cast.bob, from: cast.id, by: cast.ada).status == 204)
            let event = try await removed.event(in: cast.conversation) { $0["change"] == "removed" }
            #expect(event["user"].string == cast.bob.user && event["sender"].string == cast.ada.user)
            let last = try #require(event["seq"].int)
            for number in 1...5 { _ = try await stays.message(conversation: cast.id, "without Bob \(number)") }
            _ = try await stays.event(in: cast.conversation) { $0["seq"].int == last + 5 }
            // What comes to him elsewhere shows that his connection has caught up.
            let ack = try await stays.message(to: cast.bob.user, "are you there?")
            let direct = Conversation(place: .direct, id: try #require(ack["conversation"].string))
            _ = try await removed.event(in: direct) { _ in true }
            #expect(removed.events(in: cast.id).last?["seq"].int == last)
            #expect(try await removed.message(conversation: cast.id, "let me in")["code"] == "forbidden")
            let anew = try await ChatConnection.connect(cast.bob, node: "chat-3", cursors: [cast.id: 0])
            #expect(anew.events(in: cast.id).last?["seq"].int == last)
            // The past stays readable, up to then.
            #expect(Promise.texts(try await cast.conversation.history(for: cast.bob)) == ["all of us"])
            let listed = try await cast.bob.json("GET", "\(Place.group.prefix)/conversations")["items"].array ?? []
            #expect(listed.isEmpty)

            #expect(try await Groups.setRole("member", of: cast.bob, in: cast.id, by: cast.ada).status == 201)
            _ = try await stays.message(conversation: cast.id, "welcome back")
            _ = try await removed.event(in: cast.conversation) { $0["body"]["text"] == "welcome back" }
            #expect(!Promise.texts(removed.events(in: cast.id)).contains { $0.hasPrefix("without") })
            for connection in [removed, stays, anew] { try await connection.close() }
        }

        @Test func bannedUsersDoNotComeBack() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster, visibility: "public")
            let invite = try await cast.ada.json("POST", "\(cast.path)/invites", [:])
            let code = try #require(invite["code"].string)
            let reader = try await ChatConnection.connect(cast.bob)
            #expect(try await cast.ada.call("PUT", "\(cast.path)/bans/\(cast.bob.user)").status == 204)
            let event = try await reader.event(in: cast.conversation) { $0["change"] == "banned" }
            #expect(event["user"].string == cast.bob.user)
            #expect(try await cast.bob.call("POST", "\(cast.path)/join").status == 403)
            #expect(try await cast.bob.call("POST", "/group-service/v1/invites/\(code)").status == 403)
            let added = try await Groups.setRole("member", of: cast.bob, in: cast.id, by: cast.ada)
            #expect(added.status == 409 && added.json["code"] == "conflict")
            let bans = try await cast.ada.json("GET", "\(cast.path)/bans")["items"].array ?? []
            #expect(bans.map { $0["user"]["id"].string } == [cast.bob.user])
            // A ban of somebody who is not in it holds as well.
            #expect(try await cast.ada.call("PUT", "\(cast.path)/bans/\(cast.eve.user)").status == 204)
            #expect(try await cast.eve.call("POST", "\(cast.path)/join").status == 403)
            #expect(try await cast.ada.call("DELETE", "\(cast.path)/bans/\(cast.bob.user)").status == 204)
            #expect(try await cast.bob.call("POST", "\(cast.path)/join").status == 200)
            try await reader.close()
        }

        @Test func rolesDecideWhoMayDoWhat() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let (ada, bob, eve) = (cast.ada, cast.bob, cast.eve)
            let reader = try await ChatConnection.connect(bob)
            #expect(try await Groups.setRole("admin", of: bob, in: cast.id, by: bob).status == 403)
            #expect(try await Groups.setRole("member", of: eve, in: cast.id, by: bob).status == 403)
            #expect(try await Groups.setRole("admin", of: bob, in: cast.id, by: ada).status == 200)
            let event = try await reader.event(in: cast.conversation) { $0["change"] == "role" }
            #expect(event["user"].string == bob.user && event["role"] == "admin")
            // An admin adds, renames, invites, bans and removes members; not owners.
            #expect(try await Groups.setRole("member", of: eve, in: cast.id, by: bob).status == 201)
            #expect(try await bob.call("PATCH", cast.path, ["name": "By an admin"]).status == 200)
            #expect(try await bob.call("POST", "\(cast.path)/invites", [:]).status == 201)
            #expect(try await Groups.setRole("owner", of: bob, in: cast.id, by: bob).status == 403)
            #expect(try await Groups.remove(ada, from: cast.id, by: bob).status == 403)
            #expect(try await bob.call("PUT", "\(cast.path)/bans/\(ada.user)").status == 403)
            #expect(try await bob.call("DELETE", cast.path).status == 403)
            #expect(try await Groups.remove(eve, from: cast.id, by: bob).status == 204)
            // The last owner stays.
            let last = try await Groups.remove(ada, from: cast.id, by: ada)
            #expect(last.status == 409 && last.json["code"] == "conflict")
            #expect(try await Groups.setRole("member", of: ada, in: cast.id, by: ada).status == 409)
            #expect(try await Groups.setRole("owner", of: bob, in: cast.id, by: ada).status == 200)
            #expect(try await Groups.remove(ada, from: cast.id, by: ada).status == 204)
            let left = try await reader.event(in: cast.conversation) { $0["change"] == "left" }
            #expect(left["user"].string == ada.user)
            try Promise.inOrder(
                reader.events(in: cast.id), from: reader.events(in: cast.id).first?["seq"].int ?? 0)
            try await reader.close()
        }

        @Test func aDeletedGroupEndsForAll() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let reader = try await ChatConnection.connect(cast.bob)
            _ = try await cast.conversation.post("the last word", by: cast.ada)
            #expect(try await cast.ada.call("DELETE", cast.path).status == 204)
            let event = try await reader.event(in: cast.conversation) { $0["group"]["deleted"] == true }
            #expect(event["kind"] == "group")
            for account in [cast.ada, cast.bob] {
                #expect(try await account.call("GET", cast.path).status == 404)
                let sent = try await account.call(
                    "POST", "\(Place.group.prefix)/messages",
                    ["conversation": .string(cast.id), "client_id": "late", "body": ["text": "x"]])
                #expect(sent.status == 403 || sent.status == 404)
                #expect(Promise.texts(try await cast.conversation.history(for: account)) == ["the last word"])
            }
            try await reader.close()
        }

        @Test func changesStandInTheLogWhereTheyHappened() async throws {
            let cluster = try await TestCluster.shared()
            let cast = try await cast(cluster)
            let reader = try await ChatConnection.connect(cast.ada, node: "chat-3")
            // Traffic while somebody comes and goes: everybody reads one order.
            async let traffic: Void = {
                for number in 1...30 { try await cast.conversation.post("message \(number)", by: cast.bob) }
            }()
            for _ in 0..<5 {
                #expect(try await Groups.setRole("member", of: cast.eve, in: cast.id, by: cast.ada).status == 201)
                #expect(try await Groups.remove(cast.eve, from: cast.id, by: cast.ada).status == 204)
            }
            try await traffic
            let total = 3 + 30 + 10
            let head = try #require(try await cast.conversation.listed(for: cast.ada)["head"].int)
            #expect(head == total)
            _ = try await reader.event(in: cast.conversation) { $0["seq"].int == total }
            let log = try await cast.conversation.log(for: cast.bob)
            try Promise.inOrder(log, from: 1)
            let live = reader.events(in: cast.id)
            #expect(live.map { $0["id"] } == log.suffix(live.count).map { $0["id"] })
            let changes = try await cast.conversation.history(for: cast.bob, "?changes=true&limit=100")
            #expect(changes.count == total)
            try await reader.close()
        }
    }
}

import Client
import Foundation
import Testing

/// Calls about search.
enum Search {
    static func items(_ text: String, for account: Account, _ place: Place, _ more: String = "") async throws
        -> [JSONValue]
    {
        let query = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? text
        let answer = try await account.json("GET", "\(place.prefix)/search?q=\(query)\(more)")
        return try #require(answer["items"].array)
    }

    static func ids(_ text: String, for account: Account, _ place: Place, _ more: String = "") async throws -> [String]
    {
        try await items(text, for: account, place, more).compactMap { $0["id"].string }
    }

    /// Waits until a search finds these, in this order: the index follows the log.
    static func wait(
        _ text: String, for account: Account, _ place: Place, _ more: String = "", until expected: [String]
    ) async throws {
        try await eventually {
            let found = try await ids(text, for: account, place, more)
            if found != expected { throw NotYet("“\(text)” finds \(found), not \(expected)") }
        }
    }

    /// A word that no other test uses.
    static func word() -> String { "w" + UUID().uuidString.filter(\.isLetter).lowercased() + "x" }
}

extension ClusterSuite {
    /// Full text over what the caller may read.
    @Suite struct SearchScenarios {
        @Test(arguments: Place.allCases) func findsWhatIsThereNow(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let word = Search.word()
            let first = try #require(try await conversation.post("the boats of \(word) are late", by: ada)["id"].string)
            let second = try #require(try await conversation.post("\(word) rowing boats", by: bob)["id"].string)
            try await Search.wait(word, for: ada, place, until: [second, first])
            // Newest first, in inflected forms, phrases, alternatives and exclusions.
            #expect(try await Search.ids("\(word) boat", for: bob, place) == [second, first])
            #expect(try await Search.ids("\"rowing boats\" \(word)", for: bob, place) == [second])
            #expect(try await Search.ids("\(word) -late", for: bob, place) == [second])

            let hit = try #require(try await Search.items("\(word) late", for: bob, place).first)
            #expect(hit["body"]["text"].string == "the boats of \(word) are late")
            let parts = hit["fragment"].array ?? []
            #expect(parts.map { $0["text"].string ?? "" }.joined() == "the boats of \(word) are late")
            #expect(parts.filter { $0["match"] == true }.compactMap { $0["text"].string } == [word, "late"])

            let edited = Search.word()
            _ = try await ada.json("PATCH", conversation.path(of: first), ["body": ["text": .string(edited)]])
            // At once: nothing is found by a text that is no more.
            #expect(try await Search.ids(word, for: bob, place) == [second])
            try await Search.wait(edited, for: bob, place, until: [first])
        }

        @Test(arguments: Place.allCases) func filtersByConversationAuthorAndTime(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let eve = try await People.register(cluster, "eve")
            let (here, there) = try await (place.open(ada, bob), place.open(ada, eve))
            let word = Search.word()
            let first = try await here.post("\(word) one", by: ada)
            let second = try await here.post("\(word) two", by: bob)
            let third = try await there.post("\(word) three", by: eve)
            let ids = [third, second, first].compactMap { $0["id"].string }
            try await Search.wait(word, for: ada, place, until: ids)
            #expect(try await Search.ids(word, for: ada, place, "&conversation=\(here.id)") == Array(ids[1...]))
            #expect(try await Search.ids(word, for: ada, place, "&from=\(eve.user)") == [ids[0]])
            let time = try #require(second["sent_at"].string)
            #expect(try await Search.ids(word, for: ada, place, "&before=\(time)") == [ids[2]])
            #expect(try await Search.ids(word, for: ada, place, "&after=\(time)") == [ids[0]])
            // Page by page.
            var found: [String] = []
            var cursor = ""
            for _ in 0..<4 {
                let answer = try await ada.json("GET", "\(place.prefix)/search?q=\(word)&limit=1\(cursor)")
                found += answer["items"].array?.compactMap { $0["id"].string } ?? []
                guard let next = answer["next"].string else { break }
                cursor = "&cursor=\(next)"
            }
            #expect(found == ids)
        }

        @Test(arguments: Place.allCases) func findsOnlyWhatTheCallerMayRead(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let eve = try await People.register(cluster, "eve")
            let conversation = try await place.open(ada, bob)
            let word = Search.word()
            let message = try #require(try await conversation.post(word, by: ada)["id"].string)
            try await Search.wait(word, for: bob, place, until: [message])
            #expect(try await Search.ids(word, for: eve, place).isEmpty)
            let there = try await eve.call("GET", "\(place.prefix)/search?q=\(word)&conversation=\(conversation.id)")
            #expect(there.status >= 403 || there.json["items"].array?.isEmpty == true)
            // Nor through the other kind's prefix.
            let other: Place = place == .direct ? .group : .direct
            #expect(try await Search.ids(word, for: bob, other).isEmpty)
            #expect(try await bob.call("GET", "\(place.prefix)/search").status == 400)
            #expect(try await bob.call("GET", "\(place.prefix)/search?q=x&from=nobody").status == 400)
            #expect(try await bob.call("GET", "\(place.prefix)/search?q=x&before=yesterday").status == 400)
            #expect(try await cluster.rest.call("GET", "\(place.prefix)/search?q=x").status == 401)
        }

        @Test func membershipBoundsWhatIsFound() async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let late = try await People.register(cluster, "late")
            let group = try await Groups.create(by: ada, members: [bob])
            let conversation = Conversation(place: .group, id: group)
            let word = Search.word()
            let first = try #require(try await conversation.post("\(word) one", by: ada)["id"].string)
            #expect(try await Groups.remove(bob, from: group, by: ada).status == 204)
            #expect(try await Groups.setRole("member", of: late, in: group, by: ada).status == 201)
            let second = try #require(try await conversation.post("\(word) two", by: ada)["id"].string)
            try await Search.wait(word, for: ada, .group, until: [second, first])
            #expect(try await Search.ids(word, for: bob, .group) == [first])
            #expect(try await Search.ids(word, for: late, .group) == [second])
        }
    }
}

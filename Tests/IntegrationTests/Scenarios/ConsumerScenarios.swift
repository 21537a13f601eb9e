import Client
import Foundation
import LocalCluster
import NIOConcurrencyHelpers
import Testing

extension ClusterSuite {
    /// Consumers of the log, while they are killed.
    @Suite struct ConsumerScenarios {
        /// What a writer did to its messages: the text that each has now; nil: deleted.
        private typealias Texts = [String: String?]

        @Test func killedTwentyTimesSearchSaysWhatTheLogSays() async throws {
            let cluster = try await TestCluster.shared()
            try await cluster.waitUntilWhole()
            let (ada, bob) = try await People.two(cluster)
            let word = Search.word()
            let stop = NIOLockedValueBox(false)
            let direct = try await Place.direct.open(ada, bob)
            let group = try await Place.group.open(ada, bob)
            let texts = try await withThrowingTaskGroup(of: Texts.self) { tasks in
                for (account, conversation) in [(ada, direct), (bob, direct), (ada, group), (bob, group)] {
                    tasks.addTask {
                        try await Self.write(word, in: conversation, by: account) { stop.withLockedValue { $0 } }
                    }
                }
                // Both roles index: each dies ten times, at any point of its work.
                do {
                    for round in 0..<20 {
                        let name = round % 2 == 0 ? "messages" : "group-messages"
                        let spawns = cluster.local.spawns(of: name)
                        try cluster.signal(name, SIGKILL)
                        try await cluster.local.untilRestarted(name, after: spawns)
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...200)))  // any moment is as good
                    }
                } catch {
                    stop.withLockedValue { $0 = true }
                    throw error
                }
                stop.withLockedValue { $0 = true }
                return try await tasks.reduce(into: Texts()) { $0.merge($1) { first, _ in first } }
            }
            #expect(texts.count > 40, "only \(texts.count) messages were written meanwhile")

            for place in Place.allCases {
                let conversation = place == .direct ? direct : group
                let expected = texts.filter { $0.key.hasPrefix(conversation.id + "-") }.compactMapValues { $0 }
                #expect(!expected.isEmpty)
                // What was written last may not have been seen yet: then it is, soon.
                try await eventually(within: .seconds(60)) {
                    let found = try await Self.found(word, for: ada, place)
                    let missing = expected.keys.filter { found[$0] == nil }
                    let extra = found.keys.filter { expected[$0] == nil }
                    guard missing.isEmpty, extra.isEmpty else {
                        throw NotYet("missing \(missing.sorted()), too many \(extra.sorted())")
                    }
                    #expect(found == expected)
                }
                var history: [String: String] = [:]
                var before = ""
                while true {
                    let page = try await conversation.history(for: bob, "?limit=100\(before)")
                    for message in page {
                        if let id = message["id"].string, let text = message["body"]["text"].string, text.contains(word)
                        {
                            history[id] = text
                        }
                    }
                    guard let last = page.last?["seq"].int else { break }
                    before = "&before=\(last)"
                }
                #expect(history == expected)
            }
            try await cluster.waitUntilWhole()
        }

        /// Sends, edits and deletes until told to stop, each until it is acknowledged.
        private static func write(
            _ word: String, in conversation: Conversation, by account: Account, until stopped: @Sendable () -> Bool
        ) async throws -> Texts {
            let connection = try await ChatConnection.connect(account)
            let token = UUID().uuidString
            var texts: Texts = [:]
            var number = 0
            while !stopped() {
                number += 1
                let number = number
                let text = "\(word) number \(number)"
                let sent = try await insist {
                    try await connection.message(
                        conversation: conversation.id, text, clientID: "\(token)-\(number)")
                }
                let id = try #require(sent["id"].string)
                texts[id] = text
                if number % 3 == 1 {
                    let changed = "\(word) changed \(number)"
                    _ = try await insist {
                        try await connection.edit(id, in: conversation, changed, ref: "\(token)-e\(number)")
                    }
                    texts[id] = changed
                }
                if number % 4 == 2 {
                    _ = try await insist { try await connection.delete(id, in: conversation) }
                    texts[id] = String?.none
                }
            }
            try await connection.close()
            return texts
        }

        private static func insist(_ attempt: @Sendable () async throws -> JSONValue) async throws -> JSONValue {
            try await eventually(within: .seconds(60)) {
                let answer = try await attempt()
                if answer["type"] == "ack" { return answer }
                throw NotYet("\(answer)")
            }
        }

        /// All that a search finds, page by page: the text of each message.
        private static func found(
            _ word: String, for account: Account, _ place: Place
        ) async throws -> [String: String] {
            var found: [String: String] = [:]
            var cursor = ""
            while true {
                let page = try await account.json("GET", "\(place.prefix)/search?q=\(word)&limit=100\(cursor)")
                for item in page["items"].array ?? [] {
                    if let id = item["id"].string { found[id] = item["body"]["text"].string ?? "" }
                }
                guard let next = page["next"].string else { return found }
                cursor = "&cursor=\(next)"
            }
        }
    }
}

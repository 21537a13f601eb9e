import ChatModel
import LastSeen
import NIOConcurrencyHelpers
import Protocol
import RPC
import Testing

@Suite struct PresenceTests {
    private func user(_ id: UInt64) -> UserID { UserID(rawValue: id) }

    @Test func changesAreRead() {
        #expect(
            Presence.changes(in: Array("1:1:5 2:0:7 x 3:2:1 0:1:1 4:1".utf8)) == [
                Presence(user: user(1), online: true, lastSeen: 5), Presence(user: user(2), online: false, lastSeen: 7),
            ])
    }

    @Test func aBatchKeepsTheLastOfEach() {
        var batch = PresenceBatch()
        batch.add(Presence(user: user(1), online: true, lastSeen: 1))
        batch.add(Presence(user: user(2), online: true, lastSeen: 2))
        batch.add(Presence(user: user(1), online: false, lastSeen: 3))
        let taken = batch.take()
        #expect(taken.map(\.user) == [user(1), user(2)])
        #expect(taken.map(\.online) == [false, true])
        #expect(batch.isEmpty && batch.take().isEmpty)
    }

    @Test func whoSeesWhom() {
        #expect(PresencePrivacy.shows(user(1), to: user(2), visibility: .everyone))
        #expect(PresencePrivacy.shows(user(1), to: nil, visibility: .everyone))
        for visibility: UsersVisibility? in [.contacts, .nobody, .UNRECOGNIZED(9), nil] {
            #expect(!PresencePrivacy.shows(user(1), to: user(2), visibility: visibility))
            #expect(!PresencePrivacy.shows(user(1), to: nil, visibility: visibility))
            #expect(PresencePrivacy.shows(user(1), to: user(1), visibility: visibility))
        }
        let presence = Presence(user: user(1), online: false, lastSeen: 5)
        let hidden = PresencePrivacy.message(presence, to: user(2), visibility: .nobody, now: 9)
        #expect(hidden.hidden && !hidden.online && hidden.lastSeenMs == 0)
        let shown = PresencePrivacy.message(presence, to: user(2), visibility: .everyone, now: 9)
        #expect(!shown.hidden && shown.lastSeenMs == 5)
        let online = Presence(user: user(1), online: true, lastSeen: 5)
        #expect(PresencePrivacy.message(online, to: user(2), visibility: .everyone, now: 9).lastSeenMs == 9)
    }

    @Test func theFeedBatchesHidesAndDropsWhoIsSlow() async throws {
        let feed = PresenceFeed(queueLimit: 3, pageLimit: 2, interval: .milliseconds(1))
        let fast = feed.follow()
        let slow = feed.follow()
        try await withThrowingTaskGroup { group in
            group.addTask {
                await feed.run(
                    visibility: { users in
                        Dictionary(uniqueKeysWithValues: users.map { ($0, $0.rawValue == 2 ? .nobody : .everyone) })
                    }, now: { 9 })
            }
            var pages = fast.makeAsyncIterator()
            feed.add((1...3).map { Presence(user: user($0), online: true, lastSeen: 1) })
            let first = try await pages.next()
            #expect(first?.presences.map(\.user) == [1, 2])
            #expect(first?.presences.map(\.hidden) == [false, true])
            #expect(try await pages.next()?.presences.map(\.user) == [3])
            for round in 4...9 {
                feed.add([Presence(user: user(UInt64(round)), online: true, lastSeen: 1)])
                #expect(try await pages.next()?.presences.map(\.user) == [UInt64(round)])
            }
            #expect(feed.followerCount == 1)
            await #expect(throws: RPCError.self) { for try await _ in slow {} }
            feed.endAll(RPCError(.unavailable, "missed"))
            await #expect(throws: RPCError.self) { _ = try await pages.next() }
            #expect(feed.followerCount == 0)
            group.cancelAll()
        }
    }

    @Test func visibilitiesAreRememberedAndOutliveTheirSource() async throws {
        let calls = NIOLockedValueBox(0)
        let fails = NIOLockedValueBox(false)
        let cache = VisibilityCache(lifetime: .seconds(1)) { request in
            calls.withLockedValue { $0 += 1 }
            if fails.withLockedValue({ $0 }) { throw RPCError(.unavailable, "away") }
            var response = UsersProfilesResponse()
            response.profiles = request.ids.filter { $0 != 3 }.map { id in
                var profile = UsersProfile()
                profile.id = id
                profile.lastSeenVisibility = id == 2 ? .nobody : .everyone
                return profile
            }
            return response
        }
        let first = await cache.visibilities(of: [user(1), user(2), user(3)])
        #expect(first.found == [user(1): .everyone, user(2): .nobody] && first.isComplete)
        _ = await cache.visibilities(of: [user(1), user(2)])
        #expect(calls.withLockedValue { $0 } == 1)
        try await Task.sleep(for: .milliseconds(1_100))
        fails.withLockedValue { $0 = true }
        let late = await cache.visibilities(of: [user(2), user(4)])
        #expect(late.found == [user(2): .nobody] && !late.isComplete)
    }
}

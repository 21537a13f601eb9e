import ChatModel
import LastSeen
import NIOConcurrencyHelpers
import Protocol
import RPC
import Redis
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
        func shows(
            _ visibility: UsersVisibility?, to viewer: UInt64 = 2, contact: Bool? = nil, blocked: Bool? = false
        ) -> Bool {
            PresencePrivacy(visibility: visibility, isContact: contact, hasBlocked: blocked)
                .shows(user(1), to: user(viewer))
        }
        #expect(shows(.everyone) && !shows(.everyone, blocked: true) && !shows(.everyone, blocked: nil))
        #expect(shows(.contacts, contact: true) && !shows(.contacts, contact: true, blocked: true))
        #expect(!shows(.contacts, contact: false) && !shows(.contacts, contact: nil))
        for visibility: UsersVisibility? in [.nobody, .UNRECOGNIZED(9), nil] {
            #expect(!shows(visibility, contact: true))
            #expect(!PresencePrivacy.showsSomeone(visibility))
        }
        for visibility: UsersVisibility? in [.everyone, .contacts, .nobody, nil] {
            #expect(shows(visibility, to: 1, blocked: nil), "everyone sees themselves")
        }
        let presence = Presence(user: user(1), online: false, lastSeen: 5)
        let hidden = presence.message(isShown: false, now: 9)
        #expect(hidden.hidden && !hidden.online && hidden.lastSeenMs == 0)
        let shown = presence.message(isShown: true, now: 9)
        #expect(!shown.hidden && shown.lastSeenMs == 5)
        #expect(Presence(user: user(1), online: true, lastSeen: 5).message(isShown: true, now: 9).lastSeenMs == 9)
    }

    @Test func relationsAreAskedOnceAndOutliveTheirSource() async throws {
        let asked = NIOLockedValueBox<[[UserID]]>([])
        let fails = NIOLockedValueBox(false)
        let cache = RelationCache(lifetime: .milliseconds(300), limit: 4) { viewer, users in
            asked.withLockedValue { $0.append(users) }
            if fails.withLockedValue({ $0 }) { throw RPCError(.unavailable, "away") }
            return Set(users.filter { $0.rawValue.isMultiple(of: viewer.rawValue) })
        }
        #expect(await cache.relations(of: [], to: user(2)).isEmpty)
        #expect(await cache.relations(of: [user(3), user(4)], to: user(2)) == [user(3): false, user(4): true])
        _ = await cache.relations(of: [user(4), user(5)], to: user(2))
        #expect(asked.withLockedValue { $0 } == [[user(3), user(4)], [user(5)]])
        #expect(await cache.relations(of: [user(3)], to: user(3)) == [user(3): true], "each viewer has their own")

        fails.withLockedValue { $0 = true }
        cache.forget(user(3))
        #expect(await cache.relations(of: [user(3), user(4)], to: user(2)) == [user(4): true])
        try await Task.sleep(for: .milliseconds(350))
        #expect(await cache.relations(of: [user(4), user(6)], to: user(2)) == [user(4): true], "what was known holds")
        fails.withLockedValue { $0 = false }
        #expect(await cache.relations(of: [user(4), user(6)], to: user(2)) == [user(4): true, user(6): true])
    }

    @Test func theServiceAsksOnceForManyAndHearsOfChanges() async throws {
        try await withRedis { _, redis in
            let calls = NIOLockedValueBox<[String]>([])
            let blocked = NIOLockedValueBox(true)
            let feed = PresenceFeed(interval: .milliseconds(1))
            let service = PresenceService(
                store: PresenceStore(redis: redis, prefix: "test"), feed: feed,
                visibilities: VisibilityCache(lifetime: .seconds(60)) { request in
                    calls.withLockedValue { $0.append("profiles") }
                    var response = UsersProfilesResponse()
                    response.profiles = request.ids.map { id in
                        var profile = UsersProfile()
                        profile.id = id
                        profile.lastSeenVisibility = id.isMultiple(of: 2) ? .contacts : .everyone
                        return profile
                    }
                    return response
                },
                contacts: RelationCache(lifetime: .seconds(60)) { _, users in
                    calls.withLockedValue { $0.append("contacts \(users.count)") }
                    return Set(users.filter { $0.rawValue.isMultiple(of: 4) })
                },
                blocks: RelationCache(lifetime: .seconds(60)) { _, users in
                    calls.withLockedValue { $0.append("blocks \(users.count)") }
                    return blocked.withLockedValue { $0 } ? [UserID(rawValue: 3)] : []
                }, now: { 9 }, logger: quiet)
            try await withThrowingTaskGroup { group in
                group.addTask { await service.run(redis: redis) }
                let users = (1...500).map { UserID(rawValue: $0) }
                func hidden() async throws -> [UInt64] {
                    try await service.presences(of: users, for: user(1)).map(\.message).filter(\.hidden).map(\.user)
                }
                let expected = (2...500).filter { $0 % 4 == 2 || $0 == 3 }.map(UInt64.init)
                #expect(try await hidden() == expected)
                #expect(try await hidden() == expected)
                #expect(Set(calls.withLockedValue { $0 }) == ["profiles", "contacts 250", "blocks 499"])
                #expect(calls.withLockedValue { $0.count } == 3)

                blocked.withLockedValue { $0 = false }
                // Whoever followed before the service listened is ended when it does.
                try await eventually("the change is heard of") {
                    var pages = feed.follow().makeAsyncIterator()
                    guard try await redis.send("PUBLISH", "roost:v1:privacy", "3").int ?? 0 > 0 else { return false }
                    return (try? await pages.next())?.privacy == [3]
                }
                #expect(try await hidden() == expected.filter { $0 != 3 })
                group.cancelAll()
            }
        }
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

import TestServers
import Testing

@testable import ZooKeeper

@Suite(.serialized, SharedZooKeeper(), .timeLimit(.minutes(2))) struct ZooKeeperClientTests {
    @Test func operations() async throws {
        try await withClient(SharedZooKeeper.server) { client in
            let (path, created) = try await client.create("/ops", data: [1, 0, 2])
            #expect(path == "/ops" && created.czxid > 0 && created.ephemeralOwner == 0)
            #expect(try await client.get("/ops").data == [1, 0, 2])
            #expect(try await client.set("/ops", data: [], version: 0).version == 1)
            #expect(try await client.get("/ops").data.isEmpty)
            #expect(try await client.exists("/ops")?.czxid == created.czxid)
            #expect(try await client.exists("/none") == nil)
            let first = try await client.create("/ops/s-", mode: [.ephemeral, .sequential])
            let second = try await client.create("/ops/s-", mode: .sequential)
            #expect(first.path == "/ops/s-0000000000" && second.path == "/ops/s-0000000001")
            #expect(first.stat.ephemeralOwner == client.session?.id)
            #expect(try await client.children("/ops").sorted() == ["s-0000000000", "s-0000000001"])
            try await client.createAll("/ops/a/b/c")
            try await client.createAll("/ops/a/b/c")
            #expect(try await client.children("/ops/a/b") == ["c"])

            #expect(await code { () async throws(ZooKeeperError) in try await client.create("/ops") } == .nodeExists)
            #expect(await code { () async throws(ZooKeeperError) in try await client.create("/no/parent") } == .noNode)
            #expect(
                await code { () async throws(ZooKeeperError) in try await client.set("/ops", data: [], version: 0) }
                    == .badVersion)
            #expect(await code { () async throws(ZooKeeperError) in try await client.delete("/ops") } == .notEmpty)
            #expect(
                await code { () async throws(ZooKeeperError) in try await client.create("relative") } == .badArguments)
            #expect(
                await code { () async throws(ZooKeeperError) in try await client.create(first.path + "/x") }
                    == .noChildrenForEphemerals)
            do throws(ZooKeeperError) {
                try await client.delete("/none")
                Issue.record("deleted what isn't there")
            } catch {
                #expect(error == ZooKeeperError(code: .noNode, path: "/none", attempted: "delete"))
            }
        }
    }

    @Test func multiIsAllOrNothing() async throws {
        try await withClient(SharedZooKeeper.server) { client in
            let results = try await client.multi([
                .create("/multi", data: [1]), .create("/multi/s-", data: [], mode: .sequential),
                .set("/multi", data: [2], version: 0), .check("/multi", version: 1), .delete("/multi/s-0000000000"),
            ])
            #expect(results[0] == .created("/multi") && results[1] == .created("/multi/s-0000000000"))
            #expect(results[3] == .checked && results[4] == .deleted)
            do throws(ZooKeeperError) {
                try await client.multi([.set("/multi", data: [3]), .create("/multi/a/b", data: []), .delete("/multi")])
                Issue.record("carried out the impossible")
            } catch {
                #expect(error == ZooKeeperError(code: .noNode, path: "/multi/a/b", attempted: "multi"))
            }
            #expect(try await client.get("/multi").data == [2])
        }
    }

    @Test func onlyTheBearerWrites() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server, auth: .init(user: "roost", password: "a:b")) { client in
            try await client.create("/guarded", data: [1])
            try await client.set("/guarded", data: [2])
            try await withClient(server) { stranger in
                let data = try await stranger.get("/guarded").data
                #expect(data == [2])
                #expect(
                    await code { () async throws(ZooKeeperError) in try await stranger.set("/guarded", data: []) }
                        == .noAuth)
                #expect(
                    await code { () async throws(ZooKeeperError) in try await stranger.create("/guarded/x") } == .noAuth
                )
            }
        }
    }

    @Test func aWatchNeverMissesTheLastChange() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { client in
            var readings = client.watch(data: "/watched").makeAsyncIterator()
            #expect(try await readings.next() == .missing)
            let last: UInt8 = 200
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await withClient(server) { writer in
                        try await writer.create("/watched", data: [0])
                        for value in 1...last { try await writer.set("/watched", data: [value]) }
                    }
                }
                var seen: [UInt8] = []
                while seen.last != last, let reading = try await readings.next() {
                    if case .present(let data, _) = reading { seen.append(contentsOf: data) }
                }
                #expect(seen == seen.sorted() && seen.last == last)
                try await group.waitForAll()
            }
            try await client.delete("/watched")
            #expect(try await readings.next() == .missing)
        }
    }

    @Test func watchesSurviveARestartAndAnExpiredSession() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server, sessionTimeout: .seconds(4)) { client in
            try await client.createAll("/survivor")
            var readings = client.watch(children: "/survivor").makeAsyncIterator()
            guard case .present([], _) = try await readings.next() else { return #expect(Bool(false)) }
            let session = client.session
            await server.kill()
            try await eventually { client.state == .suspended }
            #expect(client.suspendedFor != nil)
            try await server.start()
            try await eventually { client.state == .connected }
            #expect(client.session == session)
            try await client.create("/survivor/a")
            guard case .present(["a"], _) = try await readings.next() else { return #expect(Bool(false)) }

            var states = client.states.makeAsyncIterator()
            #expect(await states.next() == .connected)
            try await expire(client, on: server)
            while await states.next() != .expired {}
            try await eventually { client.state == .connected }
            #expect(client.session != session)
            try await client.create("/survivor/b")
            guard case .present(["a", "b"], _) = try await readings.next() else { return #expect(Bool(false)) }
        }
    }

    @Test func aHungServerHangsNobody() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server, operationTimeout: .milliseconds(500)) { client in
            server.pause()
            let began = ContinuousClock.now
            #expect(await code { () async throws(ZooKeeperError) in _ = try await client.get("/") } == .timeout)
            try await eventually { client.state == .suspended }
            #expect(await code { () async throws(ZooKeeperError) in _ = try await client.get("/") } == .notConnected)
            #expect(ContinuousClock.now - began < .seconds(4))
            try await eventually { client.isPresumedExpired }
            server.resume()
            try await eventually { client.state == .connected }
            _ = try await client.get("/")
            // Closing is bounded, too.
            server.pause()
        }
        server.resume()
    }

    @Test func closingTakesTheEphemeralNodesAway() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { observer in
            let client = try await withClient(server, sessionTimeout: .seconds(30)) { client in
                try await client.create("/mine", mode: .ephemeral)
                return client
            }
            #expect(try await observer.exists("/mine") == nil)
            #expect(client.state == .closed)
            #expect(await code { () async throws(ZooKeeperError) in _ = try await client.get("/") } == .closed)
        }
    }

    @Test func cancellingACallerHarmsNoOther() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server, sessionTimeout: .seconds(10)) { client in
            server.pause()
            await withTaskGroup(of: ZooKeeperError.Code?.self) { group in
                group.addTask { await code { () async throws(ZooKeeperError) in _ = try await client.get("/") } }
                group.cancelAll()
                #expect(await group.next() == .cancelled)
            }
            server.resume()
            _ = try await client.get("/")
        }
    }

    @Test func manyCallersAtOnce() async throws {
        try await withClient(SharedZooKeeper.server) { client in
            try await client.createAll("/many")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        try await client.create("/many/\(caller)", data: [UInt8(caller)])
                        #expect(try await client.get("/many/\(caller)").data == [UInt8(caller)])
                        try await client.delete("/many/\(caller)")
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await client.children("/many").isEmpty)
        }
    }
}

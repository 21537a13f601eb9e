import Logging
import TestServers
import Testing

@testable import ZooKeeper

private let logger = Logger(label: "recipes") { _ in SwiftLogNoOpLogHandler() }

@Suite(.serialized, SharedZooKeeper(), .timeLimit(.minutes(2))) struct RecipeTests {
    private func names(_ view: GroupView) -> [String] { view.members.map(\.name) }

    @Test func aRegistrationComesBack() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { observer in
            try await withClient(server) { client in
                let registration = EphemeralRegistration(
                    client: client, path: "/reg/chat/one", data: [1], logger: logger)
                try await running({ try await registration.run() }) {
                    try await eventually { registration.epoch != nil }
                    let first = try await observer.get("/reg/chat/one")
                    #expect(first.data == [1] && first.stat.czxid == registration.epoch)

                    registration.update([2])
                    try await eventually { try await observer.get("/reg/chat/one").data == [2] }
                    #expect(registration.epoch == first.stat.czxid)

                    try await observer.delete("/reg/chat/one")
                    try await eventually { (registration.epoch ?? 0) > first.stat.czxid }
                    let second = try await observer.get("/reg/chat/one")
                    #expect(second.data == [2] && second.stat.czxid == registration.epoch)

                    try await expire(client, on: server)
                    try await eventually { (registration.epoch ?? 0) > second.stat.czxid }
                    let third = try await observer.get("/reg/chat/one")
                    #expect(third.data == [2] && third.stat.ephemeralOwner == client.session?.id)
                }
                #expect(try await observer.exists("/reg/chat/one") == nil)
                #expect(registration.epoch == nil)
            }
        }
    }

    @Test func theYoungerTakesANameOver() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { older in
            let first = EphemeralRegistration(client: older, path: "/over/a", data: [1], logger: logger)
            try await running({ try await first.run() }) {
                try await eventually { first.epoch != nil }
                try await withClient(server) { younger in
                    let second = EphemeralRegistration(client: younger, path: "/over/a", data: [2], logger: logger)
                    try await running({ try await second.run() }) {
                        try await eventually { second.epoch != nil && first.epoch == nil }
                        #expect(try await older.get("/over/a").data == [2])
                    }
                }
                // The name is free again.
                try await eventually { first.epoch != nil }
                #expect(try await older.get("/over/a").data == [1])
            }
        }
    }

    @Test func aViewFollowsItsGroup() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { client in
            let view = GroupView(client: client, path: "/view", logger: logger)
            try await running({ try await view.run() }) {
                try await eventually { !view.current.stale }
                #expect(view.members.isEmpty)
                try await client.createAll("/view")
                for name in ["b", "a", "c"] { try await client.create("/view/\(name)", data: [1]) }
                try await eventually { names(view) == ["a", "b", "c"] }
                let version = view.current.version
                for value in 1...100 as ClosedRange<UInt8> { try await client.set("/view/b", data: [value]) }
                try await eventually { view.members[1].data == [100] }
                #expect(view.current.version > version)
                // Deleted and created anew faster than anyone looks: another epoch.
                for value in 1...20 as ClosedRange<UInt8> {
                    let epoch = view.members[0].czxid
                    try await client.delete("/view/a")
                    try await client.create("/view/a", data: [value])
                    try await eventually { view.members[0].czxid > epoch && view.members[0].data == [value] }
                }
                try await client.delete("/view/c")
                try await eventually { names(view) == ["a", "b"] }
                var changes = view.changes.makeAsyncIterator()
                #expect(await changes.next() == view.current)
            }
        }
    }

    @Test func aViewIsStaleWhileSuspendedAndHeals() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server, sessionTimeout: .seconds(4)) { client in
            let view = GroupView(client: client, path: "/stale", logger: logger)
            let registration = EphemeralRegistration(client: client, path: "/stale/a", data: [1], logger: logger)
            try await running({ try await view.run() }) {
                try await running({ try await registration.run() }) {
                    try await eventually { names(view) == ["a"] && !view.current.stale }
                    let epoch = registration.epoch
                    await server.kill()
                    try await eventually { view.current.stale }
                    #expect(names(view) == ["a"])
                    #expect(registration.epoch == epoch)
                    try await server.start()
                    try await eventually { !view.current.stale }
                    #expect(names(view) == ["a"] && registration.epoch == epoch)
                }
            }
        }
    }

    @Test func allRecoversWhenZooKeeperComesBackEmpty() async throws {
        let server = try SharedZooKeeper.server
        try await withClient(server) { client in
            // A server with a longer history than the new one will have: it refuses clients from its future.
            try await client.createAll("/empty/b")
            for value in 0..<50 as Range<UInt8> { try await client.set("/empty/b", data: [value]) }
            let view = GroupView(client: client, path: "/empty/nodes", logger: logger)
            let registration = EphemeralRegistration(client: client, path: "/empty/nodes/a", data: [1], logger: logger)
            try await running({ try await view.run() }) {
                try await running({ try await registration.run() }) {
                    try await eventually { names(view) == ["a"] && !view.current.stale }
                    try await running({
                        for await snapshot in view.changes { #expect(snapshot.members.map(\.name) == ["a"]) }
                    }) {
                        try await server.restartEmpty()
                        try await eventually("the registration is back") {
                            client.state == .connected && registration.epoch != nil
                                && view.members.first?.czxid == registration.epoch && !view.current.stale
                        }
                    }
                }
            }
        }
    }
}

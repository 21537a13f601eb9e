import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import Testing

@Suite(.timeLimit(.minutes(1))) struct FailureTests {
    @Test func withoutPeersACallWaitsAWhileForOne() async throws {
        try await withPool([], configure: { $0.peerWait = .milliseconds(300) }) { pool in
            let error = await failure { () throws(RPCError) in
                try await LastSeenStub(pool).get(viewer(9), options: CallOptions(timeout: .milliseconds(100)))
            }
            #expect(error == RPCError(.deadlineExceeded, "no last-seen is registered"))
            let patient = await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(9)) }
            #expect(patient == RPCError(.unavailable, "no last-seen is registered"))
        }
        try await withServer(Scripted()) { _, peer in
            try await withPool([]) { pool in
                async let answer = LastSeenStub(pool).get(viewer(9))
                pool.update([peer])
                let count = try await answer.presences.count
                #expect(count == 1)
            }
        }
    }

    @Test func aWaitingCallCanBeCancelled() async throws {
        try await withPool([]) { pool in
            let ended = NIOLockedValueBox<RPCError?>(nil)
            let control = LastSeenStub(pool).follow(
                .init(), on: group.next(), onMessage: { _ in }, onEnd: { error in ended.withLockedValue { $0 = error } }
            )
            control.cancel()
            await eventually("it ends") { ended.withLockedValue { $0?.code } == .cancelled }
        }
    }

    @Test func theWrongKeyServesNothing() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            for security in [RPCSecurity.sharedKey("another"), RPCSecurity(sharedKey: nil)] {
                try await withPool([peer], security: security, configure: { $0.peerWait = .seconds(3) }) { pool in
                    let error = await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(9)) }
                    #expect(error?.code == .unavailable)
                    #expect(error?.message.contains("key") == true)
                }
            }
        }
        #expect(service.seen.withLockedValue { $0.gets } == 0)
    }

    @Test func anotherProcessAtThePeersAddressIsNotCalled() async throws {
        try await withServer(Scripted(), id: "one") { _, peer in
            var other = peer
            other.id = "two"
            try await withPool([other], configure: { $0.peerWait = .seconds(3) }) { pool in
                let error = await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(9)) }
                #expect(error?.message.contains("server is last-seen/one, not two") == true)
            }
        }
    }

    @Test func aPeerThatHangsIsFound() async throws {
        // A server that accepts and shakes hands is hard to stop within one process: this one is a real one behind a
        // proxy that stops passing bytes on.
        try await withServer(Scripted()) { _, peer in
            let proxy = try await Proxy.start(to: peer.address)
            defer { proxy.stop() }
            var hung = peer
            hung.address = proxy.address
            try await withPool(
                [hung],
                configure: {
                    $0.connection.pingInterval = .milliseconds(30)
                    $0.connection.pingTimeout = .milliseconds(90)
                }
            ) { pool in
                let stub = LastSeenStub(pool)
                _ = try await stub.get(viewer(9))
                proxy.freeze()
                let start = ContinuousClock.now
                let error = await failure { () throws(RPCError) in
                    try await stub.report(.with { $0.node = "x" }, options: CallOptions(timeout: .seconds(30)))
                }
                #expect(error?.code == .unavailable)
                #expect(error?.message.contains("does not answer pings") == true)
                #expect(ContinuousClock.now - start < .seconds(5))
            }
        }
    }

    @Test func idempotentCallsSurviveAServersDeath() async throws {
        let first = Scripted("first")
        let second = Scripted("second")
        try await withServer(second, id: "two") { _, peerTwo in
            try await withPool([]) { pool in
                let stub = LastSeenStub(pool)
                try await withServer(first, id: "one", configure: { $0.drainTimeout = .zero }) { server, peerOne in
                    pool.update([peerOne])
                    // Both hang in the first server when it dies.
                    let ended = NIOLockedValueBox<RPCError?>(nil)
                    stub.get(viewer(1), options: CallOptions(timeout: .seconds(20)), on: group.next()) { result in
                        if case .failure(let error) = result { ended.withLockedValue { $0 = error } }
                    }
                    async let once = failure { () throws(RPCError) in
                        try await stub.report(.with { $0.node = "hang" }, options: CallOptions(timeout: .seconds(20)))
                    }
                    await eventually("both are being served") {
                        first.seen.withLockedValue { $0.gets == 1 && $0.reports == 1 }
                    }
                    pool.update([peerOne, peerTwo])
                    server.shutdown()
                    #expect(await once?.code == .unavailable)
                    // Retried on the second, where it hangs as well: it has come there, and is given up.
                    await eventually("it has been made again") { second.seen.withLockedValue { $0.gets } == 1 }
                    #expect(second.seen.withLockedValue { $0.reports } == 0)
                    pool.close()
                    await eventually("it ends with the pool") {
                        ended.withLockedValue { $0?.code } == .unavailable
                    }
                }
            }
        }
    }

    @Test func aShutdownLetsOpenCallsFinishAndTakesNoNewOnes() async throws {
        let first = Scripted("first")
        let second = Scripted("second")
        try await withServer(second, id: "two") { _, peerTwo in
            try await withServer(first, id: "one", configure: { $0.drainTimeout = .seconds(20) }) { server, peerOne in
                try await withPool([peerOne]) { pool in
                    let stub = LastSeenStub(pool)
                    let received = NIOLockedValueBox<UInt64>(0)
                    let ended = NIOLockedValueBox<RPCError??>(nil)
                    let control = stub.follow(
                        .init(), options: CallOptions(timeout: nil, credit: 1), on: group.next(),
                        onMessage: { page in received.withLockedValue { $0 = page.presences[0].user } },
                        onEnd: { error in ended.withLockedValue { $0 = .some(error) } })
                    await eventually("the stream is open") { received.withLockedValue { $0 } == 1 }
                    server.shutdown()
                    // It is told to the connection later: a call that is faster is served.
                    let quick = CallOptions(timeout: .milliseconds(200))
                    await eventually("no new call is taken") {
                        (try? await stub.report(RosterUpdate(), options: quick)) == nil
                    }
                    let served = first.seen.withLockedValue { $0.reports }
                    // New calls go elsewhere while the stream goes on.
                    pool.update([peerOne, peerTwo])
                    for _ in 0..<20 { _ = try await stub.report(RosterUpdate()) }
                    #expect(second.seen.withLockedValue { $0.reports } == 20)
                    #expect(first.seen.withLockedValue { $0.reports } == served)
                    control.grant(1)
                    await eventually("the stream goes on") { received.withLockedValue { $0 } == 2 }
                    #expect(ended.withLockedValue { $0 } == nil)
                    control.cancel()
                    await eventually("the handler ends") { first.seen.withLockedValue { $0.followEnded == 1 } }
                }
            }
        }
    }

    @Test func keysStayWithTheirPeerAndMoveWhenItDies() async throws {
        let services = [Scripted("a"), Scripted("b")]
        try await withServer(services[0], id: "a") { serverA, peerA in
            try await withServer(services[1], id: "b") { serverB, peerB in
                try await withPool([peerA, peerB]) { pool in
                    let stub = LastSeenStub(pool)
                    let key = (0...100 as ClosedRange<UInt64>).first { pool.peer(forKey: $0)?.id == "a" }
                    for _ in 0..<10 { _ = try await stub.get(viewer(9), options: CallOptions(key: key)) }
                    #expect(services.map { $0.seen.withLockedValue { $0.gets } } == [10, 0])
                    serverA.shutdown()
                    await eventually("the key moves") {
                        _ = try? await stub.get(viewer(9), options: CallOptions(key: key))
                        return services[1].seen.withLockedValue { $0.gets } > 0
                    }
                    let pinned = try #require(pool.caller(to: "b"))
                    _ = try await LastSeenStub(pinned).get(viewer(9))
                    #expect(pool.caller(to: "c") == nil)
                }
            }
        }
    }

    @Test func aConnectionComesBack() async throws {
        let service = Scripted()
        try await withPool([], configure: { $0.peerWait = .seconds(5) }) { pool in
            let stub = LastSeenStub(pool)
            let port = try await withServer(service) { _, peer in
                pool.update([peer])
                _ = try await stub.get(viewer(9))
                return Int(peer.address.split(separator: ":")[1])
            }
            try await withServer(service, port: try #require(port)) { _, _ in
                _ = try await stub.get(viewer(9), options: CallOptions(timeout: .seconds(10)))
            }
        }
        #expect(service.seen.withLockedValue { $0.gets } == 2)
    }
}

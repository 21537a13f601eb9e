import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import Testing

@Suite(.timeLimit(.minutes(1))) struct CallTests {
    @Test func unary() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                let answer = try await stub.get(viewer(77), options: CallOptions(trace: "00-trace-01"))
                #expect(answer.presences.map(\.user) == [77])
                let seen = service.seen.withLockedValue { $0 }
                #expect(seen.traces == ["00-trace-01"])
                #expect(seen.peers == [RPCIdentity(role: "test", id: "t1")])
                let remaining = try #require(seen.remaining[0])
                #expect(remaining > .seconds(3) && remaining <= .seconds(5))
            }
        }
    }

    @Test func manyAtOnce() async throws {
        try await withServer(Scripted()) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for caller in 0..<64 as Range<UInt64> {
                        tasks.addTask {
                            for call in 0..<50 as Range<UInt64> {
                                let number = 1000 + caller * 100 + call
                                let answer = try await stub.get(viewer(number))
                                #expect(answer.presences.first?.user == number)
                            }
                        }
                    }
                    try await tasks.waitForAll()
                }
            }
        }
    }

    @Test func callbacksComeOnTheLoopAskedFor() async throws {
        try await withServer(Scripted()) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                for loop in [group.next(), group.next()] {
                    let promise = loop.makePromise(of: UInt64.self)
                    stub.get(viewer(9), on: loop) { result in
                        loop.preconditionInEventLoop()
                        promise.completeWith(result.map { $0.presences[0].user }.mapError { $0 as any Error })
                    }
                    let user = try await promise.futureResult.get()
                    #expect(user == 9)
                }
            }
        }
    }

    @Test func errorsTravelWithTheirParts() async throws {
        try await withServer(Scripted()) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                let told = await failure { () throws(RPCError) in try await stub.get(viewer(2)) }
                #expect(told == RPCError(.conflict, "not now", details: ["why": "busy"]))
                // A fault's own words stay in the server.
                let fault = await failure { () throws(RPCError) in try await stub.get(viewer(3)) }
                #expect(fault == RPCError(.internalError, "roost.lastseen.v1.LastSeen/Get failed"))
                let unknown = await failure { () throws(RPCError) in
                    try await UsersStub(pool).keys(UsersKeysRequest())
                }
                #expect(unknown?.code == .unimplemented)
            }
        }
    }

    @Test func framesTooLargeFailOnlyTheirCall() async throws {
        try await withServer(Scripted(), configure: { $0.connection.maxFrame = 1 << 20 }) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                let answer = await failure { () throws(RPCError) in try await stub.get(viewer(4)) }
                #expect(answer?.code == .tooLarge)
                let large = LastSeenGetRequest.with { $0.users = Array(repeating: 1, count: 1 << 18) }
                let request = await failure { () throws(RPCError) in try await stub.get(large) }
                #expect(request?.code == .tooLarge)
                let small = try await stub.get(viewer(6))
                #expect(small.presences.count == 1)
            }
        }
    }

    @Test func deadlinesEndBothSides() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                let stub = LastSeenStub(pool)
                _ = try await stub.get(viewer(9))
                let start = ContinuousClock.now
                let error = await failure { () throws(RPCError) in
                    try await stub.get(viewer(1), options: CallOptions(timeout: .milliseconds(200)))
                }
                #expect(error?.code == .deadlineExceeded)
                #expect(ContinuousClock.now - start >= .milliseconds(200))
                await eventually("the handler is cancelled") { service.seen.withLockedValue { $0.cancelled == 1 } }
            }
        }
    }

    @Test func cancellingTheCallerCancelsTheHandler() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                await withTaskGroup(of: RPCError?.self) { tasks in
                    tasks.addTask {
                        await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(1)) }
                    }
                    await eventually("the handler runs") { service.seen.withLockedValue { $0.gets == 1 } }
                    tasks.cancelAll()
                    let error = await tasks.next() ?? nil
                    #expect(error?.code == .cancelled)
                }
                await eventually("the handler is cancelled") { service.seen.withLockedValue { $0.cancelled == 1 } }
            }
        }
    }

    @Test func streamEndsWell() async throws {
        try await withServer(Scripted("hundred")) { _, peer in
            try await withPool([peer]) { pool in
                var numbers: [UInt64] = []
                for try await page in try await LastSeenStub(pool).follow(.init()) {
                    numbers.append(page.presences[0].user)
                }
                #expect(numbers == Array(1...100))
            }
        }
    }

    @Test func aStreamThatIsLeftIsCancelled() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                for try await page in try await LastSeenStub(pool).follow(.init()) where page.presences[0].user == 10 {
                    break
                }
                await eventually("the handler ends") { service.seen.withLockedValue { $0.followEnded == 1 } }
            }
        }
    }

    @Test func withoutCreditTheWriterWaits() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                let received = NIOLockedValueBox(0)
                let ended = NIOLockedValueBox<RPCError?>(nil)
                let control = LastSeenStub(pool).follow(
                    .init(), options: CallOptions(timeout: nil, credit: 3), on: group.next(),
                    onMessage: { _ in received.withLockedValue { $0 += 1 } },
                    onEnd: { error in ended.withLockedValue { $0 = error } })
                await eventually("three come") { received.withLockedValue { $0 } == 3 }
                // What was sent before this answer has come.
                _ = try await LastSeenStub(pool).get(viewer(6))
                #expect(service.seen.withLockedValue { $0.written } == 3)
                control.grant(4)
                await eventually("four more come") { received.withLockedValue { $0 } == 7 }
                // What was sent before this answer has come.
                _ = try await LastSeenStub(pool).get(viewer(6))
                #expect(service.seen.withLockedValue { $0.written } == 7)
                control.cancel()
                await eventually("it ends") { ended.withLockedValue { $0?.code } == .cancelled }
                await eventually("the handler ends") { service.seen.withLockedValue { $0.followEnded == 1 } }
            }
        }
    }

    @Test func aSlowConsumerHoldsTheServerBack() async throws {
        let service = Scripted()
        try await withServer(service) { _, peer in
            try await withPool([peer]) { pool in
                let stream = try await LastSeenStub(pool).follow(.init(), options: CallOptions(timeout: nil, credit: 8))
                var iterator = stream.makeAsyncIterator()
                for expected in 1...200 as ClosedRange<UInt64> {
                    let page = try #require(try await iterator.next())
                    #expect(page.presences[0].user == expected)
                    #expect(service.seen.withLockedValue { $0.written } <= Int(expected) + 8)
                }
            }
        }
    }
}

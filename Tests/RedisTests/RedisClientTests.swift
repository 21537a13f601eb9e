import Logging
import NIOConcurrencyHelpers
import TestServers
import Testing

@testable import Redis

private func withClient<R>(
    _ server: RedisServer, connected: Bool = true, _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (RedisClient) async throws -> R
) async throws -> R {
    var configuration = RedisConfiguration(
        address: server.address, connectTimeout: .milliseconds(500), commandTimeout: .seconds(1),
        disconnectedWait: .milliseconds(100), backOffLimit: .milliseconds(200), pingInterval: .milliseconds(200))
    change(&configuration)
    let client = RedisClient(
        configuration: configuration, logger: Logger(label: "redis") { _ in SwiftLogNoOpLogHandler() })
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await client.run() }
        defer { group.cancelAll() }
        if connected { try await eventually { client.isConnected } }
        return try await body(client)
    }
}

/// Waits for a condition, for ten seconds at most.
private func eventually(
    _ condition: () async throws -> Bool, location: SourceLocation = #_sourceLocation
) async throws {
    let deadline = ContinuousClock.now + .seconds(10)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("it didn't come about", sourceLocation: location)
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

private func connected(_ client: RedisClient) async throws {
    try await eventually { client.isConnected }
}

private func code(_ body: () async throws(RedisError) -> Void) async -> RedisError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return error.code
    }
}

@Suite(.timeLimit(.minutes(1))) struct RedisClientTests {
    @Test func commandsOfEveryShape() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                #expect(try await redis.send("SET", "k", "v").string == "OK")
                #expect(try await redis.send("GET", "k").bytes == [118])
                #expect(try await redis.send("GET", "none").isNull)
                #expect(try await redis.send("INCRBY", "n", 41).int == 41)
                #expect(try await redis.send("GET", "n").int == 41)
                #expect(try await redis.send("HSET", ["h", "a", "1", "b", RedisArgument([0, 255])]).int == 2)
                let pairs = try await redis.send("HGETALL", "h").pairs ?? []
                #expect(pairs.map(\.key) == ["a", "b"])
                #expect(pairs.last?.value == .bytes([0, 255]))
                let large = [UInt8](repeating: 7, count: 3_000_000)
                try await redis.send("SET", "large", RedisArgument(large))
                #expect(try await redis.send("GET", "large").bytes == large)
                #expect(
                    await code { () async throws(RedisError) in try await redis.send("HGET", "k", "f") }
                        == .server("WRONGTYPE"))
                #expect(await code { () async throws(RedisError) in try await redis.send("NOPE") } == .server("ERR"))
                let values = try await redis.pipeline([["INCR", "n"], ["HGET", "k", "f"], ["INCR", "n"]])
                #expect(values.first == .integer(42) && values.last == .integer(43))
                guard case .error("WRONGTYPE", _) = values[1] else { return #expect(Bool(false)) }
            }
        }
    }

    @Test func scriptsSurviveAFlush() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                let script = RedisScript("return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
                for count in 1...2 {
                    let value = try await redis.eval(script, keys: ["k"], arguments: ["a"])
                    #expect(value == .array([.bytes([107]), .bytes([97]), .integer(Int64(count))]))
                }
                try await redis.send("SCRIPT", "FLUSH")
                #expect(try await redis.eval(script, keys: ["k"], arguments: ["a"]).array?.last == .integer(3))
                let faulty = RedisScript("return redis.call('NOPE')")
                #expect(await code { () async throws(RedisError) in try await redis.eval(faulty) } != nil)
            }
        }
    }

    @Test func manyCallersAtOnce() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server, { $0.commandTimeout = .seconds(10) }) { redis in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<64 {
                        group.addTask {
                            for count in 1...50 {
                                let value = try await redis.send("HINCRBY", "h", "\(caller)", 1)
                                #expect(value.int == Int64(count))
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await redis.send("HLEN", "h").int == 64)
            }
        }
    }

    @Test func logsInAndSelects() async throws {
        try await RedisServer.withServer(password: "secret") { server in
            try await withClient(
                server,
                {
                    $0.password = "secret"; $0.database = 3
                }
            ) { redis in
                try await redis.send("SET", "k", "v")
                #expect(try await redis.send("CLIENT", "INFO").string?.contains(" db=3 ") == true)
                var messages = redis.subscribe(["c"]).makeAsyncIterator()
                #expect(await messages.next() == .reconnected)
            }
            try await withClient(server, connected: false, { $0.password = "wrong" }) { redis in
                #expect(await code { () async throws(RedisError) in try await redis.send("GET", "k") } == .disconnected)
            }
        }
    }

    @Test func aKilledServerFailsCallersAndComesBack() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                try await connected(redis)
                async let blocked = code { () async throws(RedisError) in
                    try await redis.send("BLPOP", ["q", "0"], timeout: .seconds(30))
                }
                // The connection is blocked, so another one looks.
                try await withClient(server) { other in
                    try await eventually {
                        try await other.send("CLIENT", "LIST").string?.contains("cmd=blpop") == true
                    }
                }
                await server.kill()
                #expect(await blocked == .disconnected)
                try await eventually { !redis.isConnected }
                let began = ContinuousClock.now
                #expect(await code { () async throws(RedisError) in try await redis.send("PING") } == .disconnected)
                #expect(ContinuousClock.now - began < .seconds(2))
                try await server.start()
                try await connected(redis)
                #expect(try await redis.send("GET", "k").isNull)
            }
        }
    }

    @Test func aPausedServerHangsNobody() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                try await redis.send("SET", "k", "v")
                server.pause()
                let began = ContinuousClock.now
                let codes = await withTaskGroup(of: RedisError.Code?.self) { group in
                    for _ in 0..<64 {
                        group.addTask { await code { () async throws(RedisError) in try await redis.send("GET", "k") } }
                    }
                    return await group.reduce(into: Set<RedisError.Code?>()) { $0.insert($1) }
                }
                #expect(codes.isSubset(of: [.timeout, .disconnected]))
                #expect(ContinuousClock.now - began < .seconds(3))
                // From now on callers are told at once.
                try await eventually { !redis.isConnected }
                #expect(await code { () async throws(RedisError) in try await redis.send("GET", "k") } == .disconnected)
                server.resume()
                try await connected(redis)
                #expect(try await redis.send("GET", "k").string == "v")
            }
        }
    }

    @Test func theQueueIsBounded() async throws {
        try await RedisServer.withServer { server in
            server.pause()
            try await withClient(
                server, connected: false,
                {
                    $0.queueLimit = 10; $0.disconnectedWait = .milliseconds(400)
                }
            ) { redis in
                let codes = await withTaskGroup(of: RedisError.Code?.self) { group in
                    for _ in 0..<30 {
                        group.addTask { await code { () async throws(RedisError) in try await redis.send("PING") } }
                    }
                    return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
                }
                #expect(codes.filter { $0 == .queueFull }.count == 20)
                #expect(codes.filter { $0 == .disconnected }.count == 10)
                server.resume()
                try await connected(redis)
                #expect(try await redis.send("PING").string == "PONG")
            }
        }
    }

    @Test func cancellingACallerHarmsNoOther() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                await withTaskGroup(of: RedisError.Code?.self) { group in
                    group.addTask {
                        await code { () async throws(RedisError) in
                            try await redis.send(
                                "EVAL", ["local t=redis.call('TIME')[2] for i=1,3e6 do end return 1", "0"])
                        }
                    }
                    group.cancelAll()
                    #expect(await group.next() == .cancelled)
                }
                let value = try await redis.send("ECHO", "mine")
                #expect(value.string == "mine")
            }
        }
    }

    @Test func anEndedClientSaysSo() async throws {
        try await RedisServer.withServer { server in
            let ended = try await withClient(server) { redis in
                try await redis.send("PING")
                return redis
            }
            #expect(await code { () async throws(RedisError) in try await ended.send("PING") } == .closed)
            for await _ in ended.subscribe(["c"]) { Issue.record("a message from an ended client") }
        }
    }

    @Test func subscriptionsSayWhenToReadAgain() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server, { $0.commandTimeout = .milliseconds(400) }) { redis in
                var one = redis.subscribe(["a", "b"]).makeAsyncIterator()
                var two = redis.subscribe(["b"]).makeAsyncIterator()
                #expect(await one.next() == .reconnected)
                #expect(await two.next() == .reconnected)
                #expect(try await redis.send("PUBLISH", "a", "1").int == 1)
                #expect(try await redis.send("PUBLISH", "b", "2").int == 1)
                #expect(await one.next() == .message(channel: "a", payload: [49]))
                #expect(await one.next() == .message(channel: "b", payload: [50]))
                #expect(await two.next() == .message(channel: "b", payload: [50]))

                await server.kill()
                try await server.start()
                #expect(await one.next() == .reconnected)
                #expect(await two.next() == .reconnected)
                try await connected(redis)
                #expect(try await redis.send("PUBLISH", "b", "3").int == 1)
                #expect(await two.next() == .message(channel: "b", payload: [51]))

                // A server that is stopped doesn't close the connection: its silence is noticed.
                server.pause()
                try await eventually {
                    await code { () async throws(RedisError) in try await redis.send("PING") } == .disconnected
                }
                try await Task.sleep(for: .milliseconds(900))
                server.resume()
                #expect(await one.next() == .message(channel: "b", payload: [51]))
                #expect(await one.next() == .reconnected)
            }
        }
    }

    @Test func aDroppedSubscriptionIsGivenUp() async throws {
        try await RedisServer.withServer { server in
            try await withClient(server) { redis in
                try await connected(redis)
                do {
                    var gone = redis.subscribe(["a"]).makeAsyncIterator()
                    #expect(await gone.next() == .reconnected)
                }
                try await eventually { try await redis.send("PUBSUB", "NUMSUB", "a").array?.last?.int == 0 }
            }
        }
    }
}

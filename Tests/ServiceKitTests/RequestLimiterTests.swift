import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOConcurrencyHelpers
import Redis
import TestServers
import Testing

@testable import ServiceKit

private let quiet = Logger(label: "limits") { _ in SwiftLogNoOpLogHandler() }

@Suite(.timeLimit(.minutes(2))) struct RequestLimiterTests {
    /// Rates so slow that nothing fills again during a test.
    private func slowLimits(burst: Double = 20) -> RequestLimits {
        var limits = RequestLimits()
        for name in RequestLimits.Name.allCases { limits[name] = .init(rate: 0.01, burst: burst) }
        return limits
    }

    private func client(_ server: RedisServer) -> RedisClient {
        RedisClient(
            configuration: RedisConfiguration(
                address: server.address, commandTimeout: RequestLimiter.timeout, disconnectedWait: .zero),
            logger: quiet)
    }

    /// Two instances that share a Redis.
    private func withInstances(
        _ limits: RequestLimits,
        _ body: (
            _ server: RedisServer, _ client: RedisClient, _ one: RequestLimiter, _ two: RequestLimiter,
            _ metrics: MetricsRegistry
        ) async throws -> Void
    ) async throws {
        try await RedisServer.withServer { server in
            let (first, second) = (client(server), client(server))
            try await withThrowingTaskGroup { group in
                group.addTask { await first.run() }
                group.addTask { await second.run() }
                defer { group.cancelAll() }
                while !(first.isConnected && second.isConnected) { try await Task.sleep(for: .milliseconds(5)) }
                let metrics = MetricsRegistry()
                try await body(
                    server, first, RequestLimiter(limits: limits, redis: first, metrics: metrics),
                    RequestLimiter(limits: limits, redis: second, metrics: metrics), metrics)
            }
        }
    }

    /// How many of `attempts` a limiter lets pass.
    private func passed(_ limiter: RequestLimiter, _ keys: [RequestLimiter.Key], of attempts: Int) async -> Int {
        var passed = 0
        for _ in 0..<attempts where await limiter.take(keys) == nil { passed += 1 }
        return passed
    }

    @Test func aBucketFillsAgain() {
        let rule = TokenBucket.Rule(rate: 0.5, burst: 2)
        var bucket = TokenBucket(rule: rule, now: 0)
        // A clock that goes back gives nothing.
        let waits = [0, 0, 0, 1000, 2000, 1000].map { bucket.take(rule: rule, now: $0) }
        #expect(waits == [nil, nil, 2000, 1000, nil, 2000])
        bucket.giveBack(rule: rule, now: 2000)
        let wait = bucket.take(rule: rule, now: 2000)
        #expect(wait == nil)
        #expect(!bucket.isFull(rule: rule, now: 5000) && bucket.isFull(rule: rule, now: 6000))
    }

    @Test func aloneItCountsByItself() async {
        let clock = NIOLockedValueBox<Int64>(0)
        var limits = RequestLimits()
        limits[.login] = .init(rate: 2, burst: 3)
        let limiter = RequestLimiter(limits: limits, redis: nil, now: { clock.withLockedValue { $0 } })
        let (ann, bob) = (RequestLimiter.Key(.login, "ann"), RequestLimiter.Key(.login, "bob"))
        #expect(await passed(limiter, [ann], of: 5) == 3)
        #expect(await limiter.take([ann])?.wait == .milliseconds(500))
        #expect(await limiter.take([bob, ann])?.limit == .login)
        #expect(await passed(limiter, [bob], of: 5) == 3, "what one bucket refuses costs the other nothing")
        await limiter.giveBack([ann])
        #expect(await passed(limiter, [ann], of: 5) == 1)
        clock.withLockedValue { $0 += 1000 }
        #expect(await passed(limiter, [ann], of: 5) == 2)
        #expect(await passed(RequestLimiter(limits: nil, redis: nil), [ann], of: 5) == 5)
    }

    @Test func instancesShareBuckets() async throws {
        try await withInstances(slowLimits()) { _, _, one, two, metrics in
            let flood = RequestLimiter.Key(.user, "1")
            let first = await passed(one, [flood], of: 12)
            let second = await passed(two, [flood], of: 12)
            #expect(first == 12 && second == 8)
            #expect(await two.take([flood])?.limit == .user)
            #expect(await two.take([flood])?.wait ?? .zero > .seconds(50))
            #expect(await passed(two, [.init(.user, "2")], of: 12) == 12, "another doesn't feel it")
            await #expect(throws: Problem.self) { try await one.check([flood], "Slow down.") }
            #expect(metrics.render().contains(#"rate_limited_total{limit="user"} 1"#))
        }
    }

    @Test func withoutRedisEachCountsAloneAndNobodyWaits() async throws {
        try await withInstances(slowLimits()) { server, client, one, _, metrics in
            let flood = RequestLimiter.Key(.user, "1")
            #expect(await passed(one, [flood], of: 5) == 5)
            server.pause()
            let started = ContinuousClock.now
            #expect(await passed(one, [flood], of: 100) == 15)
            #expect(await passed(one, [.init(.user, "2")], of: 100) == 20)
            // One of them was on its way when Redis stopped answering.
            #expect(ContinuousClock.now - started < .seconds(2))
            #expect(metrics.render().contains("rate_limits_alone_total 35"))
            server.resume()
            while !client.isConnected { try await Task.sleep(for: .milliseconds(5)) }
            #expect(await passed(one, [.init(.user, "3")], of: 5) == 5, "it counts in Redis again")
            #expect(metrics.render().contains("rate_limits_alone_total 35"))
            await server.kill()
            #expect(await passed(one, [.init(.user, "4")], of: 100) == 20)
        }
    }

    @Test func addressesOfOneNetworkAreOne() {
        func subject(_ address: String) -> String { RequestLimiter.Key(.address, address: address).subject }
        #expect(subject("2001:db8:1:2::1") == subject("2001:db8:1:2:ffff::9"))
        #expect(subject("2001:db8:1:2::1") != subject("2001:db8:1:3::1"))
        #expect(subject("::ffff:10.0.0.1") == "10.0.0.1" && subject("10.0.0.1") != subject("10.0.0.2"))
        #expect(subject("") == "")
    }

    @Test func restCallsAreLimitedByWhoAsks() async throws {
        let issuer = try Issuer(now: UnixClock.now())
        let authenticator = Authenticator(adminToken: "operator", source: issuer, logger: quiet)
        let limiter = RequestLimiter(limits: slowLimits(), redis: nil)
        let router = RoostRouter.make(
            authenticator: authenticator, metrics: MetricsRegistry(), limiter: limiter)
        router.get("/probe-service/v1/it") { _, _ in "yes" }
        router.get("/readyz") { _, _ in "yes" }
        let tokens = [
            try await issuer.token(Identity(user: UserID(rawValue: 1), device: DeviceID(rawValue: 11))),
            try await issuer.token(Identity(user: UserID(rawValue: 2), device: DeviceID(rawValue: 21))),
        ]
        try await Application(router: router, logger: quiet).test(.router) { client in
            /// Asks 30 times.
            func passes(_ count: Int, _ path: String, _ headers: HTTPFields) async throws {
                for number in 0..<30 {
                    let response = try await client.executeRequest(
                        uri: path, method: .get, headers: headers, body: nil)
                    #expect(response.status == (number < count ? .ok : .tooManyRequests))
                    guard number >= count else { continue }
                    let body = String(buffer: response.body)
                    #expect(body.contains(#""code":"rate_limited""#) && body.contains(#""retry_after_ms":"#))
                    #expect(Int(response.headers[.retryAfter] ?? "") ?? 0 > 1)
                }
            }
            let path = "/probe-service/v1/it"
            try await passes(20, path, [.authorization: "Bearer \(tokens[0])"])
            try await passes(20, path, [.authorization: "Bearer \(tokens[1])"])
            try await passes(30, path, [.authorization: "Bearer operator"])
            var forwarded = HTTPFields()
            forwarded[.forwardedFor] = "10.0.0.1"
            try await passes(20, path, forwarded)
            // A bad token is nobody's, and this client's peer is no proxy: the header above counted for nothing.
            try await passes(0, path, [.authorization: "Bearer x"])
            try await passes(30, "/readyz", [:])
        }
    }

    @Test func theConfigurationNamesThem() async throws {
        let configuration = try await RoostConfiguration.load(
            file: nil, environment: ["ROOST_LIMIT_LOGIN_FAILURE_RATE": "0.25", "ROOST_LIMIT_USER_BURST": "7"])
        #expect(configuration.requestLimits[.loginFailure] == .init(rate: 0.25, burst: 10))
        #expect(configuration.requestLimits[.user] == .init(rate: 100, burst: 7))
        #expect(RoostConfiguration.keys.contains("limit_login_name_burst"))
        let error = await #expect(throws: ConfigurationError.self) {
            _ = try await RoostConfiguration.load(file: nil, environment: ["ROOST_LIMIT_USER_RATE": "0"])
        }
        #expect(error?.key == "ROOST_LIMIT_USER_RATE")
    }
}

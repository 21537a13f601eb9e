import Client
import Foundation
import LocalCluster
import Testing

/// Rate limits, on a cluster of its own that has them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct LimitScenarios {
    private func withCluster(_ body: @Sendable (TestCluster) async throws -> Void) async throws {
        try await TestCluster.with { options in
            options.limits = true
            options.roles = RoleEntry.standard(chatNodes: 1)
            options.environment["ROOST_SCRYPT_LOG_N"] = "4"
            options.environment["ROOST_LIMIT_DEVICE_RATE"] = "2"
            options.environment["ROOST_LIMIT_DEVICE_BURST"] = "20"
            options.environment["ROOST_LIMIT_LOGIN_FAILURE_BURST"] = "3"
        } body: {
            try await body($0)
        }
    }

    /// The answer that says to wait, with how long.
    private func expectRefusal(_ answer: RESTResponse, _ location: SourceLocation = #_sourceLocation) {
        #expect(answer.status == 429, sourceLocation: location)
        #expect(answer.json["code"] == "rate_limited", sourceLocation: location)
        #expect(answer.headers["retry-after"].flatMap { Int($0) } ?? 0 >= 1, sourceLocation: location)
    }

    @Test func aFloodIsRefusedAndFeltByNobodyElse() async throws {
        try await withCluster { cluster in
            let (ada, bob) = try await People.two(cluster)
            // REST: one device asks too much; another user doesn't notice, nor does another device.
            var refused: RESTResponse?
            for _ in 0..<60 where refused == nil {
                let answer = try await ada.call("GET", "/user-service/v1/users/me")
                if answer.status != 200 { refused = answer }
            }
            expectRefusal(try #require(refused, "60 calls at once were let through"))
            #expect(try await bob.call("GET", "/user-service/v1/users/me").status == 200)
            // The limit holds across services (ten at once would fit into a bucket of its own), and passes.
            var elsewhere: [RESTResponse] = []
            for _ in 0..<10 { elsewhere.append(try await ada.call("GET", "/message-service/v1/conversations")) }
            expectRefusal(try #require(elsewhere.first { $0.status != 200 }, "another service counts anew"))
            try await eventually(within: .seconds(10)) {
                let status = try await ada.call("GET", "/user-service/v1/users/me").status
                if status != 200 { throw NotYet("\(status)") }
            }

            // Guessing a password: few are let through, and the right one is not either, for a while.
            var codes: [Int] = []
            for _ in 0..<6 {
                let answer = try await cluster.rest.call(
                    "POST", "/user-service/v1/sessions",
                    body: try JSONValue.object(["login": .string(bob.username), "password": "a guess"]).data)
                codes.append(answer.status)
                if answer.status == 429 { expectRefusal(answer) }
            }
            #expect(codes.prefix(3) == [401, 401, 401] && codes.last == 429)

            // WebSocket: more than a connection may send; the other's messages go through at once.
            let flooder = try await eventually { try await ChatConnection.connect(ada) }
            let other = try await ChatConnection.connect(bob)
            for number in 0..<1500 {
                flooder.send([
                    "type": "send", "ref": .string("f\(number)"), "client_id": .string("f\(number)"),
                    "to": .string(bob.user), "body": ["text": "flood"],
                ])
            }
            try await flooder.wait("rate_limited") { frames, code in
                code != nil || frames.contains { $0["code"] == "rate_limited" }
            }
            let error = try #require(flooder.frames("error").first { $0["code"] == "rate_limited" })
            #expect(error["retry_after_ms"].int ?? 0 > 0)
            let started = ContinuousClock.now
            #expect(try await other.message(to: ada.user, "can you hear me?")["type"] == "ack")
            #expect(ContinuousClock.now - started < .seconds(2))
            // Who goes on and on is closed.
            for _ in 0..<20 where flooder.closeCode == nil {
                for _ in 0..<500 { flooder.send(["type": "send", "ref": "x"]) }
                try await Task.sleep(for: .milliseconds(50))  // the pace of the flood
            }
            let closed = try await flooder.waitForClose()
            #expect(closed == 4429 || closed == 4400)
            #expect(other.closeCode == nil)
            try await other.close()
        }
    }
}

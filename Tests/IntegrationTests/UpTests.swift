import Client
import Foundation
import Glibc
import LocalCluster
import Subprocess
import Testing

/// `roost up` as a person runs it.
@Suite(.serialized, .timeLimit(.minutes(4))) struct UpTests {
    static func withFolder<R>(_ body: (String) async throws -> R) async throws -> R {
        let folder = TestCluster.temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try await body(folder)
    }

    /// Runs a small cluster and calls `whenReady` with its pid once it says so.
    static func up(
        _ folder: String, _ more: [String] = [],
        whenReady: @escaping @Sendable (_ pid: Int32, _ file: ClusterFile) async throws -> Void
    ) async throws -> RoostProgram.Outcome {
        let arguments = ["up", "--port", "0", "--data-dir", folder, "--chat-nodes", "1", "--no-limits"] + more
        let outcome = try await RoostProgram.run(arguments) { pid, line in
            guard line.hasPrefix("ready ") else { return }
            let file = try ClusterFile.read(folder + "/cluster.json")
            #expect(line == "ready \(file.gateway)")
            try await whenReady(pid, file)
        }
        // What it said is all that is left of it once the folder is gone.
        if outcome.status != .exited(0) {
            print("roost up: \(outcome.status)\n\(outcome.lines.joined(separator: "\n"))")
        }
        return outcome
    }

    /// Waits until none of the processes is left; those that are after a while are named.
    static func expectGone(_ file: ClusterFile, _ location: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline, file.processes.contains(where: { isAlive($0.pid) }) {
            try await Task.sleep(for: .milliseconds(50))
        }
        let left = file.processes.filter { isAlive($0.pid) }.map(\.name)
        #expect(left.isEmpty, sourceLocation: location)
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func aSignalEndsAllOfIt(_ signal: Int32) async throws {
        try await Self.withFolder { folder in
            let outcome = try await Self.up(folder) { pid, file in
                #expect(file.processes.count == 13)
                #expect(Set(file.processes.map(\.name)).isSuperset(of: ["chat-1", "relay", "postgres", "nginx"]))
                #expect(file.processes.allSatisfy { isAlive($0.pid) })
                kill(pid, signal)
            }
            #expect(outcome.status == .exited(0))
            #expect(outcome.lines.last == "stopping")
            try await Self.expectGone(try ClusterFile.read(folder + "/cluster.json"))
        }
    }

    @Test func killedItLeavesNothingAndKeepsItsMessages() async throws {
        try await Self.withFolder { folder in
            let killed = try await Self.up(folder) { pid, file in
                let rest = RESTClient(base: file.gateway)
                let ada = try await Account.register(rest, username: "ada")
                let bob = try await Account.register(rest, username: "bob")
                let connection = try await ChatConnection.connect(ada)
                #expect(try await connection.message(to: bob.user, "before the end")["type"] == "ack")
                kill(pid, SIGKILL)
            }
            #expect(killed.status == .signaled(SIGKILL))
            try await Self.expectGone(try ClusterFile.read(folder + "/cluster.json"))

            let again = try await Self.up(folder) { pid, file in
                let bob = try await Account.login(RESTClient(base: file.gateway), login: "bob")
                let list = try await bob.json("GET", "/message-service/v1/conversations")
                #expect(list["items"][0]["last_event"]["body"]["text"] == "before the end")
                kill(pid, SIGTERM)
            }
            #expect(again.status == .exited(0))
        }
    }

    @Test func whatEvenTheGuardCouldNotEndTheNextOneEnds() async throws {
        try await Self.withFolder { folder in
            let killed = try await Self.up(folder) { pid, _ in
                let guards = try Self.processes(running: "guard", (folder as NSString).lastPathComponent)
                #expect(guards.count == 1)
                for guardPID in guards { kill(guardPID, SIGKILL) }
                kill(pid, SIGKILL)
            }
            #expect(killed.status == .signaled(SIGKILL))
            let left = try ClusterFile.read(folder + "/cluster.json")
            #expect(left.processes.allSatisfy { isAlive($0.pid) })

            let next = try await Self.up(folder) { pid, _ in
                try await Self.expectGone(left)
                kill(pid, SIGTERM)
            }
            #expect(next.lines.first?.hasPrefix("ended ") == true)
            #expect(next.status == .exited(0))
        }
    }

    /// Processes with both words among their arguments.
    static func processes(running words: String...) throws -> [Int32] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { pid in
            let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let arguments = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return words.allSatisfy { word in arguments.contains { $0.hasSuffix(word) } }
        }
    }

    @Test func twoSideBySide() async throws {
        try await Self.withFolder { one in
            try await Self.withFolder { other in
                let outcome = try await Self.up(one) { pid, first in
                    let inner = try await Self.up(other) { pid, second in
                        let processes = first.processes + second.processes
                        let addresses = processes.compactMap(\.rpc) + processes.compactMap(\.http)
                        #expect(addresses.count == 44)
                        #expect(Set(addresses).count == 44)
                        #expect(first.gateway != second.gateway && first.adminToken != second.adminToken)
                        _ = try await Account.register(RESTClient(base: first.gateway), username: "ada")
                        _ = try await Account.register(RESTClient(base: second.gateway), username: "ada")
                        kill(pid, SIGTERM)
                    }
                    #expect(inner.status == .exited(0))
                    let health = try await RESTClient(base: first.gateway).call("GET", "/healthz")
                    #expect(health.status == 200)
                    // The folder is in use: one line says so.
                    let refused = try await Self.up(one) { _, _ in }
                    #expect(refused.status == .exited(1))
                    #expect(refused.lines.count == 1)
                    #expect(refused.lines[0].contains("--data-dir"))
                    // So is the port.
                    let port = String(first.gateway.split(separator: ":").last ?? "")
                    let clash = try await Self.up(other, ["--port", port]) { _, _ in }
                    #expect(clash.status == .exited(1))
                    #expect(clash.lines.count == 1)
                    #expect(clash.lines[0].contains("port \(port) is in use"))
                    kill(pid, SIGTERM)
                }
                #expect(outcome.status == .exited(0))
            }
        }
    }

    @Test func aSignalDuringTheStartEndsItAsWell() async throws {
        try await Self.withFolder { folder in
            let arguments = ["up", "--port", "0", "--data-dir", folder]
            let outcome = try await RoostProgram.run(arguments) { pid, line in
                if line.hasPrefix("postgres") { kill(pid, SIGINT) }
            }
            #expect(outcome.status == .exited(130))
            #expect(!outcome.lines.contains { $0.hasPrefix("ready") })
            try await Self.expectGone(try ClusterFile.read(folder + "/cluster.json"))
        }
    }

    @Test func withoutRestartsTheDeadStayDead() async throws {
        try await Self.withFolder { folder in
            let outcome = try await Self.up(folder, ["--no-restart"]) { pid, file in
                let relay = try #require(file.process(named: "relay"))
                kill(relay.pid, SIGKILL)
                let deadline = ContinuousClock.now + .seconds(20)
                let rest = RESTClient(base: file.gateway)
                while try await rest.call("GET", "/healthz").status != 503, ContinuousClock.now < deadline {
                    try await Task.sleep(for: .milliseconds(100))
                }
                #expect(try await rest.call("GET", "/healthz").status == 503)
                #expect(try ClusterFile.read(folder + "/cluster.json").process(named: "relay")?.pid == relay.pid)
                kill(pid, SIGTERM)
            }
            #expect(outcome.lines.contains("relay was ended by signal 9"))
        }
    }

    @Test(arguments: [
        ["--port", "70000"], ["--port", "x"], ["--chat-nodes", "0"], ["--config", "/nowhere/roost.json"],
        ["--nonsense"],
    ])
    func refusesOptionsThatMakeNoSense(_ options: [String]) async throws {
        let outcome = try await RoostProgram.run(["up", "--data-dir", "/nonexistent/x"] + options)
        #expect(outcome.status == .exited(64))
    }
}

extension ClusterSuite {
    /// What the gateway says without being asked for more.
    @Suite struct GatewayScenarios {
        @Test func healthzSaysThatAClientCouldChat() async throws {
            let cluster = try await TestCluster.shared()
            let answer = try await cluster.rest.call("GET", "/healthz")
            #expect(answer.status == 200)
        }

        @Test func errorsAreProblemDocuments() async throws {
            let cluster = try await TestCluster.shared()
            for (path, status, code) in [
                ("/user-service/v1/users/me", 401, "unauthorized"), ("/user-service/v1/nothing", 404, "not_found"),
                ("/nothing-service/v1", 404, "not_found"), ("/nothing.html", 404, "not_found"),
                ("/metrics", 404, "not_found"), ("/_route?role=users", 404, "not_found"),
                ("/discovery-service/v1/nodes", 401, "unauthorized"),
            ] {
                let answer = try await cluster.rest.call("GET", path)
                #expect(answer.status == status, "\(path)")
                #expect(answer.json["code"].string == code, "\(path)")
                #expect(answer.json["status"].int == status, "\(path)")
                #expect(answer.headers["content-type"]?.hasPrefix("application/problem+json") == true, "\(path)")
                #expect(answer.headers["x-request-id"] != nil, "\(path)")
            }
        }

        @Test func theNodeThatDiscoveryNamesTakesAConnection() async throws {
            let cluster = try await TestCluster.shared()
            let node = try await cluster.rest.json("GET", "/discovery-service/v1/node")["node"]
            let id = try #require(node["id"].string)
            let url = try #require(node["url"].string)
            #expect(url.hasPrefix("ws" + cluster.local.gateway.dropFirst("http".count) + "/chat-service/v1/ws?node="))
            let account = try await cluster.someone()
            let connection = try await ChatConnection.open(url: url + "&ticket=" + (try await account.ticket()))
            connection.hello()
            try await connection.wait("welcome") { frames, _ in frames.contains { $0["type"] == "welcome" } }
            #expect(connection.welcome["node"].string == id)
            try await connection.close()
        }

        @Test func everyProcessServesItsThreePages() async throws {
            let cluster = try await TestCluster.shared()
            for process in try cluster.file().processes where process.rpc != nil {
                let rest = RESTClient(base: "http://\(process.http ?? "")")
                for path in ["/livez", "/readyz", "/metrics"] {
                    let answer = try await rest.call("GET", path)
                    #expect(answer.status == 200, "\(process.name) \(path)")
                }
            }
        }

        @Test func aDeadPartIsStartedAgainAndClusterJSONSaysSo() async throws {
            let cluster = try await TestCluster.shared()
            let before = try cluster.process("messages").pid
            let spawns = cluster.local.spawns(of: "messages")
            try cluster.signal("messages", SIGKILL)
            try await cluster.local.untilRestarted("messages", after: spawns)
            #expect(try cluster.process("messages").pid != before)
            try await cluster.waitUntilWhole()
        }
    }
}

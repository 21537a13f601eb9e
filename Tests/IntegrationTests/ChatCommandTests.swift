import Client
import Foundation
import Glibc
import Subprocess
import SystemPackage
import Testing

/// `roost chat` over pipes, as a script drives it: what is written to it, and the lines that it writes.
private final class Dialogue {
    typealias Lines = SubprocessOutputSequence.StringSequence<UTF8>

    private let input: StandardInputWriter
    private var output: Lines.AsyncIterator
    private(set) var lines: [String] = []

    private init(_ input: StandardInputWriter, _ output: Lines) {
        self.input = input
        self.output = output.makeAsyncIterator()
    }

    /// Runs the program for a user that is registered, in a folder of its own, until the body is done and it has ended.
    static func with(
        _ cluster: TestCluster, _ user: String, register: Bool = true, configuration: String,
        _ body: (Dialogue) async throws -> Void
    ) async throws {
        let arguments = ["chat", user, "--server", cluster.rest.base] + (register ? ["--register"] : [])
        let environment = Environment.inherit.updating([
            "ROOST_PASSWORD": Account.password, "XDG_CONFIG_HOME": configuration, "TZ": "UTC",
        ])
        let outcome = try await Subprocess.run(
            .path(FilePath(RoostProgram.path)), arguments: Arguments(arguments), environment: environment,
            input: .inputWriter, output: .sequence, error: .combinedWithOutput
        ) { execution in
            let dialogue = Dialogue(execution.standardInputWriter, execution.standardOutput.strings())
            try await body(dialogue)
            try await dialogue.input.finish()
            while try await dialogue.next() != nil {}
        }
        #expect(outcome.terminationStatus.isSuccess)
    }

    func say(_ line: String) async throws { _ = try await input.write(line + "\n") }

    /// Reads on to a line that has the text, which it answers.
    @discardableResult
    func expect(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        while let line = try await next() { if line.contains(text) { return line } }
        Issue.record("it ended without \(text); it said \(lines)", sourceLocation: sourceLocation)
        throw CancellationError()
    }

    private func next() async throws -> String? {
        guard let line = try await output.next()?.trimmingCharacters(in: .newlines) else { return nil }
        lines.append(line)
        return line
    }
}

extension ClusterSuite {
    @Suite(.timeLimit(.minutes(1))) struct ChatCommandScenarios {
        private func name(_ name: String) -> String {
            "\(name)-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        }

        @Test func twoPeopleChatInTheirTerminals() async throws {
            let cluster = try await TestCluster.shared()
            let folder = TestCluster.temporaryFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let (ada, bob) = (name("ada"), name("bob"))
            try await Dialogue.with(cluster, bob, configuration: folder) { bobs in
                try await bobs.expect("No conversations yet")
                try await Dialogue.with(cluster, ada, configuration: folder) { adas in
                    try await adas.say("/open @\(bob)")
                    try await adas.say("hello \u{1B}[31mthere")
                    try await adas.expect("#1 \(ada): hello [31mthere")
                    try await bobs.expect("[\(ada)]")
                    try await bobs.say("/open \(ada)")
                    try await bobs.expect("#1 \(ada): hello [31mthere")
                    try await adas.expect("\(bob) has read up to #1")
                    try await bobs.say("/reply 1 two\tlines")
                    try await adas.expect("#2 \(bob) (to #1): two    lines")
                    try await adas.say("/react 2 👍")
                    try await bobs.expect("\(ada) reacted 👍 to #2")
                    try await bobs.say("/edit better")
                    try await adas.expect("\(bob) edited #2: better")
                    try await adas.say("/delete")
                    try await bobs.expect("\(ada) deleted #1")
                    try await adas.say("/edit #2 not mine")
                    try await adas.expect("! not edited")
                    try await adas.say("/nonsense")
                    try await adas.expect("! there is no command /nonsense")

                    // Its node dies: it is connected again, and has what was said meanwhile.
                    let someone = try await cluster.someone()
                    let id = try #require(try await someone.user(named: ada)?["id"].string)
                    let sessions = try await cluster.rest.json(
                        "GET", "/sessions-service/v1/sessions?user=\(id)", token: cluster.adminToken)
                    let node = try #require(sessions["items"][0]["node"].string)
                    try cluster.signal(node, SIGKILL)
                    try await bobs.say("are you back?")
                    try await adas.expect("connecting again")
                    try await adas.expect("\(bob): are you back?")
                }
            }
            try await cluster.waitUntilWhole()
        }

        @Test func aScriptNeedNotWaitAndStaysTheSameDevice() async throws {
            let cluster = try await TestCluster.shared()
            let folder = TestCluster.temporaryFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let bob = try await People.register(cluster, "bob")
            let ada = name("ada")
            try await Dialogue.with(cluster, ada, configuration: folder) { script in
                for line in ["/open \(bob.username)", "one", "two", "/edit two and a half"] {
                    try await script.say(line)
                }
            }
            let conversation = try #require(try await bob.conversations(groups: false).first?["id"].string)
            let texts = try await bob.history(conversation, after: 0).map { $0["body"]["text"].string }
            #expect(texts == ["one", "two and a half"])
            try await Dialogue.with(cluster, ada, register: false, configuration: folder) { script in
                try await script.say("/open \(bob.username)")
                try await script.expect("#2 \(ada): two and a half (edited)")
            }
            let account = try await Account.login(cluster.rest, login: ada)
            // The one that the program has, and the one of this login.
            #expect(try await account.json("GET", "/user-service/v1/devices")["items"].array?.count == 2)
            let path = folder + "/roost/devices.json"
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
            #expect(mode?.intValue == 0o600)
        }

        @Test func groupsInATerminal() async throws {
            let cluster = try await TestCluster.shared()
            let folder = TestCluster.temporaryFolder()
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let (ada, bob, group) = (name("ada"), name("bob"), name("The team"))
            try await Dialogue.with(cluster, bob, configuration: folder) { bobs in
                try await bobs.expect("No conversations yet")
                try await Dialogue.with(cluster, ada, configuration: folder) { adas in
                    try await adas.say("/create \(group) --public")
                    try await adas.expect("the group \(group) is open")
                    try await bobs.say("/groups \(group)")
                    try await bobs.expect("1 member")
                    try await bobs.say("/join \(group)")
                    try await bobs.expect("the group \(group) is open")
                    try await adas.expect("\(bob) joined")
                    try await bobs.say("hello all")
                    try await adas.expect("\(bob): hello all")
                    try await adas.say("/members")
                    try await adas.expect("\(ada)  owner")
                    try await adas.say("/search hello")
                    try await adas.say("/remove \(bob)")
                    try await bobs.expect("\(ada) removed \(bob)")
                    try await bobs.say("still here")
                    try await bobs.expect("! nothing is open")
                }
            }
        }
    }
}

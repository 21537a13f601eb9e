import ArgumentParser
import Foundation
import Glibc
import LocalCluster
import NIOConcurrencyHelpers
import UnixSignals

/// `roost up`: a whole cluster on this machine, until Ctrl-C.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run a whole cluster on this machine.",
        discussion: """
            Starts a private ZooKeeper, PostgreSQL and Redis, every service, the chat nodes and the gateway, each a process \
            of its own, and says `ready` with the gateway's URL when a client could log in, connect and send. Ctrl-C stops \
            all of it. What it keeps is in the data directory; see cluster.json and logs/ there.
            """)

    @Option(help: "The gateway's port; 0 picks a free one.")
    var port = 8080

    @Option(help: "Where everything is kept.")
    var dataDir = ".roost"

    @Option(help: "How many chat nodes.")
    var chatNodes = 3

    @Option(help: "An address that the gateway listens on instead of loopback alone. May be repeated.")
    var bind: [String] = []

    @Flag(help: "Lead clients straight to the nodes instead of through the gateway.")
    var direct = false

    @Flag(help: "Turn rate limits off, for load tests.")
    var noLimits = false

    @Option(help: "A configuration file for the services.")
    var config: String?

    @Flag(help: "Leave dead what dies.")
    var noRestart = false

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port is a number from 0 to 65535.") }
        guard (1...200).contains(chatNodes) else { throw ValidationError("--chat-nodes is a number from 1 to 200.") }
        if let config, access(config, R_OK) != 0 { throw ValidationError("Cannot read \(config).") }
    }

    private var options: LocalClusterOptions {
        get throws {
            var options = LocalClusterOptions(
                executable: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            options.port = port
            options.dataDirectory = dataDir
            if !bind.isEmpty { options.addresses = bind }
            options.roles = RoleEntry.standard(chatNodes: chatNodes)
            options.direct = direct
            options.limits = !noLimits
            options.configuration = config
            options.restarts = !noRestart
            options.share = ProcessInfo.processInfo.environment["ROOST_SHARE"]
            return options
        }
    }

    func run() async throws {
        // A reader of our output that goes away is no reason to end.
        signal(SIGPIPE, SIG_IGN)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        let options = try options
        let isReady = NIOLockedValueBox(false)
        let (stop, stopNow) = AsyncStream<Void>.makeStream()
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await LocalCluster.withCluster(options, progress: Self.say) { cluster in
                        isReady.withLockedValue { $0 = true }
                        Self.say("ready \(cluster.gateway)")
                        for await _ in stop { break }
                    }
                }
                group.addTask {
                    var hasAsked = false
                    for await _ in signals {
                        // While it starts, and when asked twice: at once.
                        if hasAsked || !isReady.withLockedValue({ $0 }) { return }
                        hasAsked = true
                        stopNow.yield()
                    }
                }
                // Either the cluster has ended, or it shall.
                defer { group.cancelAll() }
                try await group.next()
            }
            // As shells have it for what Ctrl-C ends.
            if !isReady.withLockedValue({ $0 }) { throw ExitCode(130) }
        } catch let error as LocalClusterError {
            Self.complain(error.message)
            throw ExitCode.failure
        }
    }

    private static func say(_ progress: LocalCluster.Progress) {
        switch progress {
        case .endedLeftovers(let count):
            say("ended \(count) process\(count == 1 ? "" : "es") that a killed cluster had left")
        case .ready(let name, let after, let address):
            let seconds = Double(after.components.seconds) + Double(after.components.attoseconds) / 1e18
            let place = address.map { "  \($0)" } ?? ""
            let padded = name.padding(toLength: max(12, name.count), withPad: " ", startingAt: 0)
            say("\(padded) ready in \(String(format: "%.1f", seconds)) s\(place)")
        case .exited(let name, let exit):
            say("\(name) \(exit)")
        case .restarted(let name, let pid):
            say("\(name) started again, process \(pid)")
        case .stopping:
            say("stopping")
        }
    }

    private static func say(_ line: String) {
        write(line, to: STDOUT_FILENO)
    }

    private static func complain(_ line: String) {
        write("roost: \(line)", to: STDERR_FILENO)
    }

    /// A whole line at once, unbuffered: whoever reads a pipe sees it now.
    private static func write(_ line: String, to descriptor: Int32) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}

/// `roost guard`: what `roost up` starts for the case that it is killed.
struct GuardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guard", abstract: "End what a killed cluster leaves behind.", shouldDisplay: false)

    @Argument var dataDirectory: String
    @Argument var cluster: String
    @Flag var deleteData = false

    func run() async throws {
        await ClusterGuard.run(dataDirectory: dataDirectory, run: cluster, deletesData: deleteData)
    }
}

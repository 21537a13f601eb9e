import ArgumentParser
import LoadBench

/// Opens many connections that do nothing, and says what the chat nodes hold for each.
struct IdleBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle", abstract: "Memory of idle, authenticated connections, and how fast they come.",
        discussion: "Some 19,000 connections at most: a process has 20,000 descriptors on most machines.")

    @OptionGroup var target: BenchTarget
    @Option(name: .shortAndLong, help: "Connections.") var connections = 10_000
    @Option(help: "Accounts that share them (500; with --burst one each); each connection is a device's.")
    var accounts: Int?
    @Option(help: "Connections under way at once.") var concurrency = 64
    @Option(help: "Seconds to hold them before measuring.") var hold = 10
    @Flag(help: "After the hold, each sends one message and gets one.") var burst = false
    @Option(help: "Bytes of text of such a message.") var burstSize = 8192
    @OptionGroup var output: BenchOutput

    func validate() throws {
        guard burst, let accounts, accounts < connections else { return }
        // Others of the account get the message as well, and nobody could tell it from a repeat.
        throw ValidationError("With --burst each connection needs an account of its own: leave --accounts out.")
    }

    func run() async throws {
        let accounts = accounts ?? (burst ? connections : 500)
        let scenario = IdleScenario(
            connections: connections, accounts: accounts, concurrency: concurrency, hold: hold,
            burst: burst ? burstSize : nil)
        try await output.run(
            "idle", on: target,
            options: [
                ("connections", "\(connections)"), ("accounts", "\(accounts)"), ("concurrency", "\(concurrency)"),
                ("hold", "\(hold) s"), ("burst", burst ? "\(burstSize) bytes" : "no"),
            ], scenario.run)
    }
}

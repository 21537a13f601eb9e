import ArgumentParser
import Client
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// Opens many connections that do nothing, and says what the chat nodes hold for each.
struct IdleBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "idle", abstract: "Memory of idle, authenticated connections, and how fast they come.")

    @OptionGroup var target: BenchTarget
    @Option(name: .shortAndLong, help: "Connections.") var connections = 10_000
    @Option(help: "Accounts that share them; each connection is a device's.") var accounts = 500
    @Option(help: "Connects under way at once.") var concurrency = 64
    @Option(help: "Seconds to hold them before measuring.") var hold = 10

    func run() async throws {
        let cluster = try ClusterProcesses.read(dataDirectory: target.dataDir)
        let addresses = try target.addresses(cluster)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: target.loops)
        let total = connections
        let people = try await BenchAccounts.register(min(accounts, total), gateway: cluster.gateway) {
            progressLine("registered \($0)")
        }
        progressLine("fetching tickets")
        // Tickets live 30 seconds, so they are taken as they are needed; the time for them is not the connections'.
        let before = cluster.usage()
        let ticketSeconds = NIOLockedValueBox(0.0)
        let start = ContinuousClock.now
        let open = try await withThrowingTaskGroup(of: BenchConnection.self) { tasks in
            var open: [BenchConnection] = []
            var next = 0
            func add() {
                guard next < total else { return }
                let index = next
                next += 1
                tasks.addTask {
                    let account = people[index % people.count]
                    let asked = ContinuousClock.now
                    let ticket = try await account.ticket()
                    let took = (ContinuousClock.now - asked).seconds
                    ticketSeconds.withLockedValue { $0 += took }
                    let connection = BenchConnection(account: account, loop: group.next())
                    try await connection.connect(url: addresses[index % addresses.count] + "?ticket=\(ticket)")
                    return connection
                }
            }
            for _ in 0..<concurrency { add() }
            for try await connection in tasks {
                open.append(connection)
                if open.count % 500 == 0 { progressLine("connected \(open.count) of \(total)") }
                add()
            }
            return open
        }
        let seconds = (ContinuousClock.now - start).seconds
        progressLine("connected \(open.count) of \(total); holding for \(hold) s", last: true)
        try await Task.sleep(for: .seconds(hold))
        let after = cluster.usage()

        let nodes = cluster.processes.filter { $0.role == "chat" }.map(\.name)
        let grown = nodes.reduce(0) { $0 + (after.anonymousKiB[$1] ?? 0) - (before.anonymousKiB[$1] ?? 0) }
        print("connections        \(open.count) on \(nodes.count) nodes")
        print("connected and synced, tickets included: \((Double(total) / seconds).rounded())/s")
        print("RssAnon growth     \(grown) KiB = \((Double(grown) / Double(total)).formatted(2)) KiB a connection")
        for connection in open { connection.close() }
        try await Task.sleep(for: .seconds(hold))
        let left = cluster.usage()
        let kept = nodes.reduce(0) { $0 + (left.anonymousKiB[$1] ?? 0) - (before.anonymousKiB[$1] ?? 0) }
        print("after all left     \(kept) KiB above the start")
        try await group.shutdownGracefully()
    }
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension Double {
    /// With that many digits after the point.
    func formatted(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

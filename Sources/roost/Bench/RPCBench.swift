import ArgumentParser
import Foundation
import LoadBench
import Logging
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport

/// Calls between two processes over one connection.
struct RPCBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rpc",
        abstract: "RPC calls a second and their latency: callers share one connection to another process.")

    @Option(help: "Callers at once.") var callers = 64
    @Option(name: .shortAndLong, help: "Seconds measured.") var seconds = 5
    @OptionGroup var output: BenchOutput
    @Option(help: .hidden) var serve: String?

    func run() async throws {
        if serve != nil { return try await Self.server() }
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        server.arguments = ["bench", "rpc", "--serve", "yes"]
        let pipe = Pipe()
        server.standardOutput = pipe
        try server.run()
        defer { server.terminate() }
        guard let line = String(data: pipe.fileHandleForReading.availableData, encoding: .utf8), !line.isEmpty else {
            throw BenchFailure("the serving process did not say where it listens")
        }
        let address = line.trimmingCharacters(in: .whitespacesAndNewlines)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let pool = RPCPool(
            role: "bench",
            configuration: RPCPoolConfiguration(
                identity: RPCIdentity(role: "bench", id: "client"), security: .sharedKey("bench")),
            eventLoopGroup: group, logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
        pool.update([RPCPeer(id: "server", address: address, epoch: 1)])
        let stub = DiscoveryStub(pool)
        let (callers, seconds, pid) = (callers, seconds, server.processIdentifier)
        let facts = output.facts(
            "rpc", options: [("callers", "1 and \(callers)"), ("seconds", "\(seconds)")], processes: [])
        let report = try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await pool.run() }
            _ = try await stub.pick(Self.request)
            var report = Report(facts: facts)
            for count in Set([1, callers]).sorted() {
                progressLine("callers: \(count)")
                try await Self.measure(
                    stub, callers: count, seconds: seconds, loop: group.next(), server: pid, into: &report)
            }
            tasks.cancelAll()
            return report
        }
        try await group.shutdownGracefully()
        try output.write(report)
    }

    private static let request = {
        var request = DiscoveryPickRequest()
        request.exclude = ["hello, a small chat message"]
        return request
    }()

    private static func measure(
        _ stub: DiscoveryStub, callers: Int, seconds: Int, loop: any EventLoop, server: Int32, into report: inout Report
    ) async throws {
        let used = (cpu(getpid()), cpu(server))
        let start = ContinuousClock.now
        let results = try await withThrowingTaskGroup(of: LatencyRecorder.self) { tasks in
            for _ in 0..<callers {
                tasks.addTask { try await Caller(stub: stub, loop: loop, until: start + .seconds(seconds)).run() }
            }
            var results: [LatencyRecorder] = []
            for try await result in tasks { results.append(result) }
            return results
        }
        let elapsed = (ContinuousClock.now - start).seconds
        var all = LatencyRecorder()
        for result in results { all.add(result) }
        let name = callers == 1 ? "1 caller" : "\(callers) callers"
        let calls = Double(max(1, all.count))
        report.figures += [
            Report.Figure("\(name): calls", calls / elapsed, .perSecond),
            Report.Figure("  client CPU a call", (cpu(getpid()) - used.0) / calls * 1e6, .microseconds),
            Report.Figure("  server CPU a call", (cpu(server) - used.1) / calls * 1e6, .microseconds),
        ]
        report.latencies.append(all.summary(name))
    }

    /// One caller: a call, and when it is answered the next, all on the connection's loop.
    private final class Caller: Sendable {
        private let stub: DiscoveryStub
        private let loop: any EventLoop
        private let end: ContinuousClock.Instant
        private let box: NIOLoopBound<Box>
        private let done: EventLoopPromise<LatencyRecorder>

        final class Box {
            var latencies = LatencyRecorder()
        }

        init(stub: DiscoveryStub, loop: any EventLoop, until end: ContinuousClock.Instant) async throws {
            (self.stub, self.loop, self.end) = (stub, loop, end)
            box = try await loop.submit { NIOLoopBound(Box(), eventLoop: loop) }.get()
            done = loop.makePromise()
        }

        func run() async throws -> LatencyRecorder {
            loop.execute { self.next() }
            return try await done.futureResult.get()
        }

        private func next() {
            let start = ContinuousClock.now
            stub.pick(RPCBench.request, on: loop) { result in
                let now = ContinuousClock.now
                switch result {
                case .success: self.box.value.latencies.record(nanoseconds: UInt64((now - start).seconds * 1e9))
                case .failure(let error): return self.done.fail(error)
                }
                if now < self.end { self.next() } else { self.done.succeed(self.box.value.latencies) }
            }
        }
    }

    private static func cpu(_ pid: Int32) -> Double {
        MachineReader.cpuSeconds(pid)
    }

    // The serving process

    private static func server() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = RPCServer(
            configuration: RPCServerConfiguration(
                identity: RPCIdentity(role: "bench", id: "server"), security: .sharedKey("bench")),
            services: [DiscoveryRegistration(Echo())], eventLoopGroup: group,
            logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() })
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await server.run() }
            // Not by print: its buffer would keep the line.
            FileHandle.standardOutput.write(Data("\(try await server.boundAddress())\n".utf8))
            try await tasks.waitForAll()
        }
    }

    private struct Echo: DiscoveryService {
        func pick(_ request: DiscoveryPickRequest, context: RPCContext) async throws -> DiscoveryPickResponse {
            var response = DiscoveryPickResponse()
            response.node.id = request.exclude.first ?? ""
            return response
        }

        func nodes(_ request: DiscoveryNodesRequest, context: RPCContext) async throws -> DiscoveryNodesResponse {
            DiscoveryNodesResponse()
        }
    }
}

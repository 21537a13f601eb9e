import Glibc
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf

/// What a run of calls came to.
struct RPCBenchReport: Sendable {
    var name: String
    var callers: Int
    var calls: Int
    var seconds: Double
    /// Microseconds.
    var p50: Double
    var p99: Double
    /// Processor time of both sides together, in microseconds a call.
    var cpu: Double

    var line: String {
        let rate = Int(Double(calls) / max(seconds, 0.001))
        return "\(name), \(callers) callers: \(rate) calls/s, p50 \(p50) us, p99 \(p99) us, CPU \(cpu) us a call"
    }
}

/// Measures calls on one connection between two event loops of this process.
/// - Parameters:
///   - callers: each makes its next call when it has the answer to the last.
///   - suspending: the handler suspends once, as one that waits for a store does.
func runRPCBench(callers: Int, seconds: Int, suspending: Bool = false) async throws -> [RPCBenchReport] {
    let servers = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let clients = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let logger = Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
    let security = RPCSecurity.sharedKey("bench")
    let server = RPCServer(
        configuration: RPCServerConfiguration(identity: RPCIdentity(role: "messages", id: "1"), security: security),
        services: [MessagesRegistration(Answering(suspending: suspending))], eventLoopGroup: servers, logger: logger)
    let pool = RPCPool(
        role: "messages",
        configuration: RPCPoolConfiguration(identity: RPCIdentity(role: "bench", id: "1"), security: security),
        eventLoopGroup: clients, logger: logger)
    var reports: [RPCBenchReport] = []
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run() }
        pool.update([RPCPeer(id: "1", address: try await server.boundAddress(), epoch: 1)])
        let stub = MessagesStub(pool)
        _ = try await stub.send(request)
        reports.append(try await measure("tasks", callers) { try await callInTasks(stub, callers, seconds) })
        reports.append(
            try await measure("callbacks", callers) { try await callBack(stub, callers, seconds, clients.next()) })
        pool.close()
        tasks.cancelAll()
        try await tasks.waitForAll()
    }
    try await servers.shutdownGracefully()
    try await clients.shutdownGracefully()
    return reports
}

private let request = MessagesSendRequest.with {
    $0.user = 1
    $0.device = 2
    $0.conversation = 3
    $0.clientID = "0123456789abcdef"
    $0.body.text = "hello, a small chat message"
}

private struct Answering: MessagesService {
    let suspending: Bool

    func send(_ request: MessagesSendRequest, context: RPCContext) async throws -> MessagesSendResponse {
        if suspending { await Task.yield() }
        return .with {
            $0.conversation = request.conversation
            $0.seq = request.user
        }
    }
}

/// Every caller is a task.
private func callInTasks(_ stub: MessagesStub, _ callers: Int, _ seconds: Int) async throws -> [UInt32] {
    let end = NIODeadline.now() + .seconds(Int64(seconds))
    return try await withThrowingTaskGroup(of: [UInt32].self) { tasks in
        for _ in 0..<callers {
            tasks.addTask {
                var taken: [UInt32] = []
                var before = NIODeadline.now()
                while before < end {
                    _ = try await stub.send(request)
                    let now = NIODeadline.now()
                    taken.append(UInt32(clamping: (now - before).nanoseconds))
                    before = now
                }
                return taken
            }
        }
        return try await tasks.reduce(into: []) { $0 += $1 }
    }
}

/// Every caller is a chain of callbacks on the connection's own loop.
private func callBack(
    _ stub: MessagesStub, _ callers: Int, _ seconds: Int, _ loop: any EventLoop
) async throws -> [UInt32] {
    let end = NIODeadline.now() + .seconds(Int64(seconds))
    let taken = NIOLockedValueBox<[UInt32]>([])
    let chains = (0..<callers).map { _ in loop.makePromise(of: Void.self) }
    @Sendable func call(_ promise: EventLoopPromise<Void>) {
        let before = NIODeadline.now()
        guard before < end else { return promise.succeed() }
        stub.send(request, on: loop) { result in
            if case .failure(let error) = result { return promise.fail(error) }
            taken.withLockedValue { $0.append(UInt32(clamping: (NIODeadline.now() - before).nanoseconds)) }
            call(promise)
        }
    }
    for promise in chains { loop.execute { call(promise) } }
    for promise in chains { try await promise.futureResult.get() }
    return taken.withLockedValue { $0 }
}

private func measure(
    _ name: String, _ callers: Int, _ body: () async throws -> [UInt32]
) async throws -> RPCBenchReport {
    let cpuBefore = processorMicroseconds()
    let before = NIODeadline.now()
    let taken = try await body().sorted()
    let seconds = Double((NIODeadline.now() - before).nanoseconds) / 1e9
    let cpu = processorMicroseconds() - cpuBefore
    func percentile(_ share: Double) -> Double {
        taken.isEmpty ? 0 : Double(taken[min(taken.count - 1, Int(Double(taken.count) * share))] / 100) / 10
    }
    return RPCBenchReport(
        name: name, callers: callers, calls: taken.count, seconds: seconds, p50: percentile(0.5),
        p99: percentile(0.99), cpu: (cpu / Double(max(1, taken.count)) * 100).rounded() / 100)
}

/// Processor time that this process has used, in microseconds.
private func processorMicroseconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

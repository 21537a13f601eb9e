import Benchmark
import Logging
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport

/// Calls over one connection on the loopback interface, both ends in this process, each on a thread of its own.
func addCallBenchmarks() {
    for callers in [1, 64] {
        Benchmark("rpc-socket-callers-\(callers)") { benchmark in
            try await withConnection { pool in
                try await call(pool, callers: callers, times: 1000)
                try await measure(benchmark) { count in try await call(pool, callers: callers, times: count) }
            }
        }
    }
}

private let echo = RPCMethod<RelayAppendRequest, RelayAppendResponse>("roost.benchmark.v1.Echo/Echo")

private struct Echo: RPCService {
    let name = "roost.benchmark.v1.Echo"
    let methods: [RPCServiceMethod] = [
        .unary(echo) { request, _ in
            var response = RelayAppendResponse()
            response.conversation = request.conversation
            return response
        }
    ]
}

/// So many calls by so many callers, each of whom makes the next when the last is answered.
private func call(_ pool: RPCPool, callers: Int, times: Int) async throws {
    var request = RelayAppendRequest()
    request.conversation = 4_611_686_018_427_388_160
    request.sender = 3_074_457_345_618_258_602
    request.clientID = "0f3c9a52-77d1-4c1e-9b60-2f1d5e8a0001"
    request.kind = .message
    request.body.text = "See you at the station at half past seven, I'll bring the tickets"
    let sent = request
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        for caller in 0..<callers {
            tasks.addTask {
                for _ in 0..<(times / callers + (caller < times % callers ? 1 : 0)) {
                    let _: RelayAppendResponse = try await pool.unary(echo, sent, CallOptions())
                }
            }
        }
        try await tasks.waitForAll()
    }
}

/// A server, and a pool that is connected to it, during `body`.
private func withConnection(_ body: (RPCPool) async throws -> Void) async throws {
    let security = RPCSecurity.sharedKey("benchmark")
    let logger = Logger(label: "benchmark") { _ in SwiftLogNoOpLogHandler() }
    let serverGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let clientGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let server = RPCServer(
        configuration: RPCServerConfiguration(
            identity: RPCIdentity(role: "benchmark", id: "server"), security: security),
        services: [Echo()], eventLoopGroup: serverGroup, logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run() }
        let address = try await server.boundAddress()
        let pool = RPCPool(
            role: "benchmark",
            configuration: RPCPoolConfiguration(
                identity: RPCIdentity(role: "benchmark", id: "client"), security: security),
            eventLoopGroup: clientGroup, logger: logger)
        pool.update([RPCPeer(id: "server", address: address, epoch: 1)])
        tasks.addTask { await pool.run() }
        try await body(pool)
        tasks.cancelAll()
        try await tasks.waitForAll()
    }
    try await clientGroup.shutdownGracefully()
    try await serverGroup.shutdownGracefully()
}

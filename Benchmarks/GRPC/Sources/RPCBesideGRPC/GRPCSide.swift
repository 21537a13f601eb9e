import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix

/// The same calls by gRPC: HTTP/2 without TLS, its defaults in everything else, and messages that are bytes already, so
/// that it is spared the Protobuf that Roost's calls encode and decode.
enum GRPCSide {
    /// What `roost bench rpc` sends, encoded: field 1, a text. Roost's answer has two bytes more.
    private static let message: [UInt8] = {
        let text = Array("hello, a small chat message".utf8)
        return [0x0A, UInt8(text.count)] + text
    }()

    static func measure(callers: [Int], seconds: Int) async throws -> [Figures] {
        let server = Process()
        server.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        server.arguments = ["--serve"]
        let (input, output) = (Pipe(), Pipe())
        (server.standardInput, server.standardOutput) = (input, output)
        try server.run()
        defer { server.terminate() }
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let port = Int(line.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw ComparisonFailure("the serving process did not say where it listens")
        }
        let pid = server.processIdentifier
        return try await withGRPCClient(
            transport: .http2NIOPosix(target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext)
        ) { client in
            try await call(client)  // connects
            var figures: [Figures] = []
            for count in callers {
                figures.append(try await measure(client, callers: count, seconds: seconds, server: pid))
            }
            return figures
        }
    }

    private static func measure(
        _ client: GRPCClient<HTTP2ClientTransport.Posix>, callers: Int, seconds: Int, server: Int32
    ) async throws -> Figures {
        let used = (try cpuSeconds(getpid()), try cpuSeconds(server))
        let start = ContinuousClock.now
        let end = start + .seconds(seconds)
        let latencies = try await withThrowingTaskGroup(of: LatencyRecorder.self) { tasks in
            for _ in 0..<callers {
                tasks.addTask {
                    var latencies = LatencyRecorder()
                    var now = ContinuousClock.now
                    while now < end {
                        let start = now
                        try await call(client)
                        now = .now
                        latencies.record(nanoseconds: UInt64((now - start).nanoseconds))
                    }
                    return latencies
                }
            }
            return try await tasks.reduce(into: LatencyRecorder()) { $0.add($1) }
        }
        let elapsed = (ContinuousClock.now - start).nanoseconds / 1e9
        let calls = Double(max(1, latencies.count))
        return Figures(
            callsPerSecond: calls / elapsed, p50: latencies.milliseconds(at: 50) * 1000,
            p99: latencies.milliseconds(at: 99) * 1000,
            clientCPU: (try cpuSeconds(getpid()) - used.0) / calls * 1e6,
            serverCPU: (try cpuSeconds(server) - used.1) / calls * 1e6)
    }

    private static func call(_ client: GRPCClient<HTTP2ClientTransport.Posix>) async throws {
        let answer = try await client.unary(
            request: ClientRequest(message: message), descriptor: Echo.method, serializer: Plain(),
            deserializer: Plain(), options: .defaults
        ) { try $0.message }
        guard answer.count == message.count else { throw ComparisonFailure("gRPC's answer is not what was sent") }
    }

    /// Seconds of CPU that a process used, in user and system mode.
    private static func cpuSeconds(_ pid: Int32) throws -> Double {
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: "/proc/\(pid)/stat")))
        guard let stat = ProcParsing.stat(bytes) else { throw ComparisonFailure("cannot read /proc/\(pid)/stat") }
        return Double(stat.ticks) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    // The serving process

    /// Serves until standard input ends, as it does when the process that started this one is gone.
    static func serve() async throws {
        let server = GRPCServer(
            transport: .http2NIOPosix(address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext),
            services: [Echo()])
        Thread.detachNewThread {
            _ = try? FileHandle.standardInput.readToEnd()
            exit(0)
        }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await server.serve() }
            guard let port = try await server.listeningAddress?.ipv4?.port else {
                throw ComparisonFailure("the server does not say where it listens")
            }
            // Not by print: its buffer would keep the line.
            FileHandle.standardOutput.write(Data("\(port)\n".utf8))
            try await tasks.waitForAll()
        }
    }

    /// As gRPC's generator would write it for a method `rpc Echo`.
    private struct Echo: RegistrableRPCService {
        static let method = MethodDescriptor(
            service: ServiceDescriptor(fullyQualifiedService: "roost.benchmark.v1.Echo"), method: "Echo", type: .unary)

        func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
            router.registerHandler(forMethod: Self.method, deserializer: Plain(), serializer: Plain()) { request, _ in
                let request = try await ServerRequest(stream: request)
                return StreamingServerResponse(single: ServerResponse(message: request.message))
            }
        }
    }

    private struct Plain: MessageSerializer, MessageDeserializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) -> Bytes { Bytes(message) }
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) -> [UInt8] { bytes.withUnsafeBytes(Array.init) }
    }
}

extension Duration {
    fileprivate var nanoseconds: Double { Double(components.seconds) * 1e9 + Double(components.attoseconds) / 1e9 }
}

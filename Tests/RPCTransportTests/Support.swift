import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import SwiftProtobuf
import Testing

let group = MultiThreadedEventLoopGroup.singleton
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
let secret = RPCSecurity.sharedKey("a key for tests")

/// Waits until something is so, ten seconds at most.
func eventually(
    _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async rethrows {
    let end = ContinuousClock.now + .seconds(10)
    while ContinuousClock.now < end {
        if try await condition() { return }
        try? await Task.sleep(for: .milliseconds(2))
    }
    Issue.record(what, sourceLocation: sourceLocation)
}

/// A service whose answers the tests choose; the messages are those of `last-seen`.
final class Scripted: LastSeenService, Sendable {
    struct Seen: Sendable {
        var gets = 0
        var reports = 0
        var cancelled = 0
        var written = 0
        var followEnded = 0
        var traces: [String] = []
        var remaining: [Duration?] = []
        var peers: [RPCIdentity] = []
    }

    let name: String
    let seen = NIOLockedValueBox(Seen())

    init(_ name: String = "") { self.name = name }

    /// Answers with the viewer; 1: never answers; 2: an error with details; 3: a fault; 4: a large answer; 5: suspends first.
    func get(_ request: LastSeenGetRequest, context: RPCContext) async throws -> LastSeenGetResponse {
        seen.withLockedValue { seen in
            seen.gets += 1
            seen.remaining.append(context.remaining)
            seen.peers.append(context.peer)
            if let trace = context.trace { seen.traces.append(trace) }
        }
        switch request.viewer {
        case 1: try await hang()
        case 2: throw RPCError(.conflict, "not now", details: ["why": "busy"])
        case 3: throw ChannelError.eof
        case 4:
            return .with { $0.presences = Array(repeating: .with { $0.user = .max }, count: 1 << 20) }
        case 5: await Task.yield()
        default: break
        }
        return .with { $0.presences = [.with { $0.user = request.viewer }] }
    }

    func report(_ request: RosterUpdate, context: RPCContext) async throws -> RosterReply {
        seen.withLockedValue { $0.reports += 1 }
        if request.node == "hang" { try await hang() }
        return RosterReply()
    }

    /// Sends numbered messages for ever.
    func follow(
        _ request: LastSeenFollowRequest, writer: RPCStreamWriter<LastSeenFollowPage>, context: RPCContext
    ) async throws {
        defer { seen.withLockedValue { $0.followEnded += 1 } }
        for number in 1...UInt64.max {
            if number == 101, name == "hundred" { return }
            try await writer.write(.with { $0.presences = [.with { $0.user = number }] })
            seen.withLockedValue { $0.written += 1 }
        }
    }

    private func hang() async throws {
        do {
            try await Task.sleep(for: .seconds(60))
        } catch {
            seen.withLockedValue { $0.cancelled += 1 }
            throw error
        }
    }
}

/// A server that runs during `body`.
func withServer<R>(
    _ service: Scripted, id: String = "one", port: Int = 0,
    configure: (inout RPCServerConfiguration) -> Void = { _ in },
    _ body: (RPCServer, RPCPeer) async throws -> R
) async throws -> R {
    var configuration = RPCServerConfiguration(
        port: port, identity: RPCIdentity(role: "last-seen", id: id), security: secret)
    configuration.drainTimeout = .milliseconds(500)
    configure(&configuration)
    let server = RPCServer(
        configuration: configuration, services: [LastSeenRegistration(service)], eventLoopGroup: group, logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run() }
        let address = try await server.boundAddress()
        let result = try await body(server, RPCPeer(id: id, address: address, epoch: 1))
        tasks.cancelAll()
        try await tasks.waitForAll()
        return result
    }
}

/// A pool that knows these peers, during `body`.
func withPool<R>(
    _ peers: [RPCPeer], security: RPCSecurity = secret, configure: (inout RPCPoolConfiguration) -> Void = { _ in },
    _ body: (RPCPool) async throws -> R
) async throws -> R {
    var configuration = RPCPoolConfiguration(identity: RPCIdentity(role: "test", id: "t1"), security: security)
    configuration.peerWait = .seconds(10)
    configure(&configuration)
    let pool = RPCPool(role: "last-seen", configuration: configuration, eventLoopGroup: group, logger: quiet)
    pool.update(peers)
    defer { pool.close() }
    return try await body(pool)
}

/// The error that a call ends with.
func failure<R>(_ call: () async throws(RPCError) -> R) async -> RPCError? {
    do {
        _ = try await call()
        return nil
    } catch {
        return error
    }
}

func viewer(_ number: UInt64) -> LastSeenGetRequest { .with { $0.viewer = number } }

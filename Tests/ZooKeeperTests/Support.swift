import Logging
import TestServers
import Testing

@testable import ZooKeeper

/// One server for all the tests of a suite, which run one after the other.
struct SharedZooKeeper: SuiteTrait, TestScoping {
    @TaskLocal static var current: ZooKeeperServer?

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await ZooKeeperServer.withServer { server in
            try await Self.$current.withValue(server) { try await function() }
        }
    }

    static var server: ZooKeeperServer {
        get throws { try #require(self.current) }
    }
}

/// Runs `body` with a client, whose session is short.
func withClient<R>(
    _ server: ZooKeeperServer, auth: ZooKeeperConfiguration.Digest? = nil, sessionTimeout: Duration = .seconds(1),
    operationTimeout: Duration = .seconds(5), _ body: (ZooKeeperClient) async throws -> R
) async throws -> R {
    let configuration = ZooKeeperConfiguration(
        servers: server.address, sessionTimeout: sessionTimeout, auth: auth, operationTimeout: operationTimeout)
    let client = ZooKeeperClient(
        configuration: configuration, logger: Logger(label: "zookeeper") { _ in SwiftLogNoOpLogHandler() })
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await client.run() }
        do {
            try await client.connected(within: .seconds(10))
            let result = try await body(client)
            group.cancelAll()
            try await group.waitForAll()
            return result
        } catch {
            group.cancelAll()
            throw error
        }
    }
}

/// Runs `body` while `run` runs.
func running<R>(
    _ run: @escaping @Sendable () async throws -> Void, _ body: () async throws -> R
) async throws -> R {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await run() }
        do {
            let result = try await body()
            group.cancelAll()
            try await group.waitForAll()
            return result
        } catch {
            group.cancelAll()
            throw error
        }
    }
}

/// Waits for a condition, for twenty seconds at most.
func eventually(
    _ what: Comment? = nil, _ condition: () async throws -> Bool, location: SourceLocation = #_sourceLocation
) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record(what ?? "it didn't come about", sourceLocation: location)
            return
        }
        try await Task.sleep(for: .milliseconds(10))
    }
}

func code(_ body: () async throws(ZooKeeperError) -> Void) async -> ZooKeeperError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return error.code
    }
}

/// Ends a client's session as nothing else could: another handle takes it over and closes it. The client takes its session
/// back when it can, so this may take several attempts.
func expire(_ client: ZooKeeperClient, on server: ZooKeeperServer) async throws {
    let session = try #require(client.session)
    for _ in 0..<50 where client.session == session {
        let connected = Once<Bool>()
        let opened = await onOwnThread {
            Handle.open(servers: server.address, timeout: .seconds(1), resuming: session) { event in
                if case .connected = event { connected.give(true) } else { connected.give(false) }
            }
        }
        let handle = try #require(opened)
        _ = await connected.value
        await onOwnThread { handle.close() }
        for _ in 0..<10 where client.session == session { try await Task.sleep(for: .milliseconds(20)) }
    }
    #expect(client.session != session)
}

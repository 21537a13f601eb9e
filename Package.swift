// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
]

// Products of the packages below, by the names the targets use.
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioTestUtils: Target.Dependency = .product(name: "NIOTestUtils", package: "swift-nio")
let nioConcurrency: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioFoundation: Target.Dependency = .product(name: "NIOFoundationCompat", package: "swift-nio")
let nioWebSocket: Target.Dependency = .product(name: "NIOWebSocket", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let coreMetrics: Target.Dependency = .product(name: "CoreMetrics", package: "swift-metrics")
let unixSignals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
let systemPackage: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let jwt: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let histogram: Target.Dependency = .product(name: "Histogram", package: "hdrhistogram-swift")
let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")

func library(_ name: String, _ dependencies: [Target.Dependency] = [], _ more: [SwiftSetting] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclusions[name] ?? [], swiftSettings: settings + more)
}

/// For generated messages alone: what is in a message's storage is reached only through the message, a value, whose accesses
/// are checked when it is compiled. Checking each field's again while it runs was a fifth of the instructions that a relay's batch
/// of appends takes to prepare.
let generatedStorage: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// Files in a target's folder that the compiler has no use for.
let exclusions: [String: [String]] = Dictionary(
    uniqueKeysWithValues: [
        "ChatNode", "Cluster", "Discovery", "Groups", "LastSeen", "LoadBench", "LocalCluster", "LogConsumer",
        "Messages", "Postgres", "Reactor", "Redis",
        "Relay", "Roster", "ServiceKit", "Sessions", "TerminalChat", "Users", "WebSocketEdge", "ZooKeeper",
    ].map { ($0, ["README.md"]) })

let package = Package(
    name: "roost",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "roost", targets: ["roost"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // C libraries: module maps only.
        .systemLibrary(name: "CZooKeeper", providers: [.apt(["libzookeeper-mt-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CEpoll"),

        // Pure: no I/O, no NIO.
        library("ChatModel"),  // ids, events, bodies, limits, rules
        library("Cluster"),  // membership, load, picking as values and state machines
        library("RPC", ["Cluster"]),  // calls, errors, deadlines, frame codec, connection state machine

        // Drivers: the only places that import a C module.
        library("Reactor", ["CEpoll", nioConcurrency]),  // one epoll thread that is also an actor executor
        library("ZooKeeper", ["CZooKeeper", logging, nioConcurrency]),
        library("Postgres", ["CLibPQ", "Reactor", logging, nioConcurrency, collections, crypto]),
        library("Redis", ["CHiredis", "Reactor", logging, nioConcurrency, collections, crypto]),

        // Wire and transport.
        library(
            "RPCTransport",
            ["RPC", nioCore, nioPosix, nioTLS, nioConcurrency, protobuf, logging, lifecycle, crypto]),
        library("Protocol", ["ChatModel", "RPC", "RPCTransport", protobuf, nioCore], generatedStorage),
        library("WebSocketEdge", [nioCore, nioPosix, nioConcurrency, crypto, collections, logging]),

        // Shared by services.
        library(
            "ServiceKit",
            [
                "ChatModel", "Cluster", "RPC", "RPCTransport", "Protocol", "ZooKeeper", "Postgres", "Redis", logging,
                metrics, coreMetrics, lifecycle, hummingbird, hummingbirdCore, configuration, nioCore, nioPosix,
                nioConcurrency, nioHTTP1, .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                httpTypes, jwt, crypto, systemPackage,
            ]),

        library("Roster", ["ChatModel", "Protocol", "Redis"]),  // who is connected where, leased, in Redis
        // Follows the log with a durable cursor: search today.
        library(
            "LogConsumer",
            ["ChatModel", "Protocol", "RPC", "RPCTransport", "Postgres", logging, metrics, coreMetrics, nioConcurrency]),

        // Services: none imports another.
        library(
            "ChatNode",
            [
                "ServiceKit", "WebSocketEdge", "Protocol", "ChatModel", "Cluster", "RPC", "RPCTransport", nioCore,
                nioPosix, nioConcurrency, logging, collections, protobuf,
            ]),
        library(
            "Discovery",
            [
                "ServiceKit", "Protocol", "Cluster", "ChatModel", "RPC", "RPCTransport", logging, hummingbird,
                lifecycle, nioCore, nioConcurrency, nioHTTP1, httpTypes, httpClient,
            ]),
        library(
            "Relay",
            [
                "ServiceKit", "Protocol", "Cluster", "ChatModel", "RPC", "RPCTransport", "Postgres", "Redis", "Reactor",
                logging, metrics, coreMetrics, hummingbird, lifecycle, nioCore, nioConcurrency, httpTypes, protobuf,
                collections,
            ]),
        library(
            "Sessions",
            [
                "ServiceKit", "Roster", "Protocol", "Cluster", "ChatModel", "RPC", "RPCTransport", "Redis", logging,
                hummingbird,
                lifecycle, nioCore, nioConcurrency, httpTypes,
            ]),
        library(
            "LastSeen",
            [
                "ServiceKit", "Roster", "Protocol", "Cluster", "ChatModel", "RPC", "RPCTransport", "Redis", logging,
                hummingbird,
                lifecycle, nioCore, nioConcurrency, httpTypes,
            ]),
        library(
            "Users",
            [
                "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres", "Redis", logging, hummingbird,
                lifecycle, nioCore, nioPosix, nioConcurrency, httpTypes, crypto, cryptoExtras, jwt,
            ]),
        library(
            "Messages",
            [
                "ServiceKit", "LogConsumer", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres", logging,
                metrics,
                coreMetrics, hummingbird, lifecycle, nioCore, nioConcurrency, httpTypes,
            ]),
        library(
            "Groups",
            [
                "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres", logging, metrics, coreMetrics,
                hummingbird, lifecycle, nioCore, nioConcurrency, httpTypes, crypto,
            ]),

        // Programs.
        library("LocalCluster", [subprocess, systemPackage, nioConcurrency, nioCore, nioPosix]),
        library(
            "Client",
            [
                "ChatModel", "Protocol", nioCore, nioPosix, nioConcurrency, nioFoundation, nioHTTP1, nioWebSocket,
                httpClient, logging,
                protobuf,
            ]),  // a chat client: REST and WebSocket
        library("TerminalChat", ["Client", "Protocol", collections]),  // `roost chat`
        library("LoadBench", ["Client", "Protocol", "CEpoll", nioConcurrency, histogram, protobuf]),  // `roost bench`
        .executableTarget(
            name: "roost",
            dependencies: [
                "ServiceKit", "ChatNode", "Discovery", "Relay", "Sessions", "LastSeen", "Users", "Messages",
                "Groups", "LocalCluster", "Client", "TerminalChat", "LoadBench", "ZooKeeper", "Cluster", "Protocol",
                "RPC",
                "RPCTransport", argumentParser, configuration,
                lifecycle, unixSignals, logging, protobuf,
                metrics, nioPosix, nioCore, nioConcurrency,
            ], swiftSettings: settings),
        library("RPCCodeGen"),
        .executableTarget(
            name: "protoc-gen-roost",
            dependencies: [
                "RPCCodeGen", protobuf, .product(name: "SwiftProtobufPluginLibrary", package: "swift-protobuf"),
            ],
            swiftSettings: settings),

        // Tests. TestServers starts the real servers; no product depends on it.
        library("TestServers", [logging, subprocess, systemPackage, nioConcurrency]),
        tests("ChatModelTests", ["ChatModel"]),
        tests("ClusterTests", ["Cluster"]),
        tests("RPCTests", ["RPC"]),
        tests(
            "RPCTransportTests",
            [
                "RPCTransport", "RPC", "Protocol", nioCore, nioPosix, nioTLS, nioConcurrency, logging, protobuf,
            ]),
        tests("RPCCodeGenTests", ["RPCCodeGen"]),
        tests("ReactorTests", ["Reactor", nioConcurrency]),
        tests("PostgresTests", ["Postgres", "Reactor", "TestServers", nioConcurrency, logging]),
        tests("RedisTests", ["Redis", "TestServers", nioConcurrency, logging]),
        tests("ZooKeeperTests", ["ZooKeeper", "TestServers", nioConcurrency, logging]),
        tests("TerminalChatTests", ["TerminalChat"]),
        tests("LoadBenchTests", ["LoadBench", "Protocol", protobuf, nioConcurrency]),
        tests("ProtocolTests", ["Protocol", "ChatModel", nioCore, protobuf]),
        tests(
            "WebSocketEdgeTests",
            ["WebSocketEdge", nioCore, nioPosix, nioEmbedded, nioTestUtils, nioConcurrency, logging, crypto]),
        tests(
            "ServiceKitTests",
            [
                "ServiceKit", "TestServers", "Protocol", "RPC", "RPCTransport", "Cluster", hummingbird,
                .product(name: "HummingbirdTesting", package: "hummingbird"), logging, configuration, nioCore, nioPosix,
                nioConcurrency, httpTypes, httpClient, jwt, crypto, coreMetrics, metrics, lifecycle, "ZooKeeper",
                "ChatModel", nioHTTP1,
            ]),
        tests(
            "DiscoveryTests",
            [
                "Discovery", "ServiceKit", "TestServers", "Cluster", hummingbird,
                .product(name: "HummingbirdTesting", package: "hummingbird"), logging, nioCore, nioConcurrency,
                httpTypes,
            ]),
        tests(
            "ChatNodeTests",
            [
                "ChatNode", "WebSocketEdge", "Protocol", "ChatModel", "RPC", "RPCTransport", nioCore, nioPosix,
                nioEmbedded, nioConcurrency, logging, protobuf,
            ]),
        tests(
            "RelayTests",
            [
                "Relay", "Messages", "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres", "Redis",
                "TestServers", nioCore, nioPosix, nioConcurrency, logging, protobuf, hummingbird, httpTypes,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]),
        // The services over the log, against a real relay: messages and group-messages, search, groups.
        tests(
            "MessagesTests",
            [
                "Messages", "LogConsumer", "Relay", "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport",
                "Postgres", "TestServers", nioCore, nioPosix, nioConcurrency, logging, protobuf, hummingbird, httpTypes,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]),
        tests(
            "GroupsTests",
            [
                "Groups", "Relay", "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres",
                "TestServers", nioCore, nioPosix, nioConcurrency, logging, protobuf, hummingbird, httpTypes,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]),
        tests(
            "UsersTests",
            [
                "Users", "ServiceKit", "Protocol", "ChatModel", "RPC", "RPCTransport", "Postgres", "Redis",
                "TestServers", hummingbird, .product(name: "HummingbirdTesting", package: "hummingbird"), nioCore,
                nioPosix, nioConcurrency, httpTypes, logging, crypto, jwt,
            ]),
        tests(
            "PresenceTests",
            [
                "Sessions", "LastSeen", "Roster", "Cluster", "ServiceKit", "Protocol", "ChatModel", "RPC",
                "RPCTransport",
                nioPosix, "Redis", "TestServers",
                nioConcurrency, logging,
            ]),
        tests(
            "LocalClusterTests",
            ["LocalCluster", nioConcurrency, nioCore, nioPosix, nioHTTP1, httpClient]),
        tests(
            "IntegrationTests",
            [
                "Client", "LocalCluster", "Protocol", "ChatModel", "ZooKeeper", nioCore, nioPosix, nioConcurrency,
                logging, httpClient, protobuf,
            ]),
    ]
)

// swift-tools-version: 6.2
import PackageDescription

// Why links and not a dependency on the package above: that one shows its modules to nobody (`package`, not `public`),
// and for a number about a codec it would build everything that a service is made of. So the modules that are measured
// are targets here too: their folders in `Sources` are links to the folders above, and each target is what it is there.
// A file that others of its module keep from being built alone (`Relay` needs an HTTP server) is linked by itself into
// `Sources/Kernels/Linked`; it is then compiled together with the code that calls it, as in its own module.

/// As in the package above.
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

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioConcurrency: Target.Dependency = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let collections: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")

/// As in the package above, for `Protocol`.
let generatedStorage: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

/// A module of the package above, by the link to its folder.
func linked(
    _ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = [], _ more: [SwiftSetting] = []
) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings + more)
}

/// Stubs and registrations, which would need the whole of `RPCTransport` and with it TLS.
let stubs = ["chat", "discovery", "lastseen", "messages", "relay", "sessions", "users"]
    .map { "Generated/roost/\($0)/v1/\($0).rpc.swift" }

let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        linked("ChatModel"),
        linked("Cluster", exclude: ["README.md"]),
        linked("RPC", ["Cluster"]),
        linked("Protocol", ["ChatModel", protobuf], exclude: stubs, generatedStorage),
        linked("WebSocketEdge", [nioCore]),  // its frames; the server would need cryptography

        // What is measured: the same for both programs.
        .target(
            name: "Kernels",
            dependencies: [
                "ChatModel", "Cluster", "RPC", "Protocol", "WebSocketEdge", nioCore, protobuf, collections,
            ],
            swiftSettings: settings),
        // Runs one kernel so many times, for a tool that counts instructions.
        .executableTarget(name: "InstructionCounts", dependencies: ["Kernels"], swiftSettings: settings),
    ]
)

// `infra/scripts/instructions.sh` leaves out the rest: its tools would be built whichever product is asked for.
if Context.environment["ROOST_BENCHMARKS"] != "instructions" {
    package.dependencies += [
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        // Without its traits it needs neither jemalloc nor an allocator of its own; its malloc counts then read 0.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ]
    package.targets += [
        linked(
            "RPCTransport", ["RPC", nioCore, nioPosix, nioTLS, nioConcurrency, protobuf, logging, lifecycle, crypto]),
        // Every kernel, and calls over a socket, by the clock: `swift package benchmark`.
        .executableTarget(
            name: "HotPath",
            dependencies: [
                "Kernels", "Protocol", "RPC", "RPCTransport", nioCore, nioPosix, protobuf, logging,
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "Benchmarks/HotPath",
            swiftSettings: settings,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
    ]
}

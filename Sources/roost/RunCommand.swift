import ArgumentParser
import Glibc
import Logging
import Metrics
import ServiceKit

/// `roost run`: roles in this process, for real deployments.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run roles in this process.",
        discussion: """
            Configured by the environment (ROOST_ZOOKEEPER, ROOST_POSTGRES, ROOST_REDIS, …) or by a JSON file with the \
            same keys in small letters without the prefix; the environment wins. SIGTERM ends it gracefully.
            """)

    @Option(help: "The roles, separated by commas.")
    var roles: String?

    @Option(name: .customLong("config"), help: "A JSON file with the configuration.")
    var configFile: String?

    func run() async throws {
        do {
            try await host()
        } catch let error as ConfigurationError {
            Self.complain(error.description)
            throw ExitCode(78)  // EX_CONFIG of sysexits(3)
        }
    }

    private func host() async throws {
        var configuration = try await RoostConfiguration.load(file: configFile)
        if let roles { configuration.roles = roles.split(separator: ",").map { String($0.filter { $0 != " " }) } }
        let types = try Roles.types(named: configuration.roles)
        _ = try RoostConfiguration.require(configuration.zookeeper, key: "zookeeper")
        // A peer that goes away must not end this process.
        signal(SIGPIPE, SIG_IGN)
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        let settings = configuration
        LoggingSystem.bootstrap { label in
            RoostLogHandler(label: label, level: settings.logLevel, format: settings.logFormat)
        }
        let logger = Logger(label: types.count == 1 ? "roost.\(types[0].name)" : "roost")
        metrics.describe("roost_build_info", "The version of Roost; always 1.")
        metrics.gauge("roost_build_info", [("version", RoostVersion.current)]).set(1.0)
        do {
            let context = try ServiceContext(configuration: configuration, logger: logger, metrics: metrics)
            let process = try ServiceProcess(context: context, roles: types)
            try await process.runUntilSignalled()
        } catch let error as ConfigurationError {
            throw error
        } catch {
            logger.critical("Ended by an error", metadata: [LogKey.error: "\(error)"])
            throw ExitCode.failure
        }
    }

    static func complain(_ message: String) {
        RoostLogHandler.writeToStandardError("roost: \(message)\n")
    }
}

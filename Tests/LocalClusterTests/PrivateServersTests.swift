import Foundation
import Glibc
import NIOConcurrencyHelpers
import Testing

@testable import LocalCluster

/// The servers that aren't ours, as a cluster starts them.
@Suite(.serialized, .timeLimit(.minutes(3))) struct PrivateServersTests {
    /// A cluster without roles, in a folder of its own.
    static func options() -> LocalClusterOptions {
        // The test program and `roost` are built into the same folder.
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let folder = URL(fileURLWithPath: program).deletingLastPathComponent().path(percentEncoded: false)
        var options = LocalClusterOptions(executable: DataDirectory.absolute(folder) + "/roost")
        options.dataDirectory = NSTemporaryDirectory() + "roost-test-" + UUID().uuidString.prefix(8)
        options.port = 0
        options.roles = []
        options.share = LocalClusterTests.repository
        return options
    }

    static func remove(_ options: LocalClusterOptions) {
        try? FileManager.default.removeItem(atPath: options.dataDirectory)
    }

    @Test func startsRestartsAndLeavesNothing() async throws {
        let options = Self.options()
        defer { Self.remove(options) }
        let pids = try await LocalCluster.withCluster(options) { cluster in
            let file = try ClusterFile.read(cluster.data.clusterFile)
            #expect(file == cluster.file)
            #expect(file.processes.map(\.name).sorted() == ["nginx", "postgres", "redis", "zookeeper"])
            #expect(file.gateway == cluster.gateway)
            #expect(await Probe.zookeeper(address: file.zookeeper).complaint() == nil)
            #expect(await Probe.redis(address: file.redis).complaint() == nil)

            // Each is started again where it was, and cluster.json says so.
            for name in ["redis", "postgres", "nginx", "zookeeper"] {
                let before = try #require(file.process(named: name))
                #expect(cluster.kill(name, SIGKILL))
                try await cluster.untilRestarted(name, after: 1)
                let after = try #require(try ClusterFile.read(cluster.data.clusterFile).process(named: name))
                #expect(after.pid != before.pid)
                #expect(after.http == before.http)
                #expect(ProcessTable.entry(after.pid)?.isAlive == true)
            }

            // What is stopped by hand stays so until it is wanted.
            await cluster.stopPart("redis")
            #expect(cluster.pid(of: "redis") == nil)
            #expect(await Probe.redis(address: file.redis).complaint() != nil)
            try await cluster.startPart("redis")
            #expect(await Probe.redis(address: file.redis).complaint() == nil)

            cluster.pause("redis")
            #expect(await Probe.redis(address: file.redis).complaint(timeout: .milliseconds(200)) != nil)
            cluster.resume("redis")
            #expect(await Probe.redis(address: file.redis).complaint() == nil)

            // A second one on the same folder is refused in one line.
            await #expect { try await LocalCluster.withCluster(options) { _ in } } throws: {
                ($0 as? LocalClusterError)?.code == .dataDirectoryInUse
            }
            return cluster.file.processes.map(\.pid)
        }
        #expect(pids.count == 4)
        for pid in pids { #expect(ProcessTable.entry(pid)?.isAlive != true) }
        #expect(Leftovers(directory: try DataDirectory(path: options.dataDirectory)).find().isEmpty)
    }

    @Test func keepsItsDataAndItsSecrets() async throws {
        let options = Self.options()
        defer { Self.remove(options) }
        let first = try await LocalCluster.withCluster(options) { $0.file }
        let second = try await LocalCluster.withCluster(options) { $0.file }
        #expect(first.adminToken == second.adminToken)
        let cluster = options.dataDirectory + "/state/postgres/data/global/pg_control"
        #expect(FileManager.default.fileExists(atPath: cluster) || geteuid() != 0)
    }

    @Test func aTakenPortIsSaidInOneLine() async throws {
        let one = Self.options()
        var other = Self.options()
        defer {
            Self.remove(one)
            Self.remove(other)
        }
        try await LocalCluster.withCluster(one) { [other] cluster in
            var other = other
            other.port = Int(cluster.gateway.split(separator: ":").last ?? "") ?? 0
            await #expect { try await LocalCluster.withCluster(other) { _ in } } throws: { error in
                let error = error as? LocalClusterError
                return error?.code == .portInUse && error?.message.contains("\n") == false
            }
        }
        other.port = 0
    }

    @Test func cancellingTheStartLeavesNothing() async throws {
        let options = Self.options()
        defer { Self.remove(options) }
        await withTaskGroup(of: Void.self) { group in
            let began = NIOLockedValueBox(false)
            group.addTask {
                await #expect(throws: (any Error).self) {
                    try await LocalCluster.withCluster(options) { _ in
                        began.withLockedValue { $0 = true }
                        try await Task.sleep(for: .seconds(60))
                    }
                }
            }
            let records = options.dataDirectory + "/run"
            while ProcessRecord.readAll(from: records).count < 2 { try? await Task.sleep(for: .milliseconds(10)) }
            group.cancelAll()
        }
        #expect(Leftovers(directory: try DataDirectory(path: options.dataDirectory)).find().isEmpty)
    }

    @Test func whatCannotStartIsSaidWithItsLog() async throws {
        var options = Self.options()
        defer { Self.remove(options) }
        options.roles = [RoleEntry("no-such-role", stage: 1)]
        options.patience = .seconds(20)
        await #expect { try await LocalCluster.withCluster(options) { _ in } } throws: { error in
            let message = (error as? LocalClusterError)?.message ?? ""
            return message.contains("no-such-role") && message.contains("/logs/no-such-role.log")
        }
        #expect(Leftovers(directory: try DataDirectory(path: options.dataDirectory)).find().isEmpty)
    }

    @Test func aMissingProgramIsNamedWithItsPackage() {
        #expect(throws: Never.self) { try Programs.find(path: "/nowhere") }
    }
}

enum LocalClusterTests {
    /// The repository's root.
    static let repository: String = {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { folder.deleteLastPathComponent() }
        return DataDirectory.absolute(folder.path(percentEncoded: false))
    }()
}

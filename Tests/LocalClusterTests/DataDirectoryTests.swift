import Foundation
import Testing

@testable import LocalCluster

@Suite struct DataDirectoryTests {
    @Test func secretsAreMadeOnceAndOnlyForTheOwner() throws {
        try withTemporaryFolder { folder in
            let path = folder + "/data"
            let first = try DataDirectory(path: path)
            let second = try DataDirectory(path: path + "/")
            #expect(first.secrets == second.secrets)
            #expect(first.path == second.path)
            #expect(first.secrets != Secrets.make())
            let mode = try FileManager.default.attributesOfItem(atPath: path + "/secrets.json")[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test func damagedSecretsAreNotReplaced() throws {
        try withTemporaryFolder { folder in
            try Data("{".utf8).write(to: URL(fileURLWithPath: folder + "/secrets.json"))
            #expect { try DataDirectory(path: folder) } throws: {
                ($0 as? LocalClusterError)?.message.contains("damaged") == true
            }
        }
    }

    @Test func oneClusterAtATime() throws {
        try withTemporaryFolder { folder in
            let data = try DataDirectory(path: folder)
            do {
                let lock = try data.lock()
                #expect { try data.lock() } throws: {
                    ($0 as? LocalClusterError)?.code == .dataDirectoryInUse
                }
                withExtendedLifetime(lock) {}
            }
            _ = try data.lock()
        }
    }

    @Test func aFileInTheWayIsNamed() throws {
        try withTemporaryFolder { folder in
            try Data().write(to: URL(fileURLWithPath: folder + "/file"))
            #expect { try DataDirectory(path: folder + "/file/data") } throws: {
                ($0 as? LocalClusterError)?.message.contains(folder + "/file/data") == true
            }
        }
    }

    @Test func clusterFileKeepsItsNames() throws {
        let text = """
            {"gateway": "http://localhost:1", "admin_token": "t", "zookeeper": "h:2", "postgres": "dsn", "redis": "h:3",
             "processes": [{"name": "chat-1", "role": "chat", "pid": 4, "rpc": "h:5", "http": "h:6"},
                           {"name": "redis", "role": "redis", "pid": 7}]}
            """
        let file = try JSONDecoder().decode(ClusterFile.self, from: Data(text.utf8))
        #expect(file.process(named: "chat-1")?.rpc == "h:5")
        #expect(file.process(named: "redis")?.http == nil)
        try withTemporaryFolder { folder in
            try file.write(folder + "/cluster.json")
            #expect(try ClusterFile.read(folder + "/cluster.json") == file)
            let object = try JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: folder + "/cluster.json")))
            #expect(
                (object as? [String: Any])?.keys.sorted() == [
                    "admin_token", "gateway", "postgres", "processes", "redis", "zookeeper",
                ])
        }
    }

    @Test func rolesAreNamedByKind() {
        let roles = RoleEntry.standard(chatNodes: 2)
        #expect(roles.flatMap(\.names).suffix(2) == ["chat-1", "chat-2"])
        #expect(RoleEntry.standard(chatNodes: 1).flatMap(\.names).last == "chat-1")
        #expect(RoleEntry("relay", stage: 1).names == ["relay"])
        #expect(RoleEntry("relay", stage: 1, instances: 2).names == ["relay-1", "relay-2"])
    }
}

func withTemporaryFolder<R>(_ body: (String) throws -> R) throws -> R {
    let path = NSTemporaryDirectory() + "roost-test-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(DataDirectory.absolute(path))
}

import Configuration
import FoundationEssentials
import Logging
import Testing

@testable import ServiceKit

@Suite struct ConfigurationTests {
    @Test func defaultsWithoutAnything() async throws {
        let configuration = try await RoostConfiguration.load(file: nil, environment: [:])
        #expect(configuration.zookeeper == nil && configuration.limits && !configuration.direct)
        #expect(configuration.sessionTimeout == .milliseconds(4000) && configuration.rpcPort == 0)
        #expect(configuration.nodeID.hasPrefix("node-"))
    }

    @Test func environment() async throws {
        let configuration = try await RoostConfiguration.load(
            file: nil,
            environment: [
                "ROOST_ROLES": "chat, relay", "ROOST_NODE_ID": "chat-1", "ROOST_ZOOKEEPER": "a:2181,b:2181",
                "ROOST_LIMITS": "off", "ROOST_DIRECT": "true", "ROOST_LOG_LEVEL": "debug", "ROOST_LOG_FORMAT": "json",
                "ROOST_PUBLIC_URL": "https://chat.example.org/", "ROOST_POSTGRES": "",
                "ROOST_TRUSTED_PROXIES": "10.0.0.0/8",
            ])
        #expect(configuration.roles == ["chat", "relay"])
        #expect(configuration.zookeeper == "a:2181,b:2181")
        #expect(!configuration.limits && configuration.direct)
        #expect(configuration.logLevel == .debug && configuration.logFormat == .json)
        #expect(configuration.publicURL == "https://chat.example.org")
        #expect(configuration.postgres == nil)
        #expect(configuration.trustedProxies.trusts("10.1.2.3"))
    }

    @Test(arguments: [
        ("ROOST_RPC_PORT", "70000"), ("ROOST_RPC_PORT", "x"), ("ROOST_LIMITS", "maybe"), ("ROOST_ZOOKEEPER", "here"),
        ("ROOST_LOG_LEVEL", "loud"), ("ROOST_NODE_ID", "a/b"), ("ROOST_PUBLIC_URL", "chat.example.org"),
        ("ROOST_TRUSTED_PROXIES", "10.0.0.0/33"), ("ROOST_REDIS", "6379"), ("ROOST_ZOOKEEPER_AUTH", "secret"),
        ("ROOST_SESSION_TIMEOUT_MS", "1"),
    ])
    func aBadValueIsNamed(key: String, value: String) async throws {
        let error = await #expect(throws: ConfigurationError.self) {
            _ = try await RoostConfiguration.load(file: nil, environment: [key: value])
        }
        #expect(error?.key == key)
        #expect(error?.description.hasPrefix("\(key): must be") == true)
    }

    @Test func fileBelowEnvironment() async throws {
        let path = try write(
            #"{"node_id": "from-file", "rpc_port": 4000, "limits": false, "zone": "west", "roles": ["a", "b"]}"#)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let configuration = try await RoostConfiguration.load(file: path, environment: ["ROOST_ZONE": "east"])
        #expect(configuration.nodeID == "from-file" && configuration.rpcPort == 4000 && !configuration.limits)
        #expect(configuration.zone == "east")
        #expect(configuration.roles == ["a", "b"])
    }

    @Test(arguments: [
        (#"{"node": "x"}"#, "there is no key \"node\""), ("[]", "is not a JSON object"), ("{", "is not a JSON object"),
    ])
    func aBadFileIsExplained(json: String, message: String) async throws {
        let path = try write(json)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = await #expect(throws: ConfigurationError.self) {
            _ = try await RoostConfiguration.load(file: path, environment: [:])
        }
        #expect(error?.description.contains(message) == true)
    }

    @Test func aMissingFileIsExplained() async throws {
        await #expect(throws: ConfigurationError.self) {
            _ = try await RoostConfiguration.load(file: "/nowhere/roost.json", environment: [:])
        }
    }

    private func write(_ json: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/roost-\(UInt64.random(in: 0 ... .max)).json"
        try Data(json.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }
}

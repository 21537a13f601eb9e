import Cluster
import Logging
import ServiceKit
import Testing

@testable import Discovery

private let logger = Logger(label: "directory") { _ in SwiftLogNoOpLogHandler() }

func chatNode(
    _ id: String, connections: Int = 0, capacity: Int = 1000, state: NodeRecord.State = .serving, epoch: Int64 = 1
) -> Member {
    Member(
        record: NodeRecord(
            id: id, role: "chat", rpc: "10.0.0.1:1", http: "\(id):80", capacity: capacity, connections: connections,
            load: Double(connections) / Double(capacity), state: state),
        epoch: epoch)
}

@Suite struct NodeDirectoryTests {
    private func directory(_ members: [String: [Member]]) -> (NodeDirectory, MembershipView) {
        let membership = MembershipView(logger: logger)
        membership.set(members)
        return (NodeDirectory(membership: membership, seed: 1), membership)
    }

    @Test func manyPicksBetweenTwoReportsLandEvenly() {
        let (directory, _) = directory(["chat": [chatNode("a"), chatNode("b", connections: 100), chatNode("c")]])
        var picked: [String: Int] = [:]
        for _ in 0..<500 { picked[directory.pick()?.member.id ?? "", default: 0] += 1 }
        #expect(picked == ["a": 200, "b": 100, "c": 200])
    }

    @Test func drainingAndFullNodesAreNotPicked() {
        let (directory, membership) = directory([
            "chat": [
                chatNode("a", state: .draining), chatNode("b", connections: 1000), chatNode("c", connections: 900),
            ]
        ])
        for _ in 0..<10 { #expect(directory.pick()?.member.id == "c") }
        #expect(directory.pick(excluding: ["c"]) == nil)
        membership.set(["chat": [chatNode("a", state: .draining)]])
        #expect(directory.pick() == nil)
        membership.set(["chat": [chatNode("a")]], stale: true)
        #expect(directory.pick()?.snapshot.stale == true)
    }

    @Test func aNodeThatIsAskedForIsGivenWhileItServes() {
        let (directory, _) = directory([
            "chat": [chatNode("a", connections: 999), chatNode("b"), chatNode("d", state: .draining)]
        ])
        #expect(directory.route(role: "chat", node: "a", excluding: [])?.id == "a")
        #expect(directory.route(role: "chat", node: "d", excluding: [])?.id == "b")
        #expect(directory.route(role: "chat", node: "gone", excluding: [])?.id == "b")
        #expect(directory.route(role: "chat", node: "b", excluding: ["b:80"])?.id == "a")
        #expect(directory.route(role: "chat", node: nil, excluding: ["a", "b"]) == nil)
    }

    @Test func otherRolesTakeTurns() {
        let relays = ["x", "y", "z"].map { id in
            Member(record: NodeRecord(id: id, role: "relay", rpc: "h:1", http: "\(id):80"), epoch: 1)
        }
        let (directory, _) = directory(["relay": relays])
        var picked: [String: Int] = [:]
        for _ in 0..<30 {
            picked[directory.route(role: "relay", node: nil, excluding: [])?.id ?? "", default: 0] += 1
        }
        #expect(picked == ["x": 10, "y": 10, "z": 10])
        for _ in 0..<5 { #expect(directory.route(role: "relay", node: nil, excluding: ["x", "y:80"])?.id == "z") }
        #expect(directory.route(role: "users", node: nil, excluding: []) == nil)
    }
}

@Suite struct NodeEventsTests {
    @Test func eachChangeIsAnEvent() throws {
        let membership = MembershipView(logger: logger)
        let events = NodeEvents(
            directory: NodeDirectory(membership: membership), addressing: NodeAddressing(configuration: .init()))
        membership.set(["chat": [chatNode("a"), chatNode("b")]])
        let first = membership.current
        let opening = try events.events(from: nil, to: first)
        #expect(opening.hasPrefix("event: snapshot\nid: 1\ndata: {") && opening.hasSuffix("}\n\n"))

        membership.set(["chat": [chatNode("a", connections: 5), chatNode("c")], "relay": []])
        let names = try events.events(from: first, to: membership.current).split(separator: "\n")
            .filter { $0.hasPrefix("event: ") }.map { $0.dropFirst(7) }
        #expect(names == ["left", "updated", "joined"])

        let second = membership.current
        membership.set(["chat": [chatNode("a", connections: 5), chatNode("c")]], stale: true)
        #expect(try events.events(from: second, to: membership.current).hasPrefix("event: snapshot"))
        #expect(try events.events(from: second, to: second) == "")
    }
}

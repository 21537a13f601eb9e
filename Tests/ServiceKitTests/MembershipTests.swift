import Cluster
import Logging
import Testing
import ZooKeeper

@testable import ServiceKit

private let logger = Logger(label: "membership") { _ in SwiftLogNoOpLogHandler() }

@Suite struct MembershipViewTests {
    private func group(
        _ records: [NodeRecord], version: UInt64 = 1, stale: Bool = false
    ) -> GroupSnapshot {
        GroupSnapshot(
            members: records.map { GroupMember(name: $0.id, data: $0.json(), czxid: 7, version: 0) }, stale: stale,
            version: version)
    }

    @Test func isStaleUntilEveryRoleIsRead() {
        let view = MembershipView(roles: ["chat", "relay"], logger: logger)
        #expect(view.current.stale && !view.hasBeenRead)
        view.take(group([NodeRecord(id: "a", role: "chat", rpc: "h:1")]), role: "chat")
        #expect(view.current.stale && view.current.members(of: "chat").map(\.id) == ["a"])
        view.take(group([]), role: "relay")
        #expect(!view.current.stale && view.hasBeenRead)
    }

    @Test func theLastKnownMembershipStays() {
        let view = MembershipView(roles: ["chat"], logger: logger)
        let record = NodeRecord(id: "a", role: "chat", rpc: "h:1")
        view.take(group([record]), role: "chat")
        let before = view.current
        view.take(group([record], stale: true), role: "chat")
        #expect(view.current.stale && view.current.members(of: "chat").map(\.id) == ["a"])
        #expect(view.current.version > before.version && view.hasBeenRead)
        view.take(group([record]), role: "chat")
        #expect(!view.current.stale)
    }

    @Test func whatIsNoRecordIsLeftOut() {
        let view = MembershipView(roles: ["chat"], logger: logger)
        let good = NodeRecord(id: "a", role: "chat", rpc: "h:1")
        let members = [
            GroupMember(name: "a", data: good.json(), czxid: 1, version: 0),
            GroupMember(name: "b", data: Array("junk".utf8), czxid: 2, version: 0),
            GroupMember(name: "c", data: good.json(), czxid: 3, version: 0),
        ]
        view.take(GroupSnapshot(members: members, stale: false, version: 1), role: "chat")
        #expect(view.current.members(of: "chat").map(\.id) == ["a"])
    }

    @Test func followersGetTheNewest() async throws {
        let view = MembershipView(roles: ["chat"], logger: logger)
        var changes = view.changes.makeAsyncIterator()
        #expect(await changes.next()?.version == 0)
        for _ in 0..<3 { view.set([:]) }
        #expect(await changes.next()?.version == 3)
    }
}

import Testing

@testable import Cluster

private func member(_ id: String, connections: Int = 0, capacity: Int = 1000, epoch: Int64 = 1) -> Member {
    let record = NodeRecord(
        id: id, role: "chat", rpc: "127.0.0.1:1", capacity: capacity, connections: connections)
    return Member(record: record, epoch: epoch)
}

private let start = ContinuousClock.now

@Suite struct NodeRecordTests {
    @Test func survivesItsJSON() throws {
        let record = NodeRecord(
            id: "chat-1", role: "chat", rpc: "10.0.0.1:9", http: "10.0.0.1:8", url: "ws://x/y", zone: "a",
            version: "1.0", capacity: 10, connections: 3, load: 0.3, state: .draining, startedAt: 1_700_000_000_000)
        #expect(try NodeRecord(json: record.json()) == record)
        let text = String(decoding: record.json(), as: UTF8.self)
        #expect(text.contains(#""started_at":1700000000000"#))
        #expect(text.contains(#""state":"draining""#))
        #expect(text.contains("ws://x/y"))
    }

    @Test func takesRecordsOfOtherVersions() throws {
        let record = try NodeRecord(json: Array(#"{"id":"a","role":"relay","rpc":"h:1","news":{"x":[1]}}"#.utf8))
        #expect(record == NodeRecord(id: "a", role: "relay", rpc: "h:1"))
    }

    @Test(arguments: ["", "{", "[]", #"{"id":"a"}"#, #"{"id":1,"role":"r","rpc":"h:1"}"#])
    func refusesWhatIsNone(_ text: String) {
        #expect(throws: (any Error).self) { try NodeRecord(json: Array(text.utf8)) }
    }
}

@Suite struct MembershipTests {
    @Test func tellsWhoJoinedChangedAndLeft() {
        let old = [member("a"), member("b"), member("c")]
        let new = [member("b", connections: 7), member("c", epoch: 2), member("d")]
        #expect(
            MembershipChange.between(old, new) == [
                .left(old[0]), .left(old[2]), .updated(new[0]), .joined(new[1]), .joined(new[2]),
            ])
        #expect(MembershipChange.between(new, new).isEmpty)
    }

    @Test func findsMembers() {
        var draining = member("b")
        draining.record.state = .draining
        let snapshot = MembershipSnapshot(membersByRole: ["chat": [draining, member("a")]], version: 1, stale: false)
        #expect(snapshot.members(of: "chat").map(\.id) == ["a", "b"])
        #expect(snapshot.serving("chat").map(\.id) == ["a"])
        #expect(snapshot.member(of: "chat", id: "b") == draining)
        #expect(snapshot.members(of: "relay").isEmpty)
    }
}

@Suite struct RendezvousTests {
    @Test func isTheSameEverywhere() {
        // Written down once: another value would mean that two releases disagree about who owns what.
        #expect(Rendezvous.hash("chat-1") == 0x96a6c6c013af734b)
        let owners = (0..<6).map { rendezvous(key: $0, among: ["relay-1", "relay-2", "relay-3"])! }
        #expect(owners == ["relay-3", "relay-1", "relay-2", "relay-3", "relay-2", "relay-1"])
        #expect(rendezvous(key: 1, among: ["a", "b", "c"]) == rendezvous(key: 1, among: ["c", "a", "b"]))
        #expect(rendezvous(key: 1, among: [String]()) == nil)
    }

    @Test func spreadsKeysAndMovesFew() {
        let ids = (1...5).map { "relay-\($0)" }
        var counts: [String: Int] = [:]
        var moved = 0
        for key in 0..<10_000 as Range<UInt64> {
            let owner = rendezvous(key: key, among: ids)!
            counts[owner, default: 0] += 1
            let without = rendezvous(key: key, among: ids.dropLast())!
            if owner != without { moved += 1 }
            #expect(owner == "relay-5" || owner == without)
        }
        for id in ids { #expect((1800...2200).contains(counts[id] ?? 0)) }
        #expect(moved == counts["relay-5"])
    }
}

@Suite struct LoadReportPolicyTests {
    private func report(_ connections: Int, _ state: NodeRecord.State = .serving) -> LoadReportPolicy.Report {
        LoadReportPolicy.Report(connections: connections, capacity: 1000, state: state)
    }

    @Test func reportsMovesAndLater() {
        var policy = LoadReportPolicy(threshold: 0.05, interval: .seconds(3))
        let published = [
            (self.report(0), 0), (self.report(49), 0), (self.report(50), 0), (self.report(51), 2999),
            (self.report(51), 3000), (self.report(51), 60_000), (self.report(51, .draining), 60_000),
        ].map { policy.shouldPublish($0, now: start + .milliseconds($1)) }
        #expect(published == [true, false, true, false, true, false, true])
    }
}

@Suite struct LeastLoadedPickerTests {
    private func pick(_ picker: inout LeastLoadedPicker, excluding excluded: Set<String> = []) -> String? {
        picker.pick(excluding: excluded, now: start)?.id
    }

    @Test func spreadsABurstEvenly() {
        var picker = LeastLoadedPicker(seed: 1)
        picker.update([member("a", connections: 100), member("b"), member("c")])
        var counts: [String: Int] = [:]
        for _ in 0..<1100 { counts[picker.pick(now: start)!.id, default: 0] += 1 }
        #expect(counts == ["a": 300, "b": 400, "c": 400])
    }

    @Test func weighsByCapacity() {
        var picker = LeastLoadedPicker()
        picker.update([member("small", capacity: 100), member("big", capacity: 300)])
        var counts: [String: Int] = [:]
        for _ in 0..<200 { counts[picker.pick(now: start)!.id, default: 0] += 1 }
        #expect(counts == ["small": 50, "big": 150])
    }

    @Test func aReportTakesOffWhatArrived() {
        var picker = LeastLoadedPicker()
        picker.update([member("a")])
        for _ in 0..<10 { _ = picker.pick(now: start) }
        picker.update([member("a", connections: 7)])
        #expect(picker.outstanding == ["a": 3])
        picker.update([member("a", connections: 0)])
        #expect(picker.outstanding == ["a": 3])
        picker.update([member("a", epoch: 2)])
        #expect(picker.outstanding == ["a": 0])
    }

    @Test func forgetsWhoNeverCame() {
        var picker = LeastLoadedPicker(memory: .seconds(10))
        picker.update([member("a")])
        for _ in 0..<10 { _ = picker.pick(now: start) }
        _ = picker.pick(now: start + .seconds(10))
        #expect(picker.outstanding == ["a": 11])
        _ = picker.pick(now: start + .seconds(20))
        #expect(picker.outstanding == ["a": 2])
        _ = picker.pick(now: start + .seconds(50))
        #expect(picker.outstanding == ["a": 1])
    }

    @Test func leavesOutThoseThatDontServe() {
        var picker = LeastLoadedPicker()
        #expect(self.pick(&picker) == nil)
        var draining = member("b")
        draining.record.state = .draining
        picker.update([member("a", connections: 5), draining, member("full", connections: 2, capacity: 2)])
        #expect(self.pick(&picker) == "a")
        #expect(self.pick(&picker, excluding: ["a"]) == nil)
    }

    @Test func instancesBeginWithDifferentNodes() {
        let first = Set(
            (0..<20 as Range<UInt64>).map { seed in
                var picker = LeastLoadedPicker(seed: seed)
                picker.update([member("a"), member("b"), member("c")])
                return picker.pick(now: start)!.id
            })
        #expect(first.count == 3)
    }
}

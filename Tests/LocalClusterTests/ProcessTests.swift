import Foundation
import Testing

@testable import LocalCluster

@Suite struct ProcessTests {
    @Test func readsStatLines() {
        let line = "4242 (a ) (b) R 1 4240 4239 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200\n"
        let entry = ProcessTable.parse(stat: line)
        #expect(entry == .init(pid: 4242, state: "R", group: 4240, session: 4239, started: 987_654))
    }

    @Test(arguments: ["", "12", "12 (x", ") (", "x (y) R 1 2 3", "1 (y) R 1 2"])
    func refusesOtherLines(line: String) {
        #expect(ProcessTable.parse(stat: line) == nil)
    }

    @Test func findsThisProcess() throws {
        let pid = ProcessInfo.processInfo.processIdentifier
        let entry = try #require(ProcessTable.entry(pid))
        #expect(entry.isAlive)
        #expect(ProcessTable.all().contains { $0.pid == pid && $0.started == entry.started })
        #expect(!ProcessTable.boot.isEmpty)
    }

    let record = ProcessRecord(
        name: "gateway", pid: 100, started: 5000, boot: "b", run: "r", stopSignal: 15, directory: "/d/state/gateway")

    func survivors(_ entries: [ProcessTable.Entry], boot: String = "b", in folder: String? = "/d/state/gateway")
        -> [Int32]
    {
        record.survivors(among: entries, boot: boot, directoryOf: { _ in folder }).map(\.pid)
    }

    @Test func itsOwnProcessSurvives() {
        let entry = ProcessTable.Entry(pid: 100, state: "S", group: 100, session: 100, started: 5000)
        #expect(survivors([entry]) == [100])
        // Even where we may not know its folder.
        #expect(survivors([entry], in: nil) == [100])
    }

    @Test func aProcessThatGotTheNumberLaterIsNotOurs() {
        #expect(survivors([.init(pid: 100, state: "S", group: 100, session: 100, started: 5001)], in: "/home") == [])
    }

    @Test func anotherBootIsAnotherWorld() {
        #expect(survivors([.init(pid: 100, state: "S", group: 100, session: 100, started: 5000)], boot: "c") == [])
    }

    @Test func theDeadAreLeftInPeace() {
        #expect(survivors([.init(pid: 100, state: "Z", group: 100, session: 100, started: 5000)]) == [])
    }

    @Test func helpersInItsGroupAndFolderSurvive() {
        let helper = ProcessTable.Entry(pid: 101, state: "S", group: 100, session: 100, started: 5002)
        #expect(survivors([helper]) == [101])
        #expect(survivors([helper], in: "/d/state/gateway/temp") == [101])
        #expect(survivors([helper], in: "/d/state/gateway2") == [])
        #expect(survivors([helper], in: nil) == [])
        #expect(survivors([.init(pid: 101, state: "S", group: 7, session: 7, started: 5002)]) == [])
    }

    @Test func portsAreNeverSharedNorTaken() throws {
        let range = 50_000..<50_000 + Ports.blockSize * 8
        let (one, other) = (Ports(range: range), Ports(range: range))
        var taken: Set<Int> = []
        for _ in 0..<(Ports.blockSize + 8) {
            #expect(try taken.insert(one.take()).inserted)
            #expect(try taken.insert(other.take()).inserted)
        }
        #expect(taken.allSatisfy { range.contains($0) })
    }

    @Test func sayWhenPortsRunOut() throws {
        let ports = Ports(range: 51_000..<51_000 + Ports.blockSize)
        #expect {
            for _ in 0...Ports.blockSize { _ = try ports.take() }
        } throws: {
            ($0 as? LocalClusterError)?.code == .portInUse
        }
    }
}

import Foundation
import Testing

@testable import LocalCluster

@Suite(.timeLimit(.minutes(1))) struct SupervisedPartTests {
    /// A part that is wanted in the moment in which its supervisor begins is begun, not slept over.
    @Test func whatIsWantedWhileItsSupervisorBeginsIsBegun() async throws {
        let directory = NSTemporaryDirectory() + "roost-test-" + UUID().uuidString.prefix(8)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let data = try DataDirectory(path: directory)
        for _ in 0..<20_000 {
            let part = SupervisedPart(
                PartDefinition(
                    name: "none", role: "none", command: ["/nowhere"], directory: directory, stopSignal: SIGTERM,
                    probe: .redis(address: "127.0.0.1:1"),
                    prepare: { throw LocalClusterError(.configuration, "not to be spawned") }),
                policy: .init(), data: data, run: "test", report: { _, _ in })
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await part.run() }
                part.start()
                let isBegun = await part.state.wait(for: .seconds(5)) {
                    if case .failed = $0.machine.state { true } else { false }
                }
                #expect(isBegun)
                group.cancelAll()
            }
        }
    }
}

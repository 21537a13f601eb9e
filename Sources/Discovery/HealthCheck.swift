import AsyncHTTPClient
import Cluster
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1

/// Could a client log in, connect and send? Yes when each role that this takes has an instance that says it is ready.
///
/// Anyone may ask, so the instances are asked at most once in `interval`, however many do.
final class HealthCheck: Sendable {
    /// What a client needs, in the order in which it does.
    static let roles = ["users", "chat", "messages", "group-messages", "relay"]

    private struct State {
        var complaints: [String] = []
        var checkedAt: ContinuousClock.Instant?
        var isChecking = false
    }

    private let directory: NodeDirectory
    private let interval: Duration
    private let state = NIOLockedValueBox(State())
    private let clock = ContinuousClock()

    init(directory: NodeDirectory, interval: Duration = .milliseconds(500)) {
        self.directory = directory
        self.interval = interval
    }

    /// What is wrong, a line for each part; empty: a client could chat.
    func complaints() async -> [String] {
        let known: [String]? = state.withLockedValue { state in
            // While somebody checks, the last answer will do.
            if let checkedAt = state.checkedAt, state.isChecking || clock.now - checkedAt < interval {
                return state.complaints
            }
            state.isChecking = true
            return nil
        }
        if let known { return known }
        let complaints = await check()
        state.withLockedValue { $0 = State(complaints: complaints, checkedAt: clock.now, isChecking: false) }
        return complaints
    }

    private func check() async -> [String] {
        let snapshot = directory.snapshot
        return await withTaskGroup(of: (Int, String)?.self) { group in
            for (index, role) in Self.roles.enumerated() {
                let members = snapshot.serving(role)
                group.addTask {
                    await Self.complaint(role: role, members: members).map { (index, $0) }
                }
            }
            return await group.reduce(into: []) { $0 += [$1].compactMap { $0 } }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    /// Nil when one of the members is ready.
    private static func complaint(role: String, members: [Member]) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            for member in members {
                group.addTask { await complaint(of: member) }
            }
            var last = "\(role): none serves"
            while let complaint = await group.next() {
                guard let complaint else {
                    group.cancelAll()
                    return nil
                }
                last = complaint
            }
            return last
        }
    }

    private static func complaint(of member: Member) async -> String? {
        do {
            let request = HTTPClientRequest(url: "http://\(member.record.http)/readyz")
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(2))
            // What it says is for operators, who ask it themselves.
            _ = try? await response.body.collect(upTo: 16 * 1024)
            return response.status == .ok ? nil : "\(member.id): not ready"
        } catch {
            return "\(member.id): does not answer"
        }
    }
}

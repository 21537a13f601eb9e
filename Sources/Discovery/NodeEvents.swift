import Cluster
import Hummingbird
import NIOCore
import ServiceKit
import ServiceLifecycle

/// The chat nodes as Server-Sent Events (WHATWG HTML §9.2): `snapshot` first, then `joined`, `updated` and `left` with the
/// node each; a new `snapshot` when the membership becomes stale or current again.
struct NodeEvents: Sendable {
    private enum Input: Sendable {
        case snapshot(MembershipSnapshot)
        case tick
    }

    /// A comment this often tells both ends, and what is between them, that the connection lives.
    private static let keepAlive: Duration = .seconds(15)

    let directory: NodeDirectory
    let addressing: NodeAddressing

    func response() -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .accelBuffering: "no"],
            body: ResponseBody { writer in
                try await write(to: &writer)
                try await writer.finish(nil)
            })
    }

    private func write(to writer: inout any ResponseBodyWriter) async throws {
        // A reader that is slow gets fewer, newer snapshots: each is compared with the one sent last.
        let (inputs, add) = AsyncStream.makeStream(of: Input.self, bufferingPolicy: .bufferingNewest(4))
        let feeder = Feeder(directory: directory, add: add)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await feeder.changes() }
            group.addTask { await feeder.ticks(every: Self.keepAlive) }
            defer { group.cancelAll() }
            var sent: MembershipSnapshot?
            for await input in inputs.cancelOnGracefulShutdown() {
                switch input {
                case .tick: try await writer.write(ByteBuffer(string: ":\n\n"))
                case .snapshot(let snapshot):
                    let text = try events(from: sent, to: snapshot)
                    sent = snapshot
                    if !text.isEmpty { try await writer.write(ByteBuffer(string: text)) }
                }
            }
        }
    }

    private struct Feeder: Sendable {
        let directory: NodeDirectory
        let add: AsyncStream<Input>.Continuation

        func changes() async {
            for await snapshot in directory.changes { add.yield(.snapshot(snapshot)) }
        }

        func ticks(every period: Duration) async {
            while (try? await Task.sleep(for: period)) != nil { add.yield(.tick) }
        }
    }

    /// What makes `new` of `old`, as event-stream text.
    func events(from old: MembershipSnapshot?, to new: MembershipSnapshot) throws -> String {
        let role = NodeDirectory.loadedRole
        guard let old, old.stale == new.stale else {
            let list = NodeList(
                items: new.members(of: role).map { NodeView($0, addressing: addressing) }, version: new.version,
                stale: new.stale)
            return try event("snapshot", id: new.version, list)
        }
        return try MembershipChange.between(old.members(of: role), new.members(of: role)).map { change in
            switch change {
            case .joined(let member):
                try event("joined", id: new.version, NodeView(member, addressing: addressing))
            case .updated(let member):
                try event("updated", id: new.version, NodeView(member, addressing: addressing))
            case .left(let member): try event("left", id: new.version, NodeView(member, addressing: addressing))
            }
        }.joined()
    }

    private func event(_ name: String, id: UInt64, _ value: some Encodable) throws -> String {
        let json = String(decoding: try RoostJSON.encode(value), as: UTF8.self)
        return "event: \(name)\nid: \(id)\ndata: \(json)\n\n"
    }
}

import Client
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import SwiftProtobuf
import Testing

extension ClusterSuite {
    /// Each frame of the contract, member for member, and the same ones as Protobuf.
    @Suite struct FrameScenarios {
        private func members(_ frame: JSONValue) -> Set<String> { Set(frame.object?.keys.map { $0 } ?? []) }

        @Test func welcomeSaysWhereOneIs() async throws {
            let cluster = try await TestCluster.shared()
            let ada = try await People.register(cluster, "ada")
            let connection = try await ChatConnection.connect(ada, node: "chat-2")
            let welcome = connection.welcome
            #expect(
                members(welcome) == [
                    "type", "session", "node", "user", "device", "resumed", "heartbeat_s", "limits", "server_time",
                ])
            #expect(welcome["node"] == "chat-2" && welcome["user"].string == ada.user)
            #expect(welcome["device"].string == ada.device && welcome["resumed"] == true)
            #expect(welcome["heartbeat_s"] == 25 && welcome["limits"]["text_bytes"] == 16384)
            let sessions = try await cluster.rest.json(
                "GET", "/sessions-service/v1/sessions?user=\(ada.user)", token: cluster.adminToken)["items"]
            #expect(sessions.array?.count == 1)
            #expect(sessions[0]["session"] == welcome["session"] && sessions[0]["node"] == "chat-2")
            #expect(members(connection.frames("synced")[0]) == ["type", "cursors"])

            connection.send(["type": "ping", "ref": "p1"])
            #expect(try await connection.answer("p1") == ["type": "pong", "ref": "p1"])
            connection.send(["type": "ping"])
            try await connection.wait("pong") { frames, _ in frames.contains(["type": "pong"]) }
            let closed = try await cluster.rest.call(
                "DELETE", "/sessions-service/v1/sessions/\(try #require(welcome["session"].string))",
                token: cluster.adminToken)
            #expect(closed.status == 204)
            #expect(try await connection.waitForClose() == 4403)
        }

        @Test(arguments: Place.allCases) func answersHaveTheirMembers(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let sender = try await ChatConnection.connect(ada, node: "chat-1")
            let receiver = try await ChatConnection.connect(bob, node: "chat-2")
            let ack = try await sender.message(conversation: conversation.id, "hello", clientID: "c1")
            #expect(members(ack) == ["type", "ref", "conversation", "seq", "id", "sent_at", "duplicate"])
            let message = try #require(ack["id"].string)
            let event = try await receiver.event(in: conversation) { $0["id"] == ack["id"] }
            let common: Set = ["type", "conversation", "seq", "id", "kind", "sender", "sent_at"]
            #expect(members(event) == common.union(["body"]))
            #expect(event["sent_at"] == ack["sent_at"])
            let own = try await sender.event(in: conversation) { $0["id"] == ack["id"] }
            #expect(members(own) == common.union(["body", "client_id"]))

            _ = try await sender.edit(message, in: conversation, "hello!")
            let edit = try await receiver.event(in: conversation, kind: "edit")
            #expect(members(edit) == common.union(["message", "body"]))
            _ = try await receiver.react(message, in: conversation, "👋")
            let reaction = try await sender.event(in: conversation, kind: "reaction")
            #expect(members(reaction).subtracting(["client_id"]) == common.union(["message", "emoji", "removed"]))
            _ = try await sender.delete(message, in: conversation)
            let deletion = try await receiver.event(in: conversation, kind: "delete")
            #expect(members(deletion) == common.union(["message"]))
            let error = try await receiver.edit(message, in: conversation, "x")
            #expect(members(error).subtracting(["retry_after_ms"]) == ["type", "ref", "code", "message"])

            receiver.send(["type": "typing", "conversation": .string(conversation.id), "active": true])
            try await sender.wait("typing") { frames, _ in frames.contains { $0["type"] == "typing" } }
            #expect(
                sender.frames("typing")[0] == [
                    "type": "typing", "conversation": .string(conversation.id), "user": .string(bob.user),
                    "active": true,
                ])
            receiver.send(["type": "watch", "users": [.string(ada.user)]])
            try await receiver.wait("presence") { frames, _ in
                frames.contains { $0["type"] == "presence" && $0["online"] == true }
            }
            #expect(members(receiver.frames("presence")[0]) == ["type", "user", "online", "last_seen"])
            receiver.send(["type": "unwatch", "users": [.string(ada.user)]])
            let seen = receiver.frames("presence").count
            try await sender.close()
            // The node has nothing to say of her now: what it answers shows that it had the time to.
            receiver.send(["type": "ping", "ref": "after"])
            _ = try await receiver.answer("after")
            #expect(receiver.frames("presence").count == seen)
            try await receiver.close()
        }

        @Test(arguments: Place.allCases) func theSameAsProtobuf(_ place: Place) async throws {
            let cluster = try await TestCluster.shared()
            let (ada, bob) = try await People.two(cluster)
            let conversation = try await place.open(ada, bob)
            let binary = try await BinaryConnection.connect(ada)
            let text = try await ChatConnection.connect(bob)
            #expect(binary.frames.first?.welcome.user == ada.user)

            var send = ClientSend()
            send.ref = "r1"
            send.clientID = "binary-1"
            send.conversation = conversation.id
            send.body.text = "as bytes"
            let sent = try await binary.ask(.send(send), ref: "r1")
            let event = try await text.event(in: conversation) { $0["body"]["text"] == "as bytes" }
            #expect(event["id"].string == sent.id)

            var edit = ClientEdit()
            (edit.ref, edit.message, edit.conversation, edit.body.text) = ("r2", sent.id, conversation.id, "as more")
            #expect(try await binary.ask(.edit(edit), ref: "r2").duplicate == false)
            _ = try await text.event(in: conversation, kind: "edit", of: sent.id)
            var react = ClientReact()
            (react.ref, react.message, react.conversation, react.emoji) = ("r3", sent.id, conversation.id, "🎉")
            _ = try await binary.ask(.react(react), ref: "r3")
            _ = try await text.event(in: conversation, kind: "reaction", of: sent.id)
            var delete = ClientDelete()
            (delete.ref, delete.message, delete.conversation) = ("r4", sent.id, conversation.id)
            _ = try await binary.ask(.delete(delete), ref: "r4")
            _ = try await text.event(in: conversation, kind: "delete", of: sent.id)

            _ = try await text.message(conversation: conversation.id, "as text")
            try await binary.wait { frames in
                frames.contains { $0.event.body.text == "as text" && $0.event.sender == bob.user }
            }
            // What the other reads and mutes comes the same way.
            text.send(["type": "read", "conversation": .string(conversation.id), "seq": .integer(Int64(sent.seq))])
            try await binary.wait { frames in frames.contains { $0.receipt.read == sent.seq } }
            #expect(
                try await ada.call("PUT", "\(conversation.path)/mute", ["until": "2099-01-01T00:00:00Z"]).status == 204)
            try await binary.wait { frames in frames.contains { $0.muted.conversation == conversation.id } }
            binary.close()
            try await text.close()
        }
    }
}

/// A connection of the Protobuf subprotocol with everything that came over it kept.
private final class BinaryConnection: Sendable {
    private let received: NIOLockedValueBox<[ClientServerFrame]>
    private let socket: WebSocketConnection

    private init(socket: WebSocketConnection, received: NIOLockedValueBox<[ClientServerFrame]>) {
        (self.socket, self.received) = (socket, received)
    }

    static func connect(_ account: Account) async throws -> BinaryConnection {
        let received = NIOLockedValueBox<[ClientServerFrame]>([])
        let socket = try await WebSocketConnection.open(
            url: try await account.webSocketURL(), subprotocol: "roost.v1.proto",
            on: MultiThreadedEventLoopGroup.singleton.next()
        ) { incoming in
            guard case .binary(let buffer) = incoming,
                let frame = try? ClientServerFrame(serializedBytes: Array(buffer.readableBytesView))
            else { return }
            received.withLockedValue { $0.append(frame) }
        }
        let connection = BinaryConnection(socket: socket, received: received)
        var hello = ClientHello()
        hello.client = "roost-test/1"
        connection.send(.hello(hello))
        try await connection.wait { frames in frames.contains { if case .synced = $0.frame { true } else { false } } }
        return connection
    }

    func send(_ frame: ClientClientFrame.OneOf_Frame) {
        var message = ClientClientFrame()
        message.frame = frame
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return }
        socket.send(binary: ByteBuffer(bytes: bytes))
    }

    var frames: [ClientServerFrame] { received.withLockedValue { $0 } }

    /// Waits until what came so far is enough.
    func wait(_ check: @Sendable ([ClientServerFrame]) -> Bool) async throws {
        try await eventually(within: .seconds(20)) {
            if !check(self.frames) { throw NotYet("the last frames: \(self.frames.suffix(3))") }
        }
    }

    /// The `ack` of a frame.
    func ask(_ frame: ClientClientFrame.OneOf_Frame, ref: String) async throws -> ClientAck {
        send(frame)
        try await wait { frames in frames.contains { $0.ack.ref == ref || $0.error.ref == ref } }
        let refusal = frames.first { $0.error.ref == ref }?.error.message ?? ""
        return try #require(frames.first { $0.ack.ref == ref }?.ack, "\(refusal)")
    }

    func close() { socket.close() }
}

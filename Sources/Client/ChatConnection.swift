import Foundation
package import NIOCore
import NIOConcurrencyHelpers
import NIOPosix

/// A chat connection of the JSON subprotocol with everything that came over it kept, for scripts and tests.
package final class ChatConnection: Sendable {
    private struct State {
        var frames: [JSONValue] = []
        var closeCode: Int?
        var waiting: [(id: Int, check: Check, resume: CheckedContinuation<Bool, Never>)] = []
        var nextID = 0
    }

    package typealias Check = @Sendable (_ frames: [JSONValue], _ closeCode: Int?) -> Bool

    private let state: NIOLockedValueBox<State>
    package let socket: WebSocketConnection

    private init(socket: WebSocketConnection, state: NIOLockedValueBox<State>) {
        (self.socket, self.state) = (socket, state)
    }

    /// Opens a connection and says nothing on it.
    package static func open(
        url: String, headers: [(String, String)] = [], subprotocol: String? = "roost.v1.json",
        on loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws -> ChatConnection {
        let state = NIOLockedValueBox(State())
        let socket = try await WebSocketConnection.open(url: url, subprotocol: subprotocol, headers: headers, on: loop)
        {
            incoming in
            let ready = state.withLockedValue { state in
                switch incoming {
                case .text(let buffer):
                    state.frames.append((try? JSONValue(parsing: Data(buffer.readableBytesView))) ?? .null)
                case .binary: state.frames.append(.null)
                case .closed(let code): state.closeCode = code
                }
                let ready = state.waiting.filter { $0.check(state.frames, state.closeCode) }
                state.waiting.removeAll { waiting in ready.contains { $0.id == waiting.id } }
                return ready
            }
            for waiting in ready { waiting.resume.resume(returning: true) }
        }
        return ChatConnection(socket: socket, state: state)
    }

    /// Connects an account: opens, says hello, and waits for `synced`.
    package static func connect(
        _ account: Account, node: String? = nil, cursors: [String: Int]? = nil,
        on loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.next()
    ) async throws -> ChatConnection {
        let connection = try await open(url: try await account.webSocketURL(node: node), on: loop)
        connection.hello(cursors: cursors)
        try await connection.wait("synced") { frames, _ in frames.contains { $0["type"] == "synced" } }
        return connection
    }

    package func hello(cursors: [String: Int]? = nil) {
        send(ChatFrames.hello(client: "roost-test/1", cursors: cursors))
    }

    package func send(_ frame: JSONValue) { socket.send(frame) }

    /// Sends a message and waits for its `ack` or `error`, which it answers.
    package func message(
        to: String? = nil, conversation: String? = nil, _ text: String, clientID: String = UUID().uuidString
    ) async throws -> JSONValue {
        try await ask {
            ChatFrames.send(
                ref: $0, to: to, conversation: conversation, clientID: clientID, body: ChatFrames.body(text))
        }
    }

    /// Edits a message and waits for its `ack` or `error`, which it answers.
    package func edit(
        _ message: String, in conversation: String, _ text: String, ref: String = UUID().uuidString
    ) async throws -> JSONValue {
        try await ask(ref) {
            ChatFrames.edit(ref: $0, message: message, conversation: conversation, body: ChatFrames.body(text))
        }
    }

    /// Deletes a message and waits for its `ack` or `error`, which it answers.
    package func delete(_ message: String, in conversation: String) async throws -> JSONValue {
        try await ask { ChatFrames.delete(ref: $0, message: message, conversation: conversation) }
    }

    /// Reacts to a message, or takes it back, and waits for its `ack` or `error`, which it answers.
    package func react(
        _ emoji: String, to message: String, in conversation: String, removed: Bool = false
    ) async throws -> JSONValue {
        try await ask {
            ChatFrames.react(ref: $0, message: message, conversation: conversation, emoji: emoji, removed: removed)
        }
    }

    private func ask(_ ref: String = UUID().uuidString, _ frame: (String) -> JSONValue) async throws -> JSONValue {
        // A ref may be used again: the answer is the one that comes now.
        let before = frames.count { $0["ref"].string == ref }
        send(frame(ref))
        try await wait("answer to \(ref)") { frames, _ in frames.count { $0["ref"].string == ref } > before }
        return frames.last { $0["ref"].string == ref } ?? .null
    }

    package func read(_ conversation: String, _ seq: Int) { send(ChatFrames.read(conversation, seq)) }

    package func typing(_ conversation: String, isActive: Bool = true) {
        send(ChatFrames.typing(conversation, isActive: isActive))
    }

    /// The `ack`, `error` or `pong` with that ref.
    package func answer(_ ref: String) async throws -> JSONValue {
        try await wait("answer to \(ref)") { frames, _ in frames.contains { $0["ref"].string == ref } }
        return frames.first { $0["ref"].string == ref } ?? .null
    }

    package var frames: [JSONValue] { state.withLockedValue(\.frames) }
    package var closeCode: Int? { state.withLockedValue(\.closeCode) }
    package func frames(_ type: String) -> [JSONValue] { frames.filter { $0["type"].string == type } }
    package var welcome: JSONValue { frames("welcome").first ?? .null }
    package var events: [JSONValue] { frames("event") }

    /// Events of one conversation in the order they came.
    package func events(in conversation: String) -> [JSONValue] {
        events.filter { $0["conversation"].string == conversation }
    }

    package func received(_ cursors: [String: Int]) {
        send(ChatFrames.received(cursors))
    }

    /// Waits until the check holds for what came so far; throws `Waited` when it does not in time.
    package func wait(
        _ what: String, within timeout: Duration = .seconds(20), _ check: @escaping Check
    ) async throws {
        let id = state.withLockedValue { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = socket.channel.eventLoop.scheduleTask(in: TimeAmount(timeout)) { [state] in
            let expired = state.withLockedValue { state in
                let expired = state.waiting.filter { $0.id == id }
                state.waiting.removeAll { $0.id == id }
                return expired
            }
            for waiting in expired { waiting.resume.resume(returning: false) }
        }
        let held = await withCheckedContinuation { continuation in
            let now = state.withLockedValue { state in
                if check(state.frames, state.closeCode) { return true }
                state.waiting.append((id, check, continuation))
                return false
            }
            if now { continuation.resume(returning: true) }
        }
        timer.cancel()
        if !held {
            let last = frames.suffix(5).compactMap { try? String(decoding: $0.data, as: UTF8.self) }
            throw Waited(what: what, lastFrames: last, closeCode: closeCode)
        }
    }

    package func waitForEvents(_ count: Int, in conversation: String, within timeout: Duration = .seconds(20))
        async throws
    {
        try await wait("\(count) events in \(conversation)", within: timeout) { frames, _ in
            frames.count { $0["type"].string == "event" && $0["conversation"].string == conversation } >= count
        }
    }

    /// Waits for the end of the connection and answers its close code.
    package func waitForClose(within timeout: Duration = .seconds(20)) async throws -> Int {
        try await wait("close", within: timeout) { _, code in code != nil }
        return closeCode ?? 0
    }

    package func close() async throws {
        socket.close()
        _ = try await waitForClose()
    }

    package struct Waited: Error, CustomStringConvertible {
        package var what: String
        package var lastFrames: [String]
        package var closeCode: Int?
        package var description: String {
            "waited in vain for \(what); close code \(closeCode.map(String.init) ?? "none"), last frames:\n"
                + lastFrames.joined(separator: "\n")
        }
    }
}

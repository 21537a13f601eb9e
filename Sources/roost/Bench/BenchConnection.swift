import Client
import NIOConcurrencyHelpers
import NIOCore
import Protocol
import SwiftProtobuf

/// A connection of the Protobuf subprotocol that counts what comes, for load: no task, no JSON.
final class BenchConnection: Sendable {
    private struct State {
        var socket: WebSocketConnection?
        var synced: EventLoopPromise<Void>?
        /// conversation → last seq that was received and not acknowledged yet
        var unacknowledged: [String: UInt64] = [:]
        var acknowledging = false
    }

    let account: Account
    private let loop: any EventLoop
    private let state = NIOLockedValueBox(State())
    private let onEvent: @Sendable (ClientEvent) -> Void
    private let onAnswer: @Sendable (_ ref: String, _ error: String?) -> Void
    private let onClose: @Sendable (Int) -> Void

    init(
        account: Account, loop: any EventLoop, onEvent: @escaping @Sendable (ClientEvent) -> Void = { _ in },
        onAnswer: @escaping @Sendable (_ ref: String, _ error: String?) -> Void = { _, _ in },
        onClose: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        (self.account, self.loop, self.onEvent, self.onAnswer, self.onClose) = (
            account, loop, onEvent, onAnswer, onClose
        )
    }

    /// Opens, says hello, and returns when all that was missed has come.
    func connect(url: String) async throws {
        let synced = loop.makePromise(of: Void.self)
        state.withLockedValue { $0.synced = synced }
        let socket: WebSocketConnection
        do {
            socket = try await WebSocketConnection.open(url: url, subprotocol: "roost.v1.proto", on: loop) {
                [weak self] in self?.receive($0)
            }
        } catch {
            synced.fail(error)
            throw error
        }
        state.withLockedValue { $0.socket = socket }
        var hello = ClientHello()
        hello.client = "roost-bench/1"
        send(.hello(hello))
        try await synced.futureResult.get()
    }

    func send(ref: String, to: String, conversation: String?, body: ClientBody) {
        var send = ClientSend()
        send.ref = ref
        send.clientID = ref
        if let conversation { send.conversation = conversation } else { send.to = to }
        send.body = body
        self.send(.send(send))
    }

    func close() { state.withLockedValue(\.socket)?.close() }

    private func send(_ frame: ClientClientFrame.OneOf_Frame) {
        guard let socket = state.withLockedValue(\.socket) else { return }
        var message = ClientClientFrame()
        message.frame = frame
        guard let bytes: [UInt8] = try? message.serializedBytes() else { return }
        socket.send(binary: ByteBuffer(bytes: bytes))
    }

    private func receive(_ incoming: WebSocketConnection.Incoming) {
        switch incoming {
        case .text: break
        case .binary(let buffer):
            guard let frame = try? ClientServerFrame(serializedBytes: Array(buffer.readableBytesView)) else { return }
            take(frame)
        case .closed(let code):
            state.withLockedValue { $0.synced.take() }?.fail(BenchFailure("closed with \(code) before synced"))
            onClose(code)
        }
    }

    private func take(_ frame: ClientServerFrame) {
        switch frame.frame {
        case .event(let event):
            onEvent(event)
            acknowledge(event)
        case .ack(let ack): onAnswer(ack.ref, nil)
        case .error(let error): onAnswer(error.ref, "\(error.code): \(error.message)")
        case .synced: state.withLockedValue { $0.synced.take() }?.succeed()
        default: break
        }
    }

    /// Says what was received, some times a second, as a good client does.
    private func acknowledge(_ event: ClientEvent) {
        let due = state.withLockedValue { state in
            state.unacknowledged[event.conversation] = event.seq
            defer { state.acknowledging = true }
            return !state.acknowledging
        }
        guard due else { return }
        loop.scheduleTask(in: .milliseconds(100)) { [weak self] in
            guard let self else { return }
            var received = ClientReceived()
            received.cursors = self.state.withLockedValue { state in
                state.acknowledging = false
                defer { state.unacknowledged.removeAll(keepingCapacity: true) }
                return state.unacknowledged
            }
            self.send(.received(received))
        }
    }
}

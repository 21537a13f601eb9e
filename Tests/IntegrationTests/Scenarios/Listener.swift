import Client
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import SwiftProtobuf

/// A connection that keeps of one conversation only the numbers of the events: light enough to have a thousand.
final class Listener: Sendable {
    private struct State {
        var seqs: [UInt64] = []
        var others = 0
        var closeCode: Int?
        var socket: WebSocketConnection?
        var synced: EventLoopPromise<Void>?
    }

    let account: Account
    private let state = NIOLockedValueBox(State())

    private init(_ account: Account) { self.account = account }

    /// Connects to a node and returns when all that was missed has come.
    ///
    /// - Parameter held: up to where this client has the conversation.
    static func connect(
        _ account: Account, node: String, conversation: String, held: UInt64? = nil
    ) async throws -> Listener {
        let listener = Listener(account)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let synced = loop.makePromise(of: Void.self)
        listener.state.withLockedValue { $0.synced = synced }
        let url = "ws\(account.rest.base.dropFirst("http".count))/chat-service/v1/ws?node=\(node)"
        do {
            let socket = try await WebSocketConnection.open(
                url: url, subprotocol: "roost.v1.proto", headers: [("authorization", "Bearer \(account.accessToken)")],
                on: loop
            ) { listener.receive($0, conversation) }
            listener.state.withLockedValue { $0.socket = socket }
            var frame = ClientClientFrame()
            frame.hello.client = "roost-test/1"
            if let held { frame.hello.cursors.cursors = [conversation: held] }
            let bytes: [UInt8] = try frame.serializedBytes()
            socket.send(binary: ByteBuffer(bytes: bytes))
        } catch {
            synced.fail(error)
        }
        try await synced.futureResult.get()
        return listener
    }

    private func receive(_ incoming: WebSocketConnection.Incoming, _ conversation: String) {
        switch incoming {
        case .text: break
        case .binary(let buffer):
            guard let frame = try? ClientServerFrame(serializedBytes: Array(buffer.readableBytesView)) else { return }
            switch frame.frame {
            case .event(let event):
                state.withLockedValue { state in
                    if event.conversation == conversation {
                        state.seqs.append(event.seq)
                    } else {
                        state.others += 1
                    }
                }
            case .synced: state.withLockedValue { $0.synced.take() }?.succeed()
            default: break
            }
        case .closed(let code):
            let synced = state.withLockedValue { state in
                state.closeCode = code
                return state.synced.take()
            }
            synced?.fail(NotYet("closed with \(code) before synced"))
        }
    }

    /// The conversation's events in the order they came.
    var seqs: [UInt64] { state.withLockedValue(\.seqs) }
    /// How many events of other conversations came.
    var others: Int { state.withLockedValue(\.others) }
    /// nil: it is open.
    var closeCode: Int? { state.withLockedValue(\.closeCode) }

    func close() { state.withLockedValue(\.socket)?.close() }
}

/// Does something with each element, some at a time; answers the results in the elements' order.
func forEach<Element: Sendable, Result: Sendable>(
    _ elements: [Element], atATime limit: Int, _ body: @escaping @Sendable (Element) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { tasks in
        var results = [Result?](repeating: nil, count: elements.count)
        for (index, element) in elements.enumerated() {
            if index >= limit, let (done, result) = try await tasks.next() { results[done] = result }
            tasks.addTask { (index, try await body(element)) }
        }
        for try await (done, result) in tasks { results[done] = result }
        return results.compactMap { $0 }
    }
}

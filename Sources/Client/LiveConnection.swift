import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A chat connection that stays: when it breaks it is made again through the gateway, and so on any node, and goes on where
/// it was. What was said and not answered is said again; what came already does not come twice.
package final class LiveConnection: Sendable {
    package enum Update: Sendable {
        /// A frame of the server, pongs and repeats left out.
        case frame(JSONValue)
        /// `isFirst`: not after a loss.
        case connected(node: String, isFirst: Bool)
        /// It is being made again.
        case lost(String)
        /// The last update: it is not made again.
        case ended(String)
    }

    private struct State {
        var socket: WebSocketConnection?
        var isWelcomed = false
        var wasWelcomed = false
        /// The last event held of each conversation, and what the server has been told of it.
        var held: [String: Int] = [:]
        var told: [String: Int] = [:]
        /// What has not been answered, in order.
        var pending: [(ref: String, frame: JSONValue)] = []
        /// When to say it again, because the server asked for patience.
        var resendAt: ContinuousClock.Instant?
        var heardAt = ContinuousClock.now
        var nextPing = ContinuousClock.now
        var reconnectAfter: Duration?
    }

    package let updates: AsyncStream<Update>
    private let feed: AsyncStream<Update>.Continuation
    private let signedIn: SignedIn
    private let client: String
    private let state = NIOLockedValueBox(State())

    /// - Parameter client: its name and version, for `hello`.
    package init(_ signedIn: SignedIn, client: String) {
        self.signedIn = signedIn
        self.client = client
        (updates, feed) = AsyncStream.makeStream()
    }

    /// Sends a frame that is answered by its `ref`, now or when there is a connection again, until it is answered.
    package func send(ref: String, _ frame: JSONValue) {
        let socket = state.withLockedValue { state in
            state.pending.append((ref, frame))
            return state.isWelcomed && state.resendAt == nil ? state.socket : nil
        }
        socket?.send(frame)
    }

    /// Sends a frame that is worth nothing later.
    package func signal(_ frame: JSONValue) {
        state.withLockedValue { $0.isWelcomed ? $0.socket : nil }?.send(frame)
    }

    /// Stays connected until cancelled, or until the server says that this is over.
    package func run() async {
        var failures = 0
        while !Task.isCancelled {
            let reason: String
            do {
                let code = try await connect()
                if Task.isCancelled { break }
                switch code {
                case 4401: return finish("this device was signed out")
                case 4403: return finish("closed by an operator")
                default: reason = "the connection was lost (\(code))"
                }
            } catch let failure as RESTFailure where failure.status == 401 {
                return finish("signing in again was refused: \(failure.detail)")
            } catch WebSocketFailure.refused(let status) {
                reason = "there is no node to connect to (\(status))"
            } catch let failure as RESTFailure {
                reason = failure.detail
            } catch {
                reason = "the server can't be reached (\(error))"
            }
            let (wasWelcomed, isFirst, asked) = state.withLockedValue { state in
                defer { (state.isWelcomed, state.socket, state.reconnectAfter) = (false, nil, nil) }
                return (state.isWelcomed, !state.wasWelcomed, state.reconnectAfter)
            }
            failures = wasWelcomed ? 0 : failures + 1
            // Once for each loss, however often it is tried.
            if wasWelcomed || isFirst && failures == 1 { feed.yield(.lost(reason)) }
            let pause = asked ?? .milliseconds(Int.random(in: 100...200) << min(failures, 5))
            try? await Task.sleep(for: pause)
        }
        feed.finish()
    }

    private func finish(_ reason: String) {
        feed.yield(.ended(reason))
        feed.finish()
    }

    /// One connection, to its end: the close code.
    private func connect() async throws -> Int {
        let url = try await signedIn.withAccount { try await $0.webSocketURL() }
        let (incoming, continuation) = AsyncStream<WebSocketConnection.Incoming>.makeStream()
        let socket = try await WebSocketConnection.open(
            url: url, on: MultiThreadedEventLoopGroup.singleton.next()
        ) {
            continuation.yield($0)
            if case .closed = $0 { continuation.finish() }
        }
        let cursors = state.withLockedValue { state in
            state.socket = socket
            state.told = state.held
            state.heardAt = .now
            state.nextPing = .now + Self.pingInterval
            return state.held
        }
        socket.send(ChatFrames.hello(client: client, cursors: cursors.isEmpty ? nil : cursors))
        return await withTaskGroup(of: Int?.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(200))
                    self.tick(socket)
                }
                return nil
            }
            group.addTask {
                await withTaskCancellationHandler {
                    var code = 1006
                    for await message in incoming {
                        switch message {
                        case .text(let buffer): self.received(buffer, on: socket)
                        case .binary: break
                        case .closed(let closed): code = closed
                        }
                    }
                    return code
                } onCancel: {
                    socket.close()
                    socket.cut(after: .milliseconds(300))
                }
            }
            var code = 1006
            while let ended = await group.next() {
                if let ended { code = ended }
                group.cancelAll()
            }
            return code
        }
    }

    private static let pingInterval: Duration = .seconds(20)

    /// Says what has come, asks whether the server is still there, says again what it had no time for.
    private func tick(_ socket: WebSocketConnection) {
        let now = ContinuousClock.now
        let (frames, isSilent) = state.withLockedValue { state -> ([JSONValue], Bool) in
            guard state.isWelcomed else { return ([], now - state.heardAt > .seconds(30)) }
            var frames: [JSONValue] = []
            let news = state.held.filter { state.told[$0.key] != $0.value }
            if !news.isEmpty {
                frames.append(ChatFrames.received(news))
                state.told.merge(news) { $1 }
            }
            if now >= state.nextPing {
                state.nextPing = now + Self.pingInterval
                frames.append(["type": "ping"])
            }
            if let due = state.resendAt, now >= due {
                state.resendAt = nil
                frames += state.pending.map(\.frame)
            }
            return (frames, now - state.heardAt > .seconds(45))
        }
        if isSilent { return socket.cut() }
        for frame in frames { socket.send(frame) }
    }

    private func received(_ buffer: ByteBuffer, on socket: WebSocketConnection) {
        guard let frame = try? JSONValue(parsing: Data(buffer.readableBytesView)) else { return }
        var updates: [Update] = []
        let resend = state.withLockedValue { state -> [JSONValue] in
            state.heardAt = .now
            switch frame["type"].string {
            case "welcome":
                updates = [.connected(node: frame["node"].string ?? "", isFirst: !state.wasWelcomed)]
                (state.isWelcomed, state.wasWelcomed, state.resendAt) = (true, true, nil)
                return state.pending.map(\.frame)
            case "event":
                guard let conversation = frame["conversation"].string, let seq = frame["seq"].int,
                    seq > state.held[conversation] ?? 0
                else { return [] }
                state.held[conversation] = seq
                updates = [.frame(frame)]
            case "ack", "error":
                let ref = frame["ref"].string
                if let ref, frame["code"] == "unavailable" || frame["code"] == "rate_limited",
                    state.pending.contains(where: { $0.ref == ref })
                {
                    let wait = Duration.milliseconds(frame["retry_after_ms"].int ?? 1000)
                    state.resendAt = max(state.resendAt ?? .now, .now + wait)
                    return []
                }
                if let ref { state.pending.removeAll { $0.ref == ref } }
                updates = [.frame(frame)]
            case "goaway":
                state.reconnectAfter = .milliseconds(frame["reconnect_after_ms"].int ?? 500)
                updates = [.frame(frame)]
            case "pong": break
            default: updates = [.frame(frame)]
            }
            return []
        }
        for frame in resend { socket.send(frame) }
        for update in updates { feed.yield(update) }
    }
}

extension WebSocketConnection {
    package func send(_ frame: JSONValue) {
        guard let data = try? frame.data else { return }
        send(text: String(decoding: data, as: UTF8.self))
    }

    /// Cuts the connection if it is still there after a while.
    fileprivate func cut(after delay: TimeAmount) {
        channel.eventLoop.scheduleTask(in: delay) { self.cut() }
    }
}

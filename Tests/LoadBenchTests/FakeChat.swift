import Foundation
import Glibc
import NIOConcurrencyHelpers
import Protocol
import SwiftProtobuf

/// A server that speaks as much of the protocol as the load needs, a thread a connection, and that can be made to err.
final class FakeChat: Sendable {
    enum Fault: Sendable {
        case none
        /// Every such message to a receiver is not delivered, but acknowledged.
        case drop(every: Int)
        case deliverTwice(every: Int)
        /// Every such message overtakes the one before it.
        case swap(every: Int)
        case refuse(every: Int)
        /// The connection is cut at such a message.
        case cut(at: Int)
        /// Every message waits so long, and all of a connection behind it.
        case stall(at: Int, Duration)
    }

    private struct State {
        var sockets: [String: Int32] = [:]
        var seqs: [String: UInt64] = [:]
        var messages = 0
        /// What a swap holds back: for whom, and what.
        var held: (receiver: String, event: ClientEvent)?
        var received: [String: UInt64] = [:]
    }

    let port: UInt16
    private let fault: Fault
    private let listener: Int32
    private let state = NIOLockedValueBox(State())

    init(_ fault: Fault = .none) throws {
        self.fault = fault
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, size) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, address, &size) == 0
            }
        }
        guard bound else { throw POSIXError(.EADDRINUSE) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else { return }
                Thread.detachNewThread { self.serve(client) }
            }
        }
    }

    /// Ends the listening, and all connections.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        state.withLockedValue { for socket in $0.sockets.values { shutdown(socket, Int32(SHUT_RDWR)) } }
    }

    /// What each user said to have received, by user.
    var received: [String: UInt64] { state.withLockedValue(\.received) }

    private func serve(_ client: Int32) {
        defer { close(client) }
        guard let head = readHead(client),
            let user = head.split(separator: "ticket=").last?.prefix(while: { $0 != " " })
        else { return }
        let name = String(user)
        guard name != "bad" else {
            write(Array("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".utf8), to: client)
            return
        }
        write(
            Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".utf8),
            to: client)
        while let payload = readFrame(client) {
            guard let frame = try? ClientClientFrame(serializedBytes: payload) else { return }
            switch frame.frame {
            case .hello:
                state.withLockedValue { $0.sockets[name] = client }
                send(.welcome(ClientWelcome()), to: client)
                send(.synced(ClientSynced()), to: client)
            case .send(let message):
                if !take(message, from: name, client) { return }
            case .received(let received):
                state.withLockedValue { $0.received[name] = received.cursors.values.max() }
            default: break
            }
        }
        state.withLockedValue { if $0.sockets[name] == client { $0.sockets[name] = nil } }
    }

    /// Whether the connection goes on.
    private func take(_ message: ClientSend, from sender: String, _ client: Int32) -> Bool {
        let number = state.withLockedValue { state in
            state.messages += 1
            return state.messages
        }
        func isHit(_ every: Int) -> Bool { number % every == 0 }
        if case .refuse(let every) = fault, isHit(every) {
            var error = ClientError()
            (error.ref, error.code, error.message) = (message.ref, "forbidden", "by the test")
            send(.error(error), to: client)
            return true
        }
        if case .cut(let at) = fault, number == at { return false }
        if case .stall(let at, let time) = fault, number == at {
            Thread.sleep(forTimeInterval: Double(time.components.seconds))
        }
        state.withLockedValue { state in
            let conversation = [sender, message.to].sorted().joined(separator: "-")
            let seq = (state.seqs[conversation] ?? 0) + 1
            state.seqs[conversation] = seq
            var event = ClientEvent()
            (event.conversation, event.seq, event.kind, event.sender) = (conversation, seq, "message", sender)
            event.body = message.body
            var ack = ClientAck()
            (ack.ref, ack.conversation, ack.seq) = (message.ref, conversation, seq)
            send(.ack(ack), to: client)
            var own = event
            own.clientID = message.clientID
            send(.event(own), to: client)
            guard let receiver = state.sockets[message.to] else { return }
            switch fault {
            case .drop(let every) where isHit(every): break
            case .deliverTwice(let every) where isHit(every):
                send(.event(event), to: receiver)
                send(.event(event), to: receiver)
            case .swap(let every) where isHit(every) && state.held == nil: state.held = (message.to, event)
            case _:
                send(.event(event), to: receiver)
                if let held = state.held, held.receiver == message.to {
                    state.held = nil
                    send(.event(held.event), to: receiver)
                }
            }
        }
        return true
    }

    // MARK: Bytes

    private func send(_ content: ClientServerFrame.OneOf_Frame, to socket: Int32) {
        var frame = ClientServerFrame()
        frame.frame = content
        guard let bytes: [UInt8] = try? frame.serializedBytes() else { return }
        let head: [UInt8] =
            bytes.count < 126 ? [UInt8(bytes.count)] : [126, UInt8(bytes.count >> 8), UInt8(bytes.count & 255)]
        write([0x82] + head + bytes, to: socket)
    }

    private func write(_ bytes: [UInt8], to socket: Int32) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            rest = rest.dropFirst(sent)
        }
    }

    private func readExactly(_ count: Int, _ socket: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var chunk = [UInt8](repeating: 0, count: count - bytes.count)
            let size = recv(socket, &chunk, chunk.count, 0)
            guard size > 0 else { return nil }
            bytes += chunk[..<size]
        }
        return bytes
    }

    private func readHead(_ socket: Int32) -> String? {
        var bytes: [UInt8] = []
        while bytes.suffix(4) != [13, 10, 13, 10] {
            guard bytes.count < 8192, let byte = readExactly(1, socket) else { return nil }
            bytes += byte
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The payload of a binary frame; nil at the end of the connection.
    private func readFrame(_ socket: Int32) -> [UInt8]? {
        while true {
            guard let head = readExactly(2, socket) else { return nil }
            var length = Int(head[1] & 0x7F)
            if length == 126 {
                guard let more = readExactly(2, socket) else { return nil }
                length = Int(more[0]) << 8 | Int(more[1])
            }
            guard let mask = readExactly(4, socket), let payload = readExactly(length, socket) else { return nil }
            if head[0] & 0xF == 8 { return nil }
            if head[0] & 0xF == 2 { return payload.enumerated().map { $1 ^ mask[$0 & 3] } }
        }
    }
}

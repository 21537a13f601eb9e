import Foundation
import NIOCore
import NIOPosix

/// Asks a server over the network whether it does its work.
package enum Probe: Sendable, Equatable {
    /// `GET path` answers 200.
    case http(address: String, path: String)
    /// `PING` answers.
    case redis(address: String)
    /// `srvr` answers with its mode.
    case zookeeper(address: String)
    /// It takes log-ins: not starting up, not in recovery.
    case postgres(address: String)

    /// Nil when the server does its work, else why not, in a few words.
    package func complaint(timeout: Duration = .seconds(2)) async -> String? {
        do {
            switch self {
            case .http(let address, let path):
                let request = "GET \(path) HTTP/1.1\r\nHost: \(address)\r\nConnection: close\r\n\r\n"
                let answer = try await exchange(address, Array(request.utf8), timeout) { _ in false }
                return Self.complaint(inHTTP: answer)
            case .redis(let address):
                let answer = try await exchange(address, Array("PING\r\n".utf8), timeout) {
                    $0.last == UInt8(ascii: "\n")
                }
                return answer.starts(with: "+PONG".utf8) ? nil : String(decoding: answer, as: UTF8.self)
            case .zookeeper(let address):
                let answer = try await exchange(address, Array("srvr".utf8), timeout) { _ in false }
                let text = String(decoding: answer, as: UTF8.self)
                return text.contains("Mode: ") ? nil : text
            case .postgres(let address):
                let answer = try await exchange(address, Self.startupMessage, timeout) { $0.count >= 9 }
                // R asks for the password: log-ins are taken. E says why they aren't.
                return answer.first == UInt8(ascii: "R") ? nil : "it takes no log-ins yet"
            }
        } catch {
            return "\(error)"
        }
    }

    static func complaint(inHTTP answer: [UInt8]) -> String? {
        let text = String(decoding: answer, as: UTF8.self)
        let status = text.split(separator: " ", maxSplits: 2).dropFirst().first ?? ""
        if status == "200" { return nil }
        guard let end = text.range(of: "\r\n\r\n") else { return "no HTTP answer" }
        let body = text[end.upperBound...].split(whereSeparator: \.isNewline).joined(separator: " ")
        return "\(status) \(body.prefix(300))"
    }

    /// A start-up message of protocol 3.0 for user and database `roost`.
    private static let startupMessage: [UInt8] = {
        let body = [0, 3, 0, 0] + Array("user\0roost\0database\0roost\0\0".utf8)
        return [0, 0, 0, UInt8(body.count + 4)] + body
    }()
}

private struct ProbeTimeout: Error, CustomStringConvertible {
    var description: String { "no answer in time" }
}

/// Connects, sends, and reads until the peer closes, the answer `isComplete`, or it is longer than any we expect.
private func exchange(
    _ address: String, _ request: [UInt8], _ timeout: Duration, until isComplete: @escaping @Sendable ([UInt8]) -> Bool
) async throws -> [UInt8] {
    guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
        throw LocalClusterError(.configuration, "'\(address)' is no host:port")
    }
    let host = String(address[..<colon])
    return try await withThrowingTaskGroup(of: [UInt8].self) { group in
        group.addTask {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(1))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                    }
                }
            return try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(bytes: request))
                var answer: [UInt8] = []
                for try await buffer in inbound {
                    answer += Array(buffer.readableBytesView)
                    if isComplete(answer) || answer.count > 64 * 1024 { break }
                }
                return answer
            }
        }
        group.addTask {
            try await Task.sleep(for: timeout)
            throw ProbeTimeout()
        }
        guard let answer = try await group.next() else { throw ProbeTimeout() }
        group.cancelAll()
        return answer
    }
}

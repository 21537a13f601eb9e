import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Protocol
import RPC
import RPCTransport
import Testing

/// What comes from peers that are no Roost process, or a broken one.
@Suite(.timeLimit(.minutes(1))) struct HostilePeerTests {
    /// A raw connection that counts what it gets and tells when it is closed.
    private func raw(_ address: String) async throws -> any Channel {
        let port = Int(address.split(separator: ":")[1]) ?? 0
        return try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
    }

    @Test func randomBytesAreHungUpOn() async throws {
        let service = Scripted()
        var random = SplitMix64(seed: 3)
        try await withServer(service) { _, peer in
            for round in 0..<30 {
                let channel = try await raw(peer.address)
                var bytes = (0..<2000).map { _ in UInt8.random(in: .min ... .max, using: &random) }
                // Some begin like a frame of a size that a handshake may have.
                if round % 2 == 0 { bytes.replaceSubrange(0..<4, with: [0, 0, 1, 0]) }
                channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
                try await channel.closeFuture.get()
            }
            try await withPool([peer]) { pool in _ = try await LastSeenStub(pool).get(viewer(9)) }
        }
        #expect(service.seen.withLockedValue { $0.gets } == 1)
    }

    @Test func silenceIsHungUpOn() async throws {
        try await withServer(Scripted(), configure: { $0.connection.handshakeTimeout = .milliseconds(50) }) { _, peer in
            let channel = try await raw(peer.address)
            try await channel.closeFuture.get()
        }
    }

    @Test func aTrickledHandshakeIsHungUpOn() async throws {
        try await withServer(Scripted(), configure: { $0.connection.handshakeTimeout = .milliseconds(100) }) {
            _, peer in
            let channel = try await raw(peer.address)
            let trickle = channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(5)) { _ in
                channel.writeAndFlush(ByteBuffer(bytes: [0]), promise: nil)
            }
            try await channel.closeFuture.get()
            trickle.cancel()
        }
    }

    @Test func aServerThatIsNoneIsLeft() async throws {
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.writeAndFlush(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\n"), promise: nil)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        let peer = RPCPeer(id: "one", address: "127.0.0.1:\(listener.localAddress?.port ?? 0)", epoch: 1)
        try await withPool([peer], configure: { $0.peerWait = .milliseconds(300) }) { pool in
            let error = await failure { () throws(RPCError) in try await LastSeenStub(pool).get(viewer(9)) }
            #expect(error?.code == .unavailable)
        }
    }
}

import NIOCore
import RPC

/// What waits to be written on a connection: encoded by any thread under the connection's lock, swapped out and flushed
/// once per tick by its event loop.
struct Outbox {
    private var buffer = ByteBuffer()
    /// A buffer that was written before and may be used again.
    private var spare = ByteBuffer()
    /// A flush is due: whoever made it so sees to it.
    private var isScheduled = false
    /// Bytes given to the channel that the socket has not taken yet.
    private var inFlight = 0

    /// Beyond this a buffer isn't kept for reuse.
    private static let keptCapacity = 64 << 10
    /// Frames of a burst that are worked on until what is answered to them goes out, so that both sides are at work.
    static let part = 16

    /// Bytes that wait in all.
    var waiting: Int { buffer.readableBytes + inFlight }

    /// Whether nothing waits.
    var isEmpty: Bool { waiting == 0 }

    /// Makes a flush due. True: the caller must see to it.
    mutating func schedule() -> Bool {
        if isScheduled { return false }
        isScheduled = true
        return true
    }

    mutating func append(_ bytes: [UInt8]) {
        buffer.writeBytes(bytes)
    }

    mutating func append(_ header: RequestHeader, callID: UInt64, payload: [UInt8]) {
        let size = FrameEncoder.requestSize(header, payload: payload.count)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
            payload.withUnsafeBytes { FrameEncoder.request(header, callID: callID, payload: $0, into: room) }
        }
    }

    mutating func append(_ kind: FrameKind, callID: UInt64, payload: [UInt8]) {
        let size = FrameEncoder.size(payload: payload.count)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
            payload.withUnsafeBytes { FrameEncoder.frame(kind, callID: callID, payload: $0, into: room) }
        }
    }

    /// Takes out all that waits, to be written now. `more`: who takes it takes again.
    mutating func take(more: Bool = false) -> ByteBuffer? {
        isScheduled = more
        guard buffer.readableBytes > 0 else { return nil }
        spare.clear()
        swap(&buffer, &spare)
        let taken = spare
        if spare.capacity > Self.keptCapacity { spare = ByteBuffer() }
        inFlight += taken.readableBytes
        return taken
    }

    /// The socket has taken these bytes, or never will.
    mutating func written(_ bytes: Int) {
        inFlight -= bytes
    }
}

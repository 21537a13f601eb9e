import NIOCore
import RPC

extension AdaptiveRecvByteBufferAllocator {
    /// What both sides read into. A channel keeps up to four such buffers while nothing comes.
    static let rpc = AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 16384, maximum: 65_536)
}

/// Cuts received bytes into frames. Whole frames are handed out where they lie; only the rest of a cut one is kept, and
/// no more than the longest frame allowed.
struct FrameAccumulator {
    private var rest = ByteBuffer()

    /// Calls `body` with each whole frame; its bytes are valid only during the call.
    /// - Parameter maxBody: the longest body allowed now; asked again for each frame.
    mutating func feed(
        _ incoming: ByteBuffer, maxBody: () -> Int, _ body: (Frame) throws(ProtocolViolation) -> Void
    ) throws(ProtocolViolation) {
        var buffer = incoming
        let hadRest = rest.readableBytes > 0
        if hadRest {
            rest.writeBuffer(&buffer)
            swap(&rest, &buffer)
            rest = ByteBuffer()
        }
        var consumed = 0
        do {
            try buffer.withUnsafeReadableBytes { bytes in
                while let frame = try Frame.parse(
                    UnsafeRawBufferPointer(rebasing: bytes[consumed...]), maxBody: maxBody())
                {
                    consumed += frame.size
                    try body(frame)
                }
            }
        } catch let violation as ProtocolViolation {
            throw violation
        } catch {
            throw ProtocolViolation("\(error)")
        }
        buffer.moveReaderIndex(forwardBy: consumed)
        guard buffer.readableBytes > 0 else { return }
        if hadRest, consumed == 0 {
            rest = buffer
        } else {
            // A copy of its own, so that the read buffer can be used again.
            rest.writeBuffer(&buffer)
        }
    }

    /// Bytes kept of a frame that isn't whole yet.
    var pending: Int { rest.readableBytes }
}

import NIOCore
import RPC
import Testing

@testable import RPCTransport

@Suite struct FrameAccumulatorTests {
    private let bytes =
        FrameEncoder.frame(.ping, callID: 1) + FrameEncoder.frame(.response, callID: 2, payload: Array(0..<60))
        + FrameEncoder.frame(.end, callID: 3)

    /// The ids and payload sizes of the frames that come of these pieces.
    private func frames(_ pieces: [ArraySlice<UInt8>], maxBody: Int = 100) throws -> [String] {
        var accumulator = FrameAccumulator()
        var seen: [String] = []
        for piece in pieces {
            try accumulator.feed(ByteBuffer(bytes: piece), maxBody: { maxBody }) {
                frame throws(ProtocolViolation) in seen.append("\(frame.callID):\(frame.payload.count)")
            }
        }
        #expect(accumulator.pending == 0)
        return seen
    }

    @Test func everySplit() throws {
        let whole = try frames([bytes[...]])
        #expect(whole == ["1:0", "2:60", "3:0"])
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let split = try frames([bytes[..<first], bytes[first..<second], bytes[second...]])
                #expect(split == whole)
            }
        }
        let single = try frames(bytes.indices.map { bytes[$0...$0] })
        #expect(single == whole)
    }

    @Test func nothingIsKeptOfAFrameThatIsTooLong() throws {
        var accumulator = FrameAccumulator()
        #expect(throws: ProtocolViolation.self) {
            try accumulator.feed(ByteBuffer(bytes: [0, 0, 1, 0]), maxBody: { 100 }) { _ throws(ProtocolViolation) in }
        }
    }

    @Test func aLongFrameInManyPieces() throws {
        let long = FrameEncoder.frame(.response, callID: 7, payload: [UInt8](repeating: 1, count: 4 << 20))
        let pieces = stride(from: 0, to: long.count, by: 16_384).map { long[$0..<min($0 + 16_384, long.count)] }
        let seen = try frames(pieces, maxBody: 8 << 20)
        #expect(seen == ["7:\(4 << 20)"])
    }
}

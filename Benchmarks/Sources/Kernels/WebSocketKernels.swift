import NIOCore
import WebSocketEdge

// The edge: frames of a client read, frames of the server made.

let webSocketKernels = [
    Kernel("websocket-frame-read", operations: 40_000) {
        // Head, mask, UTF-8: what `EdgeConnection` does with a frame that came whole.
        let frames = Samples.texts.map { masked(Array($0.utf8)) }
        var assembler = MessageAssembler(limit: 65_536, acceptsBinary: false)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 8)
        return { count in
            var sum = 0
            for number in 0..<count {
                sum &+= try frames[number % Samples.count].withUnsafeBytes { bytes in
                    guard let header = try FrameHeader.parse(bytes, maximumPayload: 65_536) else { return 0 }
                    let payload = UnsafeMutableRawBufferPointer(rebasing: room[..<header.length])
                    FrameHeader.unmask(
                        UnsafeRawBufferPointer(rebasing: bytes[header.size...]), mask: header.mask, into: payload)
                    switch try assembler.receive(header, payload: UnsafeRawBufferPointer(payload)) {
                    case .message: return header.length
                    case .incomplete, .ping, .pong, .close: throw KernelFailure("a frame is no message")
                    }
                }
            }
            return sum
        }
    },
    Kernel("websocket-frame-write", operations: 40_000) {
        let payloads = Samples.texts.map { Array(($0 + $0).utf8) }
        return { count in
            var sum = 0
            for number in 0..<count {
                // Its module's, as a chat node calls it; what reads frames is the edge's own, and linked in here.
                sum &+= WebSocketEdge.ServerFrames.frame(.text, payloads[number % Samples.count]).readableBytes
            }
            return sum
        }
    },
]

/// A text frame as a client sends it.
private func masked(_ payload: [UInt8]) -> [UInt8] {
    let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    var frame: [UInt8] = [0x81]
    if payload.count <= 125 {
        frame.append(0x80 | UInt8(payload.count))
    } else {
        frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    }
    frame += mask
    frame += payload.enumerated().map { $1 ^ mask[$0 & 3] }
    return frame
}

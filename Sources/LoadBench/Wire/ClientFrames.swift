package import Protocol
import SwiftProtobuf

/// WebSocket frames as a client sends them (RFC 6455, 5.2), whole and masked.
package enum ClientFrames {
    /// One key for a whole run: masking protects proxies from scripts in a browser, and there is neither here.
    package static let mask: [UInt8] = [0x5A, 0xC3, 0x1F, 0x76]

    package static func frame(opcode: UInt8, _ payload: some Collection<UInt8>) -> [UInt8] {
        var frame: [UInt8] = [0x80 | opcode]
        switch payload.count {
        case ...125: frame.append(0x80 | UInt8(payload.count))
        case ...0xFFFF: frame += [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        case _: frame += [0xFF] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        frame += mask
        for (place, byte) in payload.enumerated() { frame.append(byte ^ mask[place & 3]) }
        return frame
    }

    package static func frame(_ content: ClientClientFrame.OneOf_Frame) -> [UInt8] {
        var message = ClientClientFrame()
        message.frame = content
        // Only a required field could be missing, and proto3 has none.
        let bytes: [UInt8] = (try? message.serializedBytes()) ?? []
        return frame(opcode: 2, bytes)
    }

    /// - Parameter cursors: what the client holds; nil leaves it to the server's knowledge.
    package static func hello(cursors: [String: UInt64]? = nil) -> [UInt8] {
        var hello = ClientHello()
        hello.client = "roost-bench/1"
        if let cursors { hello.cursors.cursors = cursors }
        return frame(.hello(hello))
    }

    /// Written by hand: at a high rate there are thousands a second.
    package static func received(_ cursors: some Collection<(conversation: [UInt8], seq: UInt64)>) -> [UInt8] {
        var entries: [UInt8] = []
        for (conversation, seq) in cursors {
            var entry: [UInt8] = [0x0A]
            appendVarint(UInt64(conversation.count), to: &entry)
            entry += conversation
            entry.append(0x10)
            appendVarint(seq, to: &entry)
            entries.append(0x0A)
            appendVarint(UInt64(entry.count), to: &entries)
            entries += entry
        }
        var message: [UInt8] = [7 << 3 | 2]
        appendVarint(UInt64(entries.count), to: &message)
        return frame(opcode: 2, message + entries)
    }

    private static func appendVarint(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package static func read(_ conversation: String, _ seq: UInt64) -> [UInt8] {
        var read = ClientRead()
        (read.conversation, read.seq) = (conversation, seq)
        return frame(.read(read))
    }

    package static func typing(_ conversation: String, isActive: Bool) -> [UInt8] {
        var typing = ClientTyping()
        (typing.conversation, typing.active) = (conversation, isActive)
        return frame(.typing(typing))
    }
}

/// A message to one conversation, encoded and masked once: only its index changes.
package struct MessageTemplate: Sendable {
    package enum Target: Sendable {
        case user(String)
        case conversation(String)
    }

    private var bytes: [UInt8]
    /// Where the ten digits lie, and from which byte of the mask on.
    private let places: [(offset: Int, mask: Int)]

    /// - Parameters:
    ///   - run: a token that makes client ids of this run its own.
    ///   - size: bytes of text, at least the index's ten.
    package init(to target: Target, run: String, size: Int) {
        self.init(
            to: target, run: run, text: String(repeating: "x", count: max(0, size - MessageIndex.digits)))
    }

    /// - Parameter text: what follows the index.
    package init(to target: Target, run: String, text: String) {
        // Digits that no id, and no text of this module, holds; each is found again below.
        let blank = String(repeating: "#", count: MessageIndex.digits)
        var send = ClientSend()
        switch target {
        case .user(let user): send.to = user
        case .conversation(let conversation): send.conversation = conversation
        }
        send.ref = blank
        send.clientID = run + blank
        send.body.text = blank + text
        let frame = ClientFrames.frame(.send(send))
        var message = ClientClientFrame()
        message.frame = .send(send)
        let payload: [UInt8] = (try? message.serializedBytes()) ?? []
        let head = frame.count - payload.count
        var places: [(Int, Int)] = []
        var place = 0
        while place + MessageIndex.digits <= payload.count {
            if payload[place..<place + MessageIndex.digits].elementsEqual(blank.utf8) {
                places.append((head + place, place & 3))
                place += MessageIndex.digits
            } else {
                place += 1
            }
        }
        precondition(places.count == 3, "a ref, a client id and a text have an index")
        (bytes, self.places) = (frame, places)
    }

    /// The frame of a message with that index.
    @inline(__always)
    package mutating func withFrame<Result>(
        index: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        bytes.withUnsafeMutableBytes { frame in
            for (offset, mask) in places {
                var rest = index
                for place in stride(from: MessageIndex.digits - 1, through: 0, by: -1) {
                    let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                    frame[offset + place] = (0x30 + UInt8(digit)) ^ Self.maskByte(mask + place)
                    rest = quotient
                }
            }
            return body(UnsafeRawBufferPointer(frame))
        }
    }

    @inline(__always)
    private static func maskByte(_ place: Int) -> UInt8 {
        switch place & 3 {
        case 0: 0x5A
        case 1: 0xC3
        case 2: 0x1F
        case _: 0x76
        }
    }
}

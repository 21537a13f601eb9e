import Protocol
import SwiftProtobuf
import Testing

@testable import LoadBench

@Suite struct ClientFramesTests {
    /// What a server reads from a client's frame.
    private func payload(_ frame: [UInt8]) throws -> [UInt8] {
        #expect(frame[0] == 0x82)
        #expect(frame[1] & 0x80 != 0)
        var head = 2
        var length = Int(frame[1] & 0x7F)
        if length == 126 { (length, head) = (Int(frame[2]) << 8 | Int(frame[3]), 4) }
        if length == 127 { (length, head) = (frame[2..<10].reduce(0) { $0 << 8 | Int($1) }, 10) }
        let mask = Array(frame[head..<head + 4])
        let masked = frame[(head + 4)...]
        #expect(masked.count == length)
        return masked.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    private func message(_ frame: [UInt8]) throws -> ClientClientFrame {
        try ClientClientFrame(serializedBytes: payload(frame))
    }

    @Test(arguments: [10, 20, 100, 125, 200, 8192, 16_000])
    func aTemplateIsAWholeMessageForEachIndex(_ size: Int) throws {
        var template = MessageTemplate(to: .user("somebody"), run: "run-", size: size)
        for index in [0, 7, 1_234_567_890, 42] {
            let send = try message(template.withFrame(index: index) { Array($0) }).send
            #expect(send.to == "somebody")
            #expect(send.conversation.isEmpty)
            #expect(send.ref == MessageIndex.text(index))
            #expect(send.clientID == "run-" + MessageIndex.text(index))
            #expect(send.body.text.utf8.count == size)
            #expect(send.body.text.hasPrefix(MessageIndex.text(index)))
        }
    }

    @Test func aTemplateToAConversation() throws {
        var template = MessageTemplate(to: .conversation("room"), run: "r", text: " words")
        let send = try message(template.withFrame(index: 3) { Array($0) }).send
        #expect(send.conversation == "room")
        #expect(send.to.isEmpty)
        #expect(send.body.text == "0000000003 words")
    }

    @Test func receivedIsWhatProtobufReads() throws {
        let cursors: [(conversation: [UInt8], seq: UInt64)] = [
            (Array("one".utf8), 1), (Array("two".utf8), 300), (Array(String(repeating: "c", count: 200).utf8), .max),
        ]
        let received = try message(ClientFrames.received(cursors)).received
        #expect(received.cursors == ["one": 1, "two": 300, String(repeating: "c", count: 200): .max])
    }

    @Test func otherFrames() throws {
        #expect(try message(ClientFrames.hello()).hello.hasCursors == false)
        #expect(try message(ClientFrames.hello(cursors: ["c": 4])).hello.cursors.cursors == ["c": 4])
        #expect(try message(ClientFrames.read("c", 9)).read.seq == 9)
        #expect(try message(ClientFrames.typing("c", isActive: true)).typing.active)
    }

    @Test func longFramesHaveLongHeads() throws {
        let frame = ClientFrames.frame(opcode: 2, [UInt8](repeating: 1, count: 70_000))
        #expect(frame[1] & 0x7F == 127)
        #expect(try payload(frame) == [UInt8](repeating: 1, count: 70_000))
    }
}

@Suite struct ServerFrameViewTests {
    private func withView<Result>(
        _ content: ClientServerFrame.OneOf_Frame, _ body: (ServerFrameView) throws -> Result
    ) throws -> Result {
        var frame = ClientServerFrame()
        frame.frame = content
        let bytes: [UInt8] = try frame.serializedBytes()
        return try bytes.withUnsafeBytes { try body(ServerFrameView($0)) }
    }

    private func event() -> ClientEvent {
        var event = ClientEvent()
        (event.conversation, event.seq, event.id, event.kind) = ("conversation", 300, "id", "message")
        (event.sender, event.sentAtMs) = ("sender", 1_700_000_000_000)
        event.body.text = "0000000123 and more"
        return event
    }

    @Test func anEvent() throws {
        try withView(.event(event())) { view in
            guard case .event(let event) = view else { return #expect(Bool(false), "no event") }
            #expect(String(decoding: event.conversation, as: UTF8.self) == "conversation")
            #expect(event.seq == 300)
            #expect(event.isMessage)
            #expect(!event.isOwn)
            #expect(event.index == 123)
        }
        var own = event()
        own.clientID = "mine"
        own.kind = "edit"
        own.body.text = "no index"
        try withView(.event(own)) { view in
            guard case .event(let event) = view else { return #expect(Bool(false), "no event") }
            #expect(event.isOwn)
            #expect(!event.isMessage)
            #expect(event.index == nil)
        }
    }

    @Test func anAckAnErrorAReceiptATyping() throws {
        var ack = ClientAck()
        (ack.ref, ack.conversation, ack.seq, ack.id) = ("0000000009", "c", 5, "i")
        try withView(.ack(ack)) { view in
            guard case .ack(let ack) = view else { return #expect(Bool(false), "no ack") }
            #expect(ack.index == 9)
            #expect(ack.seq == 5)
        }
        var error = ClientError()
        (error.ref, error.code, error.message) = ("0000000008", "forbidden", "not you")
        try withView(.error(error)) { view in
            guard case .error(let error) = view else { return #expect(Bool(false), "no error") }
            #expect(error.index == 8)
            #expect(error.text == "forbidden: not you")
        }
        var receipt = ClientReceipt()
        (receipt.conversation, receipt.user, receipt.delivered, receipt.read) = ("c", "u", 4, 3)
        try withView(.receipt(receipt)) { view in
            guard case .receipt(let receipt) = view else { return #expect(Bool(false), "no receipt") }
            #expect(receipt.read == 3)
        }
        var typing = ClientTyping()
        (typing.conversation, typing.user, typing.active) = ("c", "u", true)
        try withView(.typing(typing)) { view in
            guard case .typing(let typing) = view else { return #expect(Bool(false), "no typing") }
            #expect(typing.isActive)
        }
        try withView(.synced(ClientSynced())) { view in
            guard case .synced = view else { return #expect(Bool(false), "not synced") }
        }
    }

    /// Whatever is cut off or altered is refused or read as something else, without reading past the end.
    @Test func brokenBytesAreRefused() throws {
        var frame = ClientServerFrame()
        frame.frame = .event(event())
        let whole: [UInt8] = try frame.serializedBytes()
        for length in 0..<whole.count {
            Array(whole[..<length]).withUnsafeBytes { bytes in
                guard case .malformed = ServerFrameView(bytes) else {
                    return #expect(Bool(false), "\(length) bytes of \(whole.count) were taken")
                }
            }
        }
        for place in whole.indices {
            for bit in 0..<8 {
                var altered = whole
                altered[place] ^= 1 << UInt8(bit)
                altered.withUnsafeBytes { _ = ServerFrameView($0) }
            }
        }
    }
}

@Suite struct FrameParserTests {
    private func parse(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { bytes in
            switch ServerFrame.parse(bytes) {
            case .incomplete: "incomplete"
            case .malformed: "malformed"
            case .frame(let frame): "\(frame.opcode) \(frame.payload.count) \(frame.size)"
            }
        }
    }

    @Test(arguments: [0, 1, 125, 126, 300, 65_535, 65_536])
    func framesAtEveryLength(_ length: Int) {
        var frame: [UInt8] = [0x82]
        switch length {
        case ...125: frame.append(UInt8(length))
        case ...65_535: frame += [126, UInt8(length >> 8), UInt8(length & 255)]
        case _: frame += [127, 0, 0, 0, 0, 0, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)]
        }
        let head = frame.count
        frame += [UInt8](repeating: 7, count: length)
        for cut in [0, 1, head - 1, head, frame.count - 1] where cut < frame.count && cut < head + length {
            #expect(parse(Array(frame[..<cut])) == "incomplete")
        }
        #expect(parse(frame + [1, 2, 3]) == "2 \(length) \(head + length)")
    }

    @Test func whatNoServerSends() {
        #expect(parse([0x02, 0]) == "malformed")
        #expect(parse([0x82, 0x81, 0, 0, 0, 0, 1]) == "malformed")
        #expect(parse([0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0]) == "malformed")
        #expect(parse([0x82, 127, 0, 0, 0, 0, 0xFF, 0, 0, 0]) == "malformed")
    }

    @Test func theUpgradesAnswer() {
        func answer(_ text: String) -> (status: Int, size: Int)? {
            Array(text.utf8).withUnsafeBytes { Upgrade.answer($0) }
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
        #expect(answer(String(head.dropLast())) == nil)
        #expect(answer(head + "more")?.status == 101)
        #expect(answer(head + "more")?.size == head.utf8.count)
        #expect(answer("HTTP/1.1 401 Unauthorized\r\n\r\n")?.status == 401)
        #expect(answer("nonsense\r\n\r\n")?.status == 0)
    }
}

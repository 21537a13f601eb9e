import NIOCore
import NIOEmbedded
import Testing

@testable import WebSocketEdge

@Suite struct EdgeConnectionTests {
    private typealias H = EdgeHarness

    @Test func upgradeAnswersAsTheRFCSays() throws {
        let harness = try EdgeHarness()
        harness.receive(H.upgrade(subprotocol: "other, roost.v1.json"))
        let answer = String(decoding: harness.sent(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 101 "))
        #expect(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(answer.contains("Sec-WebSocket-Protocol: roost.v1.json\r\n"))
        #expect(harness.session != nil)
    }

    @Test func everySplitOfTheBytesMeansTheSame() throws {
        let long = String(repeating: "x", count: 200)
        let stream =
            H.upgrade() + H.text("one") + H.frame(1, Array("tw".utf8), fin: false) + H.frame(9, [1, 2])
            + H.frame(0, Array("o é".utf8)) + H.text(long) + H.frame(10, [])
        let expected = ["one", "two é", long].map { Array($0.utf8) }
        for split in 0...stream.count {
            let harness = try EdgeHarness()
            harness.receive(Array(stream[..<split]))
            harness.receive(Array(stream[split...]))
            #expect(harness.session?.messages == expected, "split at \(split)")
        }
        let harness = try EdgeHarness()
        for byte in stream { harness.receive([byte]) }
        #expect(harness.session?.messages == expected)
        #expect(harness.session?.controls == 3)
        #expect(harness.sent().suffix(4) == [0x8A, 2, 1, 2])
    }

    @Test func aMultibyteCharacterMayBeCutByFragments() throws {
        let harness = try EdgeHarness()
        harness.open()
        let bytes = Array("𝄞".utf8)
        harness.receive(H.frame(1, [bytes[0]], fin: false))
        harness.receive(H.frame(0, [bytes[1], bytes[2]], fin: false) + H.frame(0, [bytes[3]]))
        #expect(harness.session?.messages == [bytes])
    }

    @Test(
        arguments: [
            (1002, H.text("x").enumerated().map { $0 == 1 ? $1 & 0x7F : $1 }),
            (1002, H.frame(1, [], reserved: 4)), (1002, H.frame(1, [], reserved: 1)), (1002, H.frame(3, [])),
            (1002, H.frame(11, [])), (1002, H.frame(0, [1])), (1002, H.frame(1, [1], fin: false) + H.frame(1, [1])),
            (1002, H.frame(9, [], fin: false)), (1002, H.frame(9, Array(repeating: 0, count: 126))),
            (1002, H.frame(8, [3])), (1002, H.frame(8, [3, 237])), (1002, H.frame(8, [0, 0])),
            (1002, H.frame(8, [3, 238])),
            (1007, H.frame(8, [3, 232, 0xFF])), (1007, H.frame(1, [0xFF])), (1007, H.frame(1, [0xC3])),
            (1007, H.frame(1, [0xED, 0xA0, 0x80])),
            (1007, H.frame(1, [0x61], fin: false) + H.frame(0, [0xC0, 0xAF], fin: false)),
            (1003, H.frame(2, [1])), (1009, H.frame(1, Array(repeating: 0x61, count: 65_537))),
            (
                1009,
                H.frame(1, Array(repeating: 0x61, count: 40_000), fin: false)
                    + H.frame(0, Array(repeating: 0x61, count: 30_000))
            ),
            (1002, [0x81, 0xFE, 0, 5, 0, 0, 0, 0]), (1002, [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]),
            (1009, [0x81, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ] as [(UInt16, [UInt8])])
    func violationsCloseWithTheirCode(_ code: UInt16, _ bytes: [UInt8]) throws {
        let harness = try EdgeHarness()
        harness.open()
        harness.receive(bytes)
        #expect(harness.closeCode() == code)
        // Nothing after it is heard.
        harness.receive(H.text("late"))
        #expect(harness.session?.messages == [])
        harness.receive(H.frame(8, [3, 232]))
        #expect(!harness.channel.isActive)
        #expect(harness.session?.isClosed == true)
    }

    @Test func textIsTheWrongKindForProtobuf() throws {
        let harness = try EdgeHarness()
        harness.open(protobuf: true)
        harness.receive(H.frame(2, [1, 2, 3]))
        #expect(harness.session?.messages == [[1, 2, 3]])
        harness.receive(H.text("x"))
        #expect(harness.closeCode() == 1003)
    }

    @Test func aFullSizedMessageIsTaken() throws {
        let harness = try EdgeHarness()
        harness.open()
        let text = Array(repeating: UInt8(0x61), count: 65_536)
        for chunk in stride(from: 0, to: 70_000, by: 1000) {
            let bytes = H.frame(1, text)
            if chunk < bytes.count { harness.receive(Array(bytes[chunk..<min(chunk + 1000, bytes.count)])) }
        }
        #expect(harness.session?.messages == [text])
    }

    @Test func thePeersCloseIsEchoed() throws {
        let harness = try EdgeHarness()
        harness.open()
        harness.receive(H.frame(8, [0x0F, 0xA1]))
        #expect(harness.closeCode() == 4001)
        #expect(!harness.channel.isActive)
    }

    @Test func anUnansweredCloseIsCut() throws {
        let harness = try EdgeHarness()
        harness.open()
        harness.session?.connection.close(.shutdown, "bye")
        #expect(harness.closeCode() == 1001)
        #expect(harness.channel.isActive)
        harness.eventLoop.advanceTime(by: .seconds(7))
        #expect(!harness.channel.isActive)
    }

    @Test func heartbeatsGiveUpAfterTwoUnanswered() throws {
        let harness = try EdgeHarness()
        harness.open()
        harness.eventLoop.advanceTime(by: .seconds(26))
        #expect(harness.sent() == [0x89, 0])
        harness.receive(H.frame(10, []))
        harness.eventLoop.advanceTime(by: .seconds(25))
        #expect(harness.sent() == [0x89, 0])
        harness.eventLoop.advanceTime(by: .seconds(25))
        #expect(harness.sent() == [0x89, 0])
        #expect(harness.session?.connection.isOpen == true)
        harness.eventLoop.advanceTime(by: .seconds(25))
        #expect(harness.closeCode() == 4408)
        #expect(harness.loop.metrics.heartbeatsMissed == 1)
    }

    @Test func aSlowPeerIsReportedAndCutInTheEnd() throws {
        let harness = try EdgeHarness()
        harness.open()
        harness.channel.isWritable = false
        harness.channel.pipeline.fireChannelWritabilityChanged()
        #expect(harness.session?.writability == [false])
        harness.channel.isWritable = true
        harness.channel.pipeline.fireChannelWritabilityChanged()
        harness.channel.isWritable = false
        harness.channel.pipeline.fireChannelWritabilityChanged()
        #expect(harness.session?.writability == [false, true, false])
        harness.eventLoop.advanceTime(by: .seconds(62))
        #expect(!harness.channel.isActive)
        #expect(harness.loop.metrics.stalled == 1)
    }

    // MARK: Requests

    @Test(
        arguments: [
            (401, H.upgrade(path: "/chat-service/v1/ws?ticket=bad")), (401, H.upgrade(path: "/chat-service/v1/ws")),
            (405, H.upgrade(method: "POST")), (426, H.upgrade(version: "8")),
            (403, H.upgrade(extra: "Origin: https://evil.test\r\n")), (403, H.upgrade(extra: "Origin: null\r\n")),
            (400, H.upgrade(subprotocol: "chat")), (400, H.upgrade(extra: "Host: second\r\n")),
            (400, H.upgrade(extra: " folded: x\r\n")), (400, H.upgrade(extra: "bad name: x\r\n")),
            (400, H.upgrade(extra: "Content-Length: 5\r\n")), (400, H.upgrade(extra: "X: \u{0}\r\n")),
            (400, Array("GET /chat-service/v1/ws HTTP/1.0\r\n\r\n".utf8)), (400, Array("\r\n\r\n".utf8)),
            (400, Array("GET  / HTTP/1.1\r\n\r\n".utf8)), (400, Array("GET x HTTP/1.1\r\n\r\n".utf8)),
            (426, Array("GET /chat-service/v1/ws?ticket=good HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
            (431, H.upgrade(extra: "X: \(String(repeating: "a", count: 9000))\r\n")),
            (431, Array(repeating: 0x41, count: 9000)),
        ] as [(Int, [UInt8])])
    func badRequestsAreRefused(_ status: Int, _ bytes: [UInt8]) throws {
        let harness = try EdgeHarness()
        harness.receive(bytes)
        let answer = String(decoding: harness.sent(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "))
        #expect(answer.contains("application/problem+json"))
        #expect(!harness.channel.isActive)
        #expect(harness.session == nil)
    }

    @Test(arguments: [
        "Origin: http://roost.test:8080\r\n", "Origin: https://Gate.test\r\nX-Forwarded-Host: gate.test\r\n",
        "Origin: https://gate.test\r\nX-Forwarded-Host: gate.test:443\r\n", "Authorization: Bearer good\r\n", "",
    ])
    func ownOriginsConnect(_ extra: String) throws {
        let harness = try EdgeHarness()
        harness.receive(
            H.upgrade(
                path: "/chat-service/v1/ws" + (extra.hasPrefix("Auth") ? "" : "?node=n&ticket=go%6Fd"), extra: extra))
        #expect(harness.session != nil)
    }

    @Test func aSlowRequestIsEnded() throws {
        let harness = try EdgeHarness()
        for byte in H.upgrade().prefix(9) {
            harness.receive([byte])
            harness.eventLoop.advanceTime(by: .seconds(1))
        }
        #expect(harness.channel.isActive)
        harness.eventLoop.advanceTime(by: .seconds(2))
        #expect(String(decoding: harness.sent(), as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
        #expect(!harness.channel.isActive)
    }

    @Test func randomBytesNeverTrap() throws {
        var generator = SystemRandomNumberGenerator()
        for round in 0..<400 {
            let harness = try EdgeHarness()
            if round % 2 == 0 { harness.open() }
            for _ in 0..<Int.random(in: 1...6) {
                var bytes = (0..<Int.random(in: 0...300)).map { _ in UInt8.random(in: 0...255, using: &generator) }
                // Many that are nearly right.
                if round % 4 == 0, bytes.count > 2 {
                    bytes[0] = [0x81, 0x01, 0x80, 0x88, 0x89].randomElement()!
                    bytes[1] |= 0x80
                }
                harness.receive(bytes)
            }
            _ = harness.sent()
            _ = try? harness.channel.finish()
        }
    }
}

@Suite struct UTF8ValidatorTests {
    @Test func agreesWithTheStandardLibraryAtEverySplit() {
        var generator = SystemRandomNumberGenerator()
        let pieces: [[UInt8]] = [
            [0x61], [0xC2, 0x80], [0xE0, 0xA0, 0x80], [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xF0, 0x90, 0x80, 0x80],
            [0xF4, 0x8F, 0xBF, 0xBF], [0xF4, 0x90], [0xC0], [0xED, 0xA0], [0x80], [0xFF],
            Array("plain ascii text".utf8),
        ]
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...5)).flatMap { _ in pieces.randomElement(using: &generator)! }
            let expected = String(validating: bytes, as: UTF8.self) != nil
            let split = Int.random(in: 0...bytes.count)
            var validator = UTF8Validator()
            let valid = [Array(bytes[..<split]), Array(bytes[split...])].allSatisfy { part in
                part.withUnsafeBytes { validator.consume($0) }
            }
            #expect((valid && validator.isComplete) == expected, "\(bytes) at \(split)")
        }
    }
}

@Suite struct HeartbeatWheelTests {
    final class Member: WheelMember {
        var wheelSlot: Int32 = -1
        var wheelIndex: Int32 = -1
        var visits = 0
    }

    @Test func everyMemberIsVisitedOnceATurn() {
        var wheel = HeartbeatWheel<Member>(ticks: 5)
        var members: [Member] = []
        for tick in 0..<50 {
            let member = Member()
            members.append(member)
            wheel.insert(member)
            if tick % 3 == 0 {
                let gone = members.remove(at: members.count / 2)
                wheel.remove(gone)
                wheel.remove(gone)
            }
            for visited in wheel.advance() { visited.visits += 1 }
        }
        #expect(wheel.count == members.count)
        for member in members { member.visits = 0 }
        for _ in 0..<10 { for visited in wheel.advance() { visited.visits += 1 } }
        #expect(members.allSatisfy { $0.visits == 2 })
    }
}

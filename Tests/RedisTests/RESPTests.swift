import Testing

@testable import Redis

@Suite struct RESPTests {
    @Test func encodesAnyBytes() {
        var bytes: [UInt8] = []
        RESP.append(["SET", "k", RedisArgument([0, 13, 10, 255])], to: &bytes)
        #expect(bytes == Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n".utf8) + [0, 13, 10, 255, 13, 10])
    }

    @Test func parsesAtEverySplit() throws {
        let stream = Array("+OK\r\n:-7\r\n$-1\r\n$3\r\na\r\n\r\n*3\r\n:1\r\n*1\r\n$1\r\nx\r\n-ERR no\r\n*-1\r\n".utf8)
        let expected: [RedisValue] = [
            .bytes(Array("OK".utf8)), .integer(-7), .null, .bytes(Array("a\r\n".utf8)),
            .array([.integer(1), .array([.bytes([120])]), .error(prefix: "ERR", message: "ERR no")]), .null,
        ]
        for split in 0...stream.count {
            let parser = RESP.Parser()
            var values: [RedisValue] = []
            for part in [stream[..<split], stream[split...]] {
                try part.withUnsafeBytes { try parser.feed($0) }
                while let value = try parser.next() { values.append(value) }
            }
            #expect(values == expected)
        }
    }

    @Test(arguments: ["?\r\n", "$x\r\n", "HTTP/1.1 400 Bad Request\r\n"])
    func refusesWhatIsNotRedis(_ text: String) {
        #expect(throws: RESP.Parser.Violation.self) {
            let parser = RESP.Parser()
            try Array(text.utf8).withUnsafeBytes { try parser.feed($0) }
            while try parser.next() != nil {}
        }
    }

    @Test func splitsAddresses() {
        #expect(SocketAddress.split("[::1]:6379")?.host == "::1")
        #expect(SocketAddress.split("a.b:1")?.port == "1")
        for wrong in ["a", ":1", "a:", "a:x", "a:70000"] { #expect(SocketAddress.split(wrong) == nil) }
    }

    @Test func digestIsSHA1() {
        #expect(RedisScript("return 1").digest == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
    }
}

@Suite struct PipelineTests {
    @Test func givesRepliesInOrder() {
        var pipeline = Pipeline<Int>()
        pipeline.sent(1, replies: 1)
        pipeline.sent(2, replies: 2)
        guard case .complete(1, [.integer(10)]) = pipeline.received(.integer(10)),
            case .incomplete = pipeline.received(.integer(20)),
            case .complete(2, [.integer(20), .null]) = pipeline.received(.null),
            case .unexpected = pipeline.received(.null)
        else {
            Issue.record("replies went astray")
            return
        }
    }

    @Test func failsWhatIsLeft() {
        var pipeline = Pipeline<Int>()
        pipeline.sent(1, replies: 2)
        pipeline.sent(2, replies: 1)
        _ = pipeline.received(.null)
        let failed = pipeline.fail()
        #expect(failed == [1, 2])
        #expect(pipeline.count == 0)
        pipeline.sent(3, replies: 1)
        guard case .complete(3, [.integer(1)]) = pipeline.received(.integer(1)) else {
            Issue.record("an old reply was given to a new request")
            return
        }
    }

    @Test func backsOff() {
        var backOff = BackOff(first: .milliseconds(100), limit: .milliseconds(300))
        var pauses = [0, 1, 0].map { backOff.next(random: $0) }
        backOff.reset()
        pauses.append(backOff.next(random: 0))
        #expect(pauses == [.milliseconds(100), .milliseconds(100), .milliseconds(300), .milliseconds(100)])
    }
}

import RPC
import Testing

@Suite struct FrameTests {
    @Test func roundTripOfEveryKind() throws {
        for kind in FrameKind.allCases {
            let bytes = FrameEncoder.frame(kind, callID: 0x0102_0304_0506_0708, payload: [1, 2, 3])
            #expect(bytes == [0, 0, 0, 12, kind.rawValue, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])
            var seen = 0
            try forEachFrame(bytes) { frame in
                #expect(frame.kind == kind)
                #expect(frame.callID == 0x0102_0304_0506_0708)
                #expect(Array(frame.payload) == [1, 2, 3])
                #expect(frame.size == bytes.count)
                seen += 1
            }
            #expect(seen == 1)
        }
    }

    /// The bytes that `Protos/README.md` shows.
    @Test func exampleOfTheDocumentation() {
        let id = RPCMethodDescriptor.identifier(of: "roost.relay.v1.Relay/Typing")
        #expect(id == 0x7D53_7351)
        let bytes = requestFrame(1, method: id, timeout: 5000, payload: [0x18, 0x01])
        #expect(
            bytes == [
                0, 0, 0, 24, 16, 0, 0, 0, 0, 0, 0, 0, 1, 0x7D, 0x53, 0x73, 0x51, 0, 0, 0x13, 0x88, 0, 0, 0, 0, 0, 0x18,
                1,
            ])
    }

    @Test func incompleteAtEverySplit() throws {
        let bytes = requestFrame(3, timeout: 9, credit: 4, trace: "00-abc", payload: Array(0..<50))
        for count in 0..<bytes.count {
            let isWhole = try bytes.withUnsafeBytes { bytes in
                try Frame.parse(UnsafeRawBufferPointer(rebasing: bytes[..<count]), maxBody: 1024) != nil
            }
            #expect(!isWhole)
        }
    }

    @Test func requestHeaderRoundTrip() throws {
        for trace in [
            nil, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", String(repeating: "x", count: 300),
        ] {
            let bytes = requestFrame(5, method: 77, timeout: 1234, credit: 16, trace: trace, payload: [9, 8])
            try forEachFrame(bytes) { frame in
                let (header, payload) = try RequestHeader.parse(frame.payload)
                #expect(header.method == 77)
                #expect(header.timeoutMilliseconds == 1234)
                #expect(header.credit == 16)
                #expect(header.trace == trace.map { String($0.prefix(255)) })
                #expect(Array(payload) == [9, 8])
            }
        }
    }

    @Test func lengthIsCheckedBeforeTheBodyComes() {
        func parse(_ bytes: [UInt8]) throws -> Frame? {
            try bytes.withUnsafeBytes { try Frame.parse($0, maxBody: 100) }
        }
        #expect(throws: ProtocolViolation.self) { try parse([0, 0, 0, 101]) }
        #expect(throws: ProtocolViolation.self) { try parse([255, 255, 255, 255]) }
        #expect(throws: ProtocolViolation.self) { try parse([0, 0, 0, 8]) }
        #expect(throws: ProtocolViolation.self) { try parse([0, 0, 0, 0]) }
        #expect(throws: ProtocolViolation.self) { try parse([0, 0, 0, 50, 99]) }
        #expect(throws: Never.self) { try parse([0, 0, 0, 100, 16]) }
    }

    @Test func errorRoundTrip() throws {
        let errors = [
            RPCError(.notFound, "no such conversation"),
            RPCError(.rateLimited, "", details: ["retry_after_ms": "100", "": "ü"]),
        ]
        for error in errors {
            try forEachFrame(FrameEncoder.error(error, callID: 1)) { frame in
                let decoded = try RPCError(payload: frame.payload)
                #expect(decoded == error)
            }
        }
        // Cut anywhere, it is refused.
        try forEachFrame(FrameEncoder.error(errors[1], callID: 1)) { frame in
            for count in 0..<frame.payload.count {
                let cut = UnsafeRawBufferPointer(rebasing: frame.payload[..<count])
                #expect(throws: ProtocolViolation.self) { _ = try RPCError(payload: cut) }
            }
        }
        let unknown: [UInt8] = [200, 0, 0, 0]
        let decoded = try unknown.withUnsafeBytes { try RPCError(payload: $0) }
        #expect(decoded.code == .internalError)
    }

    @Test func randomBytesNeverTrapAndNeverPassTheLimit() {
        var random = SplitMix64(seed: 1)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...80, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            // Half of them look like frames, so that what is behind the length is reached.
            if Bool.random(using: &random), count > 5 {
                bytes.replaceSubrange(0..<4, with: [0, 0, 0, UInt8(count - 4)])
                bytes[4] = FrameKind.allCases.randomElement(using: &random)?.rawValue ?? 0
            }
            try? forEachFrame(bytes, maxBody: 64) { frame in
                #expect(frame.payload.count + Frame.headerSize <= 64)
                _ = try? RequestHeader.parse(frame.payload)
                _ = try? RPCError(payload: frame.payload)
                _ = try? creditMessages(frame.payload)
            }
        }
    }
}

import Protocol
import SwiftProtobuf
import Testing

private func decode(_ json: String) throws(ClientFrameError) -> ClientClientFrame { try decode(Array(json.utf8)) }

private func decode(_ bytes: [UInt8]) throws(ClientFrameError) -> ClientClientFrame {
    let result = bytes.withUnsafeBytes { bytes in
        Result<ClientClientFrame, ClientFrameError> { () throws(ClientFrameError) in
            try ClientJSON.decodeClientFrame(bytes)
        }
    }
    return try result.get()
}

private func decodeServer(_ bytes: [UInt8]) throws(ClientFrameError) -> ClientServerFrame {
    let result = bytes.withUnsafeBytes { bytes in
        Result<ClientServerFrame, ClientFrameError> { () throws(ClientFrameError) in
            try ClientJSON.decodeServerFrame(bytes)
        }
    }
    return try result.get()
}

private func error(_ json: String) -> ClientFrameError? {
    do throws(ClientFrameError) {
        _ = try decode(json)
        return nil
    } catch {
        return error
    }
}

/// One of each frame that a client can send, with every field set.
let clientFrames: [ClientClientFrame.OneOf_Frame] = [
    .hello(
        .with {
            $0.client = "web/1"; $0.cursors.cursors = ["1": 5, "77": 0]
        }),
    .hello(.with { $0.client = "x" }),
    .send(
        .with {
            $0.ref = "r1"; $0.conversation = "12"; $0.clientID = "c\"\\\n\u{1}é𝄞"
            $0.body = .with {
                $0.text = "hello \u{7f} \u{2028} 👋"; $0.format = "markdown"; $0.attachments = ["a", "b"]
                $0.replyTo = "12-3"; $0.mentions = ["4"]
            }
        }),
    .send(
        .with {
            $0.ref = "r"; $0.to = "9"; $0.clientID = "c";
            $0.body = .with {
                $0.text = "t"; $0.format = "plain"
            }
        }),
    .edit(
        .with {
            $0.ref = "r"; $0.message = "1-2"; $0.conversation = "1"; $0.body = .with { $0.format = "plain" }
        }),
    .delete(
        .with {
            $0.ref = "r"; $0.message = "1-2"; $0.conversation = "1"
        }),
    .react(
        .with {
            $0.ref = "r"; $0.message = "1-2"; $0.conversation = "1"; $0.emoji = "👍"; $0.remove = true
        }),
    .read(
        .with {
            $0.conversation = "1"; $0.seq = 1 << 53
        }),
    .received(.with { $0.cursors = ["1": 2, "3": 4] }),
    .typing(
        .with {
            $0.conversation = "1"; $0.active = true
        }),
    .watch(.with { $0.users = ["1", "2"] }),
    .unwatch(.with { $0.users = [] }),
    .ping(.with { $0.ref = "p" }),
]

/// One of each frame that a server can send.
let serverFrames: [ClientServerFrame.OneOf_Frame] = [
    .welcome(
        .with {
            $0.session = "s"; $0.node = "n"; $0.user = "1"; $0.device = "2"; $0.resumed = true; $0.heartbeatS = 25
            $0.limits = .with {
                $0.textBytes = 1; $0.frameBytes = 2; $0.watchUsers = 3
            }
            $0.serverTimeMs = 1_795_168_800_123
        }),
    .event(
        .with {
            $0.conversation = "1"; $0.seq = 2; $0.id = "1-2"; $0.kind = "message"; $0.sender = "3"; $0.sentAtMs = 1000
            $0.clientID = "c";
            $0.body = .with {
                $0.text = "t"; $0.format = "plain"
            }
        }),
    .event(
        .with {
            $0.conversation = "1"; $0.seq = 3; $0.id = "1-3"; $0.kind = "reaction"; $0.sender = "3"; $0.sentAtMs = 0
            $0.message = "1-2"; $0.emoji = "🎉"; $0.removed = true
        }),
    .synced(.with { $0.cursors = ["1": 2] }),
    .ack(
        .with {
            $0.ref = "r"; $0.conversation = "1"; $0.seq = 2; $0.id = "1-2"; $0.sentAtMs = 5; $0.duplicate = true
        }),
    .error(
        .with {
            $0.ref = "r"; $0.code = "invalid"; $0.message = "m"; $0.retryAfterMs = 10
        }),
    .receipt(
        .with {
            $0.conversation = "1"; $0.user = "2"; $0.delivered = 3; $0.read = 2
        }),
    .typing(
        .with {
            $0.conversation = "1"; $0.user = "2"; $0.active = false
        }),
    .presence(
        .with {
            $0.user = "1"; $0.online = false; $0.lastSeenMs = 1000
        }),
    .presence(.with { $0.user = "1" }),
    .notification(
        .with {
            $0.id = "1"; $0.kind = "mention"; $0.conversation = "2"; $0.event = "2-1"; $0.from = "3"; $0.text = "t"
            $0.createdAtMs = 1; $0.read = true
        }),
    .goaway(
        .with {
            $0.reason = "shutdown"; $0.reconnectAfterMs = 100; $0.url = "ws://x"
        }),
    .pong(.with { $0.ref = "p" }),
    .muted(
        .with {
            $0.conversation = "1"; $0.untilMs = 1000
        }),
    .muted(.with { $0.conversation = "1" }),
    .event(
        .with {
            $0.conversation = "1"; $0.seq = 4; $0.id = "1-4"; $0.kind = "member"; $0.sender = "3"; $0.sentAtMs = 0
            $0.user = "4"; $0.change = "role"; $0.role = "admin"
        }),
    .event(
        .with {
            $0.conversation = "1"; $0.seq = 5; $0.id = "1-5"; $0.kind = "group"; $0.sender = "3"; $0.sentAtMs = 0
            $0.group = .with {
                $0.id = "1"; $0.name = "n"; $0.about = ""; $0.avatar = "m"; $0.visibility = "public"; $0.deleted = true
            }
        }),
    .event(
        .with {
            $0.conversation = "1"; $0.seq = 6; $0.id = "1-6"; $0.kind = "message"; $0.sender = "3"; $0.sentAtMs = 0
            $0.deleted = true
        }),
]

@Suite struct ClientJSONTests {
    @Test(arguments: clientFrames) func clientFramesComeBack(_ frame: ClientClientFrame.OneOf_Frame) throws {
        var message = ClientClientFrame()
        message.frame = frame
        #expect(try decode(ClientJSON.encode(message)) == message)
    }

    @Test(arguments: serverFrames) func serverFramesComeBack(_ frame: ClientServerFrame.OneOf_Frame) throws {
        var message = ClientServerFrame()
        message.frame = frame
        #expect(try decodeServer(ClientJSON.encode(message)) == message)
    }

    @Test func serverFramesHaveTheContractsNames() {
        func json(_ index: Int) -> String {
            var message = ClientServerFrame()
            message.frame = serverFrames[index]
            return String(decoding: ClientJSON.encode(message), as: UTF8.self)
        }
        #expect(
            json(0)
                == #"{"type":"welcome","session":"s","node":"n","user":"1","device":"2","resumed":true,"heartbeat_s":25,"#
                + #""limits":{"text_bytes":1,"frame_bytes":2,"watch_users":3},"server_time":"2026-11-20T10:00:00.123Z"}"#
        )
        #expect(
            json(1)
                == #"{"type":"event","conversation":"1","seq":2,"id":"1-2","kind":"message","sender":"3","#
                + #""sent_at":"1970-01-01T00:00:01.000Z","client_id":"c","body":{"text":"t","format":"plain"}}"#)
        #expect(
            json(4)
                == #"{"type":"ack","ref":"r","conversation":"1","seq":2,"id":"1-2","#
                + #""sent_at":"1970-01-01T00:00:00.005Z","duplicate":true}"#)
        #expect(json(9) == #"{"type":"presence","user":"1"}"#)
    }

    @Test func whatIsFalseIsStillThere() {
        var message = ClientServerFrame()
        message.ack = ClientAck.with { $0.seq = 1 }
        #expect(String(decoding: ClientJSON.encode(message), as: UTF8.self).hasSuffix(#""duplicate":false}"#))
        message.error = ClientError.with { $0.code = "invalid" }
        #expect(
            String(decoding: ClientJSON.encode(message), as: UTF8.self)
                == #"{"type":"error","code":"invalid","message":""}"#)
    }

    @Test func membersComeInAnyOrderAndUnknownOnesAreIgnored() throws {
        let frame = try decode(
            #" { "x":[1,{"y":null}],"ref":"a","seq":"not looked at","ref":"b" , "type" : "ping","z":-1.5e+3} "#)
        #expect(frame.ping.ref == "b")
        #expect(try decode(#"{"type":"ping","type":"hello","ref":null}"#).ping.ref == "")
    }

    @Test(arguments: [
        (#"{"type":"send","ref":1}"#, "ref", ClientFrameError.Code.wrongType),
        (#"{"type":"send","ref":"\#(String(repeating: "x", count: 65))"}"#, "ref", .tooLong),
        (#"{"type":"send","body":[]}"#, "body", .wrongType),
        (#"{"type":"send","body":{"text":7}}"#, "body.text", .wrongType),
        (#"{"type":"send","body":{"mentions":["1",2]}}"#, "body.mentions", .wrongType),
        (
            #"{"type":"send","body":{"attachments":\#("[" + Array(repeating: "\"a\"", count: 17).joined(separator: ",") + "]")}}"#,
            "body.attachments", .tooLong
        ),
        (#"{"type":"read","seq":"1"}"#, "seq", .wrongType),
        (#"{"type":"read","seq":0}"#, "seq", .invalidValue),
        (#"{"type":"read","seq":-1}"#, "seq", .invalidValue),
        (#"{"type":"read","seq":1.5}"#, "seq", .invalidValue),
        (#"{"type":"read","seq":9007199254740993}"#, "seq", .invalidValue),
        (#"{"type":"read","seq":99999999999999999999999999}"#, "seq", .invalidValue),
        (#"{"type":"typing","conversation":"1"}"#, "active", .missing),
        (#"{"type":"typing","active":"yes"}"#, "active", .wrongType),
        (#"{"type":"received"}"#, "cursors", .missing),
        (#"{"type":"received","cursors":{"1":"2"}}"#, "cursors", .wrongType),
        (#"{"type":"hello","cursors":[]}"#, "cursors", .wrongType),
        (#"{"type":"watch"}"#, "users", .missing),
        (#"{"type":"watch","users":{}}"#, "users", .wrongType),
        (#"{"type":"nothing"}"#, "type", .unknownType),
        (#"{"type":1}"#, "type", .wrongType),
        (#"{"ref":"x"}"#, "type", .missing),
    ])
    func faultsAreNamed(_ json: String, _ field: String, _ code: ClientFrameError.Code) {
        let found = error(json)
        #expect(found?.field == field)
        #expect(found?.code == code)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[]", "null", "1", "\"type\"", "{\"type\":\"ping\"", "{\"type\":\"ping\"}}",
        "{\"type\":\"ping\",}",
        "{,\"type\":\"ping\"}", "{\"type\" \"ping\"}", "{type:\"ping\"}", "{\"type\":\"ping\"} x",
        "{\"type\":\"ping\",\"ref\":01}",
        "{\"type\":\"ping\",\"a\":+1}", "{\"type\":\"ping\",\"a\":.5}", "{\"type\":\"ping\",\"a\":1.}",
        "{\"type\":\"ping\",\"a\":1e}",
        "{\"type\":\"ping\",\"a\":tru}", "{\"type\":\"ping\",\"a\":nul}", "{\"type\":\"ping\",\"ref\":\"\\x\"}",
        "{\"type\":\"ping\",\"ref\":\"\\u12\"}", "{\"type\":\"ping\",\"ref\":\"\\ud800\"}",
        "{\"type\":\"ping\",\"ref\":\"\\udc00\"}",
        "{\"type\":\"ping\",\"ref\":\"\\ud800\\u0041\"}", "{\"type\":\"ping\",\"ref\":\"\\u+123\"}",
        "{\"type\":\"ping\",\"ref\":\"a\nb\"}",
        "{\"type\":\"ping\",\"\\ud800\":1}", "{\"type\":\"ping\",\"a\":\"\\ud800\"}", "\u{FEFF}{\"type\":\"ping\"}",
    ])
    func whatIsNoJSONIsRefused(_ json: String) {
        #expect(error(json) != nil)
    }

    @Test func escapesAreRead() throws {
        let frame = try decode(#"{"type":"ping","ref":"\"\\\/\b\f\n\r\tAé\ud834\udd1eé"}"#)
        #expect(frame.ping.ref == "\"\\/\u{8}\u{c}\n\r\tAé𝄞é")
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 30_000) + String(repeating: "]", count: 30_000)
        #expect(error(#"{"type":"ping","a":\#(deep)}"#)?.code == .malformed)
        let objects = String(repeating: #"{"a":"#, count: 10_000)
        #expect(error(#"{"type":"ping","a":\#(objects)"#)?.code == .malformed)
    }

    @Test(arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xC3]] as [[UInt8]])
    func whatIsNotUTF8IsRefused(_ bytes: [UInt8]) {
        for (before, after) in [("{\"type\":\"ping\",\"ref\":\"", "\"}"), ("{\"type\":\"ping\",\"", "\":1}")] {
            #expect(throws: ClientFrameError.self) { try decode(Array(before.utf8) + bytes + Array(after.utf8)) }
        }
    }

    @Test func randomBytesAndMutationsNeverTrap() {
        var generator = SplitMix(state: 42)
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...80, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            _ = try? decode(bytes)
            _ = try? decodeServer(bytes)
        }
        let seeds =
            clientFrames.map { frame in
                var message = ClientClientFrame()
                message.frame = frame
                return ClientJSON.encode(message)
            }
            + serverFrames.map { frame in
                var message = ClientServerFrame()
                message.frame = frame
                return ClientJSON.encode(message)
            }
        let structural = Array(#"{}[]",:\u0123-.eE+tfn "#.utf8)
        for _ in 0..<8000 {
            var bytes = seeds.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[index] = structural.randomElement(using: &generator)!
                case 1: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 2: bytes.remove(at: index)
                default: bytes = Array(bytes[..<index])
                }
            }
            _ = try? decode(bytes)
            _ = try? decodeServer(bytes)
        }
    }
}

@Suite struct RFC3339Tests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_795_168_800_123, "2026-11-20T10:00:00.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func bothWays(_ milliseconds: Int64, _ text: String) {
        #expect(RFC3339.string(milliseconds: milliseconds) == text)
        #expect(RFC3339.milliseconds(text) == milliseconds)
    }

    @Test func extremesDoNotTrap() {
        #expect(RFC3339.string(milliseconds: .max) == "9999-12-31T23:59:59.999Z")
        #expect(RFC3339.string(milliseconds: .min) == "0000-01-01T00:00:00.000Z")
    }

    @Test func everyDayComesBack() {
        for day in stride(from: Int64(-800_000), to: 2_900_000, by: 37) {
            let time = day * 86_400_000 + 12_345
            let text = RFC3339.string(milliseconds: time)
            if time >= -62_167_219_200_000, time <= 253_402_300_799_999 { #expect(RFC3339.milliseconds(text) == time) }
        }
    }

    @Test(arguments: [
        "", "2026-02-30T00:00:00.000Z", "2026-13-01T00:00:00.000Z", "2026-01-01T24:00:00.000Z", "2026-01-01T00:00:00Z",
        "2026-01-01 00:00:00.000Z",
    ])
    func othersAreRefused(_ text: String) { #expect(RFC3339.milliseconds(text) == nil) }
}

/// A small generator that gives the same numbers in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

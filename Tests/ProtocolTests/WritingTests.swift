import ChatModel
import Testing

@testable import Protocol

/// What frames and pages are written with.
@Suite struct WritingTests {
    private func decimal(_ value: UInt64) -> String {
        var bytes: [UInt8] = []
        bytes.append(atMost: Decimal.digits) { $0.put(decimal: value) }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func numbersHaveTheirDigits() {
        var power: UInt64 = 1
        for _ in 0..<20 {
            for value in [power - 1, power, power + 1, power &* 7] {
                #expect(decimal(value) == "\(value)")
                #expect(Decimal.count(value) == "\(value)".utf8.count)
            }
            power = power.multipliedReportingOverflow(by: 10).partialValue
        }
        #expect(decimal(.max) == "18446744073709551615")
        for _ in 0..<1000 {
            let value = UInt64.random(in: 0 ... .max) >> UInt64.random(in: 0..<64)
            #expect(decimal(value) == "\(value)")
        }
    }

    /// Texts are looked at eight bytes at a time: whatever must be escaped is found wherever it stands.
    @Test(arguments: [
        ("\"", "\\\""), ("\\", "\\\\"), ("\n", "\\n"), ("\u{0}", "\\u0000"), ("\u{1F}", "\\u001f"),
        ("\u{10}", "\\u0010"), ("\u{8}", "\\b"), ("\u{7F}", "\u{7F}"), ("/", "/"), ("!", "!"), ("#", "#"),
        ("é", "é"), ("👋", "👋"), ("\u{2028}", "\u{2028}"),
    ])
    func whatMustBeEscapedIsFoundAnywhere(_ text: String, _ written: String) {
        func json(_ text: String) -> String {
            var writer = JSONWriter(reusing: [])
            writer.beginObject()
            writer.member("t", text)
            writer.member("l", [text, text])
            writer.endObject()
            return String(decoding: writer.bytes, as: UTF8.self)
        }
        for before in 0..<20 {
            for after in 0..<20 {
                let (head, tail) = (String(repeating: "x", count: before), String(repeating: "é", count: after))
                let expected = head + written + tail
                #expect(json(head + text + tail) == #"{"t":"\#(expected)","l":["\#(expected)","\#(expected)"]}"#)
                #expect(
                    json(text + head + text)
                        == #"{"t":"\#(written + head + written)","l":["\#(written + head + written)","\#(written + head + written)"]}"#
                )
            }
        }
    }

    @Test func aMessagePageHasItsEventsAsFramesHaveThem() throws {
        func message(_ kind: LogEventKind, _ change: (inout LogEvent) -> Void = { _ in }) -> RelayMessage {
            var message = RelayMessage()
            message.event.kind = kind
            message.event.conversation = 9_007_199_254_740_993
            message.event.seq = 12
            message.event.sender = 77
            message.event.sentAtMs = 1_780_000_000_123
            message.event.clientID = "c-1"
            change(&message.event)
            return message
        }
        var messages = [
            message(.message) { event in
                event.body.text = "hello \"you\"\n"
                event.body.format = .markdown
                event.body.attachments = ["m1", "m2"]
                event.body.replyTo = 3
                event.body.mentions = [5, UInt64(Int64.max)]
            },
            message(.message) { $0.deleted = true },
            message(.message) { $0.clientID = "" },
            message(.edit) { event in
                event.target = 3
                event.body.text = "new"
            },
            message(.reaction) { event in
                event.target = 3
                event.emoji = "👍"
            },
            message(.member) { event in
                event.member.user = 5
                event.member.change = .joined
                event.member.role = .member
            },
            message(.group) { $0.group.name = "a group" },
        ]
        let events = messages.map { message in
            var frame = ClientServerFrame()
            frame.event = ClientEvent(message.event, withClientID: true)
            return String(decoding: ClientJSON.encode(frame), as: UTF8.self)
                .replacing("{\"type\":\"event\",", with: "{", maxReplacements: 1)
        }
        func page(_ messages: [RelayMessage], _ next: String?) -> String {
            String(decoding: MessagePageJSON.bytes(messages, next: next), as: UTF8.self)
        }
        #expect(page([], nil) == #"{"items":[],"next":null}"#)
        #expect(page(messages, "b12") == #"{"items":[\#(events.joined(separator: ","))],"next":"b12"}"#)

        // What became of a message comes behind the event; one that was deleted has no body.
        messages[0].editedAtMs = 1_780_000_001_000
        var reaction = RelayReaction()
        reaction.emoji = "👍"
        reaction.users = [5, 6]
        messages[0].reactions = [reaction, reaction]
        let one = #"{"emoji":"👍","users":["5","6"]}"#
        let more = #","edited_at":"\#(RFC3339.string(milliseconds: 1_780_000_001_000))","reactions":[\#(one),\#(one)]}"#
        #expect(page([messages[0]], nil) == #"{"items":[\#(events[0].dropLast() + more)],"next":null}"#)
        messages[2].deleted = true
        messages[2].event.body.text = "must not be seen"
        #expect(!page([messages[2]], nil).contains("seen"))
        #expect(page([messages[2]], nil).contains(#""deleted":true"#))
    }
}

import ChatModel
import Protocol
import SwiftProtobuf
import Testing

/// One thing wrong with a send that is right otherwise.
struct Fault: Sendable {
    var field: String
    var change: @Sendable (inout ClientSend) -> Void

    init(_ field: String, _ change: @escaping @Sendable (inout ClientSend) -> Void) {
        self.field = field
        self.change = change
    }

    static let all = [
        Fault("ref") { $0.ref = "" },
        Fault("ref") { $0.ref = String(repeating: "x", count: 65) },
        Fault("client_id") { $0.clientID = "" },
        Fault("client_id") { $0.clientID = String(repeating: "x", count: 65) },
        Fault("conversation") { $0.conversation = "" },
        Fault("conversation") { $0.to = "1" },
        Fault("conversation") { $0.conversation = "01" },
        Fault("conversation") { $0.conversation = "x" },
        Fault("body") { $0.clearBody() },
        Fault("body.text") { $0.body.text = "" },
        Fault("body.text") { $0.body.text = String(repeating: "é", count: 8193) },
        Fault("body.format") { $0.body.format = "html" },
        Fault("body.reply_to") { $0.body.replyTo = "11-1" },
        Fault("body.reply_to") { $0.body.replyTo = "10" },
        Fault("body.mentions") { $0.body.mentions = ["me"] },
        Fault("body.attachments") { $0.body.attachments = [""] },
        Fault("body.attachments") { $0.body.attachments = Array(repeating: "a", count: 17) },
        Fault("body.mentions") { $0.body.mentions = Array(repeating: "1", count: 101) },
    ]
}

@Suite struct ClientWireTests {
    private let user = UserID(rawValue: 1)
    private let device = DeviceID(rawValue: 2)

    private func send(_ change: (inout ClientSend) -> Void) -> ClientSend {
        var send = ClientSend()
        send.ref = "r"
        send.conversation = "10"
        send.clientID = "c"
        send.body.text = "text"
        change(&send)
        return send
    }

    @Test func aSendBecomesACall() throws {
        let request = try send {
            $0.body.format = "markdown"
            $0.body.replyTo = "10-3"
            $0.body.mentions = ["5"]
            $0.body.attachments = ["m"]
        }.request(user: user, device: device)
        #expect(request.user == 1 && request.device == 2 && request.conversation == 10 && request.to == 0)
        #expect(request.body.format == .markdown && request.body.replyTo == 3 && request.body.mentions == [5])
        let back = ClientBody(request.body, in: ConversationID(rawValue: 10))
        #expect(back.replyTo == "10-3" && back.mentions == ["5"] && back.format == "markdown")
    }

    @Test(arguments: Fault.all)
    func whatBreaksARuleIsNamed(_ fault: Fault) {
        let send = send(fault.change)
        let error = #expect(throws: ClientFrameError.self) { try send.request(user: user, device: device) }
        #expect(error?.field == fault.field)
    }

    @Test func amendmentsAreChecked() throws {
        var delete = ClientDelete()
        delete.ref = "r"
        delete.conversation = "1"
        delete.message = "1-2"
        let request = try delete.request(user: user, device: device)
        #expect(request.conversation == 1 && request.message == 2 && request.change == .deletion(MessagesDeletion()))
        delete.message = "2-2"
        #expect(throws: ClientFrameError.self) { try delete.request(user: user, device: device) }
    }

    @Test(arguments: ["👍", "❤️", "🇩🇪", "👨‍👩‍👧‍👦", "1️⃣", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"])
    func anEmojiIsAReaction(_ emoji: String) throws {
        let reaction = try reaction(emoji).request(user: user, device: device)
        #expect(reaction.reaction.emoji == emoji)
    }

    @Test(arguments: [
        "", "a", "1", "a\u{FE0F}", "1\u{FE0F}", "👍\u{301}", "👍👍", "<b>", "\u{0}", String(repeating: "👨‍👩‍👧‍👦", count: 3),
    ])
    func whatIsNoEmojiIsNoReaction(_ emoji: String) {
        let error = #expect(throws: ClientFrameError.self) {
            try reaction(emoji).request(user: user, device: device)
        }
        #expect(error?.field == "emoji")
    }

    private func reaction(_ emoji: String) -> ClientReact {
        var react = ClientReact()
        react.ref = "r"
        react.conversation = "1"
        react.message = "1-2"
        react.emoji = emoji
        return react
    }

    @Test func helloIgnoresWhatIsNoConversation() {
        var hello = ClientHello()
        #expect(hello.positions() == nil)
        hello.cursors.cursors = ["x": 1, "5": 7]
        #expect(hello.positions() == [EventID(conversation: ConversationID(rawValue: 5), seq: 7)])
    }

    @Test func onlyTheSendersOwnDevicesSeeTheClientID() {
        var event = LogEvent()
        event.conversation = 1
        event.seq = 2
        event.kind = .message
        event.clientID = "c"
        event.body.text = "t"
        #expect(ClientEvent(event, withClientID: true).clientID == "c")
        #expect(ClientEvent(event, withClientID: false).clientID == "")
        #expect(ClientEvent(event, withClientID: false).id == "1-2")
    }

    /// The short way of writing a message's frame writes what the long way does.
    @Test func aMessagesFrameIsWrittenAsAnyOther() throws {
        var generator = SystemRandomNumberGenerator()
        let texts = ["", "hello", "\"quoted\" \\ \u{1}\n", "déjà vu 👩‍👩‍👧", String(repeating: "long ", count: 300)]
        for _ in 0..<500 {
            var event = LogEvent()
            event.kind = .message
            event.conversation = .random(in: 1...UInt64(Int64.max), using: &generator)
            event.seq = [1, 9, 10, 127, 128, 99_999, UInt64(Int64.max)].randomElement(using: &generator)!
            event.sender = .random(in: 1...UInt64(Int64.max), using: &generator)
            event.sentAtMs = [0, 1, 1_800_000_000_000].randomElement(using: &generator)!
            event.clientID = ["", "c-1", "\"é"].randomElement(using: &generator)!
            event.body.text = texts.randomElement(using: &generator)!
            event.body.format = [.plain, .markdown].randomElement(using: &generator)!
            event.body.attachments = Array(["m1", "m2"].prefix(.random(in: 0...2, using: &generator)))
            event.body.replyTo = [0, 1, 300].randomElement(using: &generator)!
            event.body.mentions = Array([7, UInt64(Int64.max)].prefix(.random(in: 0...2, using: &generator)))
            #expect(MessageEventFrame.isFor(event))
            for withClientID in [true, false] {
                var frame = ClientServerFrame()
                frame.event = ClientEvent(event, withClientID: withClientID)
                let protobuf = MessageEventFrame.protobuf(event, withClientID: withClientID)
                let expected: [UInt8] = try frame.serializedBytes()
                #expect(protobuf == expected)
                let json = MessageEventFrame.json(event, withClientID: withClientID, reusing: [])
                #expect(
                    String(decoding: json, as: UTF8.self) == String(decoding: ClientJSON.encode(frame), as: UTF8.self))
            }
        }
    }

    @Test func whatIsNoLongerThereHasNoShortWay() {
        var event = LogEvent()
        event.kind = .message
        event.deleted = true
        #expect(!MessageEventFrame.isFor(event))
        event.deleted = false
        event.kind = .edit
        #expect(!MessageEventFrame.isFor(event))
    }
}

import Protocol
import ServiceKit
import Testing

@testable import Messages

/// A message is written in two ways: as the item of a page, and as part of a search's hit.
@Suite struct MessageJSONTests {
    private indirect enum Value: Decodable, Equatable {
        case text(String), number(UInt64), flag(Bool), list([Value]), object([String: Value]), null

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let flag = try? container.decode(Bool.self) {
                self = .flag(flag)
            } else if let number = try? container.decode(UInt64.self) {
                self = .number(number)
            } else if let text = try? container.decode(String.self) {
                self = .text(text)
            } else if let list = try? container.decode([Value].self) {
                self = .list(list)
            } else {
                self = .object(try container.decode([String: Value].self))
            }
        }
    }

    @Test(arguments: [LogEventKind.message, .edit, .delete, .reaction, .member, .group], [false, true])
    func bothWaysSayTheSame(_ kind: LogEventKind, isDeleted: Bool) throws {
        var message = RelayMessage()
        message.event.kind = kind
        message.event.conversation = 4_611_686_018_427_388_161
        message.event.seq = 12
        message.event.sender = 7
        message.event.sentAtMs = 1_780_000_000_123
        message.event.clientID = "c-\"1\""
        message.event.target = 3
        message.event.emoji = "👍"
        message.event.body.text = "a \\ \"text\"\nof / two lines: é👋\u{1}"
        message.event.body.format = .markdown
        message.event.body.attachments = ["m1"]
        message.event.body.replyTo = 2
        message.event.body.mentions = [5, 6]
        message.event.member.user = 5
        message.event.member.change = .role
        message.event.member.role = .admin
        message.event.group.name = "a group"
        message.event.group.avatar = "m2"
        message.deleted = isDeleted
        message.editedAtMs = 1_780_000_001_000
        var reaction = RelayReaction()
        reaction.emoji = "🎉"
        reaction.users = [5, 6]
        message.reactions = [reaction]

        let one = try RoostJSON.decode(Value.self, from: RoostJSON.encode(PageResponse(items: [MessageJSON(message)])))
        let other = try RoostJSON.decode(Value.self, from: MessagePageJSON.bytes([message], next: nil))
        #expect(one == other)
    }
}

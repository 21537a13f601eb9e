import ChatModel
import Testing

@Suite struct IdentifiersTests {
    @Test(arguments: ["1", "42", "9223372036854775807"])
    func acceptsDecimalDigits(_ text: String) throws {
        #expect(try #require(UserID(text)).description == text)
    }

    @Test(arguments: [
        "", "0", "01", "-1", "+1", " 1", "1 ", "1a", "9223372036854775808", "18446744073709551616",
        "99999999999999999999", "١", "1\u{0}",
    ])
    func refusesAnythingElse(_ text: String) {
        #expect(UserID(text) == nil)
    }

    @Test func columnRoundTrip() {
        for _ in 0..<1000 {
            let id = ConversationID.random()
            #expect(id.column > 0)
            #expect(ConversationID(column: id.column) == id)
            #expect(ConversationID(id.description) == id)
        }
    }

    @Test func eventIDs() throws {
        let id = EventID(conversation: ConversationID(rawValue: 77), seq: 5)
        #expect(id.description == "77-5")
        #expect(EventID("77-5") == id)
        for bad in ["", "-", "77", "77-", "-5", "77-0", "77-05", "77-5-1", "77-x"] { #expect(EventID(bad) == nil) }
    }
}

import ChatModel
import Testing

@Suite struct TextRulesTests {
    @Test func pictures() throws {
        #expect(try TextRules.picture("https://example.org/a.png") == "https://example.org/a.png")
        #expect(try TextRules.picture("12345") == "12345")
        #expect(try TextRules.picture("") == nil)
        for bad in ["javascript:alert(1)", "data:text/html,x", "a b", "\u{0}", String(repeating: "x", count: 513)] {
            #expect(throws: TextRules.Refusal.self) { try TextRules.picture(bad) }
        }
    }

    @Test func aQueryIsFoldedAsTheKeysAre() throws {
        #expect(try TextRules.query("  Book   CLUB ") == "book club")
        #expect(TextRules.searchKeys(of: "The Book Club").contains("book club"))
        #expect(TextRules.searchKeys(of: " ").isEmpty)
        for bad in ["", "  ", "a\u{0}", String(repeating: "x", count: 65)] {
            #expect(throws: TextRules.Refusal.self) { try TextRules.query(bad) }
        }
    }
}

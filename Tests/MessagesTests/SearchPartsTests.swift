import Protocol
import Testing

@testable import Messages

@Suite struct SearchPartsTests {
    private func event(_ kind: LogEventKind, seq: UInt64, _ text: String = "", target: UInt64 = 0) -> LogEvent {
        var event = LogEvent()
        event.conversation = 2
        event.seq = seq
        event.kind = kind
        event.target = target
        event.body.text = text
        return event
    }

    @Test func theLastWordOnAMessageCounts() {
        let changes = IndexChanges([
            event(.message, seq: 1, "a"), event(.message, seq: 2, "b"), event(.edit, seq: 3, "c", target: 1),
            event(.delete, seq: 4, target: 2), event(.edit, seq: 5, "old", target: 9),
            event(.delete, seq: 6, target: 8),
            event(.reaction, seq: 7, target: 1),
        ])
        #expect(changes.added.values.map(\.text) == ["c"])
        #expect(changes.edited.values.map { $0 } == ["old"])
        #expect(Set(changes.deleted.map(\.seq)) == [2, 8])
        #expect(changes.steps(language: "english").count == 3)
        #expect(IndexChanges([event(.member, seq: 1)]).steps(language: "english").isEmpty)
    }

    @Test func whatIsDeletedAlreadyIsNotIndexed() {
        var gone = event(.message, seq: 1)
        gone.deleted = true
        var edit = event(.edit, seq: 2, target: 1)
        edit.deleted = true
        let changes = IndexChanges([gone, edit])
        #expect(changes.added.isEmpty && changes.edited.isEmpty)
    }

    @Test func aFragmentIsPartsAndNeverMarks() {
        let fragment = Fragment(headline: "say \u{2}hello\u{3} to <b>\u{2}hellos\u{3}")
        #expect(
            fragment.parts == [
                .init(text: "say ", match: false), .init(text: "hello", match: true),
                .init(text: " to <b>", match: false),
                .init(text: "hellos", match: true),
            ])
        #expect(Fragment.cleaned("a\0b\u{2}c\u{3}é") == "a b c é")
        #expect(Fragment(headline: "").parts.isEmpty)
    }

    @Test func percentEncoding() {
        #expect(PercentEncoding.decode("%F0%9F%91%8D") == "👍")
        #expect(PercentEncoding.decode("a+b%2B") == "a+b+")
        #expect(PercentEncoding.decode("a+b%2B", plusIsSpace: true) == "a b+")
        #expect(PercentEncoding.decode("👍") == "👍")
        for bad in ["%", "%F", "%FG", "%FF", "%80"] { #expect(PercentEncoding.decode(bad) == nil, "\(bad)") }
    }

    @Test func cursors() {
        let position = SearchIndex.Position(sentAt: 1_700_000_000_000, conversation: UInt64(Int64.max), seq: 12)
        #expect(SearchIndex.Position(position.text) == position)
        for bad in ["", "1.2", "1.2.3.4", "-1.2.3", "x y.2.3", "1.2.zzzzzzzzzzzzzzzz"] {
            #expect(SearchIndex.Position(bad) == nil, "\(bad)")
        }
    }
}

/// The line that is being typed, and those before it.
package struct LineEditor: Sendable {
    package enum Outcome: Equatable, Sendable {
        case edited
        case submitted(String)
        /// Ctrl-C with nothing typed, or Ctrl-D.
        case ended
        case redraw
    }

    package private(set) var text: [Character] = []
    /// Characters before the cursor.
    package private(set) var cursor = 0
    private var history: [String] = []
    /// The place in the history; its count: the line that is being typed.
    private var place = 0
    private var unfinished: [Character] = []

    package init() {}

    package mutating func handle(_ key: Key) -> Outcome {
        switch key {
        case .text(let new): insert(new)
        case .lineBreak: insert("\n")
        case .enter:
            let line = String(text)
            if !line.isEmpty, history.last != line { history.append(line) }
            if history.count > 500 { history.removeFirst() }
            (text, cursor, place) = ([], 0, history.count)
            return .submitted(line)
        case .backspace:
            guard cursor > 0 else { break }
            cursor -= 1
            text.remove(at: cursor)
        case .delete: if cursor < text.count { text.remove(at: cursor) }
        case .left: cursor = max(0, cursor - 1)
        case .right: cursor = min(text.count, cursor + 1)
        case .home: cursor = 0
        case .end: cursor = text.count
        case .up: recall(place - 1)
        case .down: recall(place + 1)
        case .killToEnd: text.removeSubrange(cursor...)
        case .killToStart:
            text.removeSubrange(..<cursor)
            cursor = 0
        case .killWord:
            var start = cursor
            while start > 0, text[start - 1].isWhitespace { start -= 1 }
            while start > 0, !text[start - 1].isWhitespace { start -= 1 }
            text.removeSubrange(start..<cursor)
            cursor = start
        case .interrupt:
            guard !text.isEmpty else { return .ended }
            (text, cursor, place) = ([], 0, history.count)
        case .endOfInput: if text.isEmpty { return .ended }
        case .redraw: return .redraw
        }
        return .edited
    }

    private mutating func insert(_ new: String) {
        // The whole again: what is inserted may join with what stands before it.
        let before = String(text[..<cursor]) + new
        let after = String(text[cursor...])
        cursor = before.count
        text = Array(before + after)
        cursor = min(cursor, text.count)
    }

    private mutating func recall(_ new: Int) {
        guard new >= 0, new <= history.count, new != place else { return }
        if place == history.count { unfinished = text }
        place = new
        text = new == history.count ? unfinished : Array(history[new])
        cursor = text.count
    }
}

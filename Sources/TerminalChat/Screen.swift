/// What is written to the terminal: lines that stay, above one row with the prompt and the line that is being typed.
package struct Screen: Sendable {
    /// Columns of the terminal.
    package var width: Int
    package var prompt = "> "
    private var isPromptShown = false

    package init(width: Int) { self.width = width }

    /// Writes lines above the prompt. They are trusted: made safe where they have text of others.
    package mutating func print(_ lines: [String], _ editor: LineEditor) -> String {
        erase() + lines.map { $0 + "\n" }.joined() + draw(editor)
    }

    /// Takes the prompt's row away.
    package mutating func erase() -> String {
        defer { isPromptShown = false }
        return isPromptShown ? "\r\u{1B}[K" : ""
    }

    /// Draws the prompt's row again. What is too long for it is shown around the cursor, so that it is always one row.
    package mutating func draw(_ editor: LineEditor) -> String {
        isPromptShown = true
        let prompt = Self.fitting(prompt, max(2, width / 2))
        let room = max(4, width - Printable.columns(prompt) - 1)
        // The cursor stays in the row, with as much before it as fits.
        var start = editor.cursor
        var before = 0
        while start > 0 {
            let columns = Self.columns(editor.text[start - 1])
            guard before + columns <= room - 2 else { break }
            before += columns
            start -= 1
        }
        var shown = ""
        var used = 0
        for character in editor.text[start...] {
            let columns = Self.columns(character)
            guard used + columns <= room else { break }
            shown += Self.visible(character)
            used += columns
        }
        let back = used - before
        return "\r\u{1B}[K" + prompt + shown + (back > 0 ? "\u{1B}[\(back)D" : "")
    }

    private static func visible(_ character: Character) -> String {
        character == "\n" ? "\u{23CE}" : Printable.line(String(character))
    }

    private static func columns(_ character: Character) -> Int {
        character == "\n" ? 1 : Printable.columns(Printable.line(String(character)))
    }

    private static func fitting(_ text: String, _ width: Int) -> String {
        guard Printable.columns(text) > width else { return text }
        var shown = ""
        for character in text {
            guard Printable.columns(shown) + Printable.columns(character) <= width - 3 else { break }
            shown.append(character)
        }
        return shown + "…> "
    }
}

/// What short texts may hold that people type and others see: names, descriptions, pictures, searches. Each rule answers the
/// text as it is to be stored, or why it is refused, in words for the person who typed it.
package enum TextRules {
    package struct Refusal: Error, Equatable {
        package var message: String
        package init(_ message: String) { self.message = message }
    }

    /// One line, without blanks around it.
    package static func line(_ text: String, _ characters: ClosedRange<Int>) throws(Refusal) -> String {
        let text = trimmed(text)
        try checkLength(text, characters)
        try checkCharacters(text, lines: false)
        return text
    }

    /// Any number of lines, without blanks around them.
    package static func lines(_ text: String, _ characters: ClosedRange<Int>) throws(Refusal) -> String {
        let text = trimmed(text)
        try checkLength(text, characters)
        try checkCharacters(text, lines: true)
        return text
    }

    /// A media id or a URL; nil where the text is empty.
    package static func picture(_ text: String) throws(Refusal) -> String? {
        let text = trimmed(text)
        guard !text.isEmpty else { return nil }
        guard text.utf8.count <= 512,
            text.unicodeScalars.allSatisfy({ $0.isASCII && $0.value > 0x20 && $0.value < 0x7F })
        else { throw Refusal("must be a media id or a URL of at most 512 characters") }
        if let scheme = text.split(separator: ":", maxSplits: 1).first, scheme.count < text.count {
            // Anything but these would run in a page that shows it.
            guard ["https", "http"].contains(scheme.lowercased()) else { throw Refusal("must be an http or https URL") }
        }
        return text
    }

    /// A search's text, folded as `searchKeys` are.
    package static func query(_ text: String) throws(Refusal) -> String {
        let folded = folded(text)
        guard (1...64).contains(folded.count), folded.utf8.count <= 512 else {
            throw Refusal("must have 1 to 64 characters")
        }
        try checkCharacters(folded, lines: false)
        return folded
    }

    /// What a name is found by: itself from each of its first words on.
    package static func searchKeys(of name: String) -> Set<String> {
        let words = folded(name).split(separator: " ")
        return Set(words.indices.prefix(8).map { words[$0...].joined(separator: " ") })
    }

    /// Without blanks at either end.
    package static func trimmed(_ text: String) -> String {
        guard let first = text.firstIndex(where: { !isBlank($0) }), let last = text.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }

    private static func folded(_ text: String) -> String {
        text.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func checkLength(_ text: String, _ characters: ClosedRange<Int>) throws(Refusal) {
        // A character can have any number of scalars: the bytes are bounded as well.
        guard characters.contains(text.count), text.utf8.count <= characters.upperBound * 16 else {
            throw Refusal(
                characters.lowerBound == 0
                    ? "must have at most \(characters.upperBound) characters"
                    : "must have \(characters.lowerBound) to \(characters.upperBound) characters")
        }
    }

    /// Refuses control characters, and those that reorder or break what stands around the text where it is shown.
    private static func checkCharacters(_ text: String, lines: Bool) throws(Refusal) {
        for scalar in text.unicodeScalars {
            if lines, scalar == "\n" || scalar == "\t" { continue }
            switch scalar.value {
            case 0x00...0x1F, 0x7F...0x9F, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069:
                throw Refusal("must not contain control characters")
            case _: continue
            }
        }
    }

    private static func isBlank(_ character: Character) -> Bool { character == " " || character == "\u{A0}" }
}

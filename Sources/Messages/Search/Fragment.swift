/// The part of a text that a search found, as plain text in parts: those that match and those around them. Never markup, so
/// that nobody is tempted to put it into a page as such.
package struct Fragment: Sendable, Equatable, Encodable {
    package struct Part: Sendable, Equatable, Encodable {
        var text: String
        var match: Bool
    }

    package var parts: [Part]

    // What PostgreSQL puts around a match: no text that is given to it has these.
    private static let start: Character = "\u{2}"
    private static let stop: Character = "\u{3}"

    /// Of `ts_headline`.
    static let options = "StartSel=\(start), StopSel=\(stop), MinWords=16, MaxWords=36"

    /// The text without what PostgreSQL's can't have, and without our marks.
    static func cleaned(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0 || $0 == 2 || $0 == 3 }) else { return text }
        return String(
            decoding: text.utf8.map { $0 == 0 || $0 == 2 || $0 == 3 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
    }

    /// - Parameter headline: what `ts_headline` says.
    init(headline: String) {
        parts = []
        var text = ""
        var match = false
        func finish(_ parts: inout [Part]) {
            if !text.isEmpty { parts.append(Part(text: text, match: match)) }
            text = ""
        }
        for scalar in headline.unicodeScalars {
            switch Character(scalar) {
            case Self.start, Self.stop:
                finish(&parts)
                match = Character(scalar) == Self.start
            case _: text.unicodeScalars.append(scalar)
            }
        }
        finish(&parts)
    }

    package func encode(to encoder: any Encoder) throws { try parts.encode(to: encoder) }
}

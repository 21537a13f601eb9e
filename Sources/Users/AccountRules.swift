import ChatModel

/// What an account's fields may hold. Each rule answers the value as it is to be stored, or why it is refused, in words
/// for the person who typed it.
package enum AccountRules {
    package struct Refusal: Error, Equatable {
        package var message: String
        init(_ message: String) { self.message = message }
    }

    /// A user name: folded to lower case, so that it is unique without regard to case.
    package static func username(_ text: String) throws(Refusal) -> String {
        let folded = text.lowercased()
        guard folded.utf8.allSatisfy(isUsernameByte) else {
            throw Refusal("may only contain the letters a to z, digits, and . _ -")
        }
        guard Limits.usernameCharacters.contains(folded.utf8.count) else {
            throw Refusal(
                "must have \(Limits.usernameCharacters.lowerBound) to \(Limits.usernameCharacters.upperBound) characters"
            )
        }
        return folded
    }

    private static func isUsernameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
        case _: false
        }
    }

    /// An address that mail can be sent to, by its shape: RFC 5321's lengths, one @, no quoted parts.
    package static func email(_ text: String) throws(Refusal) -> String {
        let refusal = Refusal("must be an e-mail address like name@example.org")
        let text = trimmed(text)
        guard text.utf8.count <= 254 else { throw Refusal("must have at most 254 characters") }
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw refusal }
        let (local, domain) = (parts[0], parts[1])
        guard (1...64).contains(local.utf8.count), local.unicodeScalars.allSatisfy(isMailScalar),
            isDotted(local)
        else { throw refusal }
        let labels = domain.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2, domain.utf8.count <= 253 else { throw refusal }
        for label in labels {
            guard (1...63).contains(label.utf8.count), label.first != "-", label.last != "-",
                label.unicodeScalars.allSatisfy({ isLetterOrDigit($0) || $0 == "-" })
            else { throw refusal }
        }
        return text
    }

    private static func isMailScalar(_ scalar: Unicode.Scalar) -> Bool {
        isLetterOrDigit(scalar) || "!#$%&'*+-/=?^_`{|}~.".unicodeScalars.contains(scalar)
    }

    /// No dot at either end, nor two in a row.
    private static func isDotted(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty }
    }

    private static func isLetterOrDigit(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII
            ? scalar.properties.isAlphabetic || scalar.properties.numericType != nil
            : scalar.properties.isAlphabetic || scalar.properties.generalCategory == .nonspacingMark
    }

    /// A new password. One that is to be checked against a stored hash is not held to this.
    package static func password(_ text: String, username: String, email: String) throws(Refusal) -> String {
        let allowed = Limits.passwordCharacters
        guard allowed.contains(text.count), text.utf8.count <= 4096 else {
            throw Refusal("must have \(allowed.lowerBound) to \(allowed.upperBound) characters")
        }
        let folded = text.lowercased()
        let own = [username, email.lowercased(), email.lowercased().split(separator: "@").first.map(String.init) ?? ""]
        guard !own.contains(folded) else { throw Refusal("must not be your name or address") }
        guard !CommonPasswords.contains(folded) else {
            throw Refusal("is one of the most common passwords: choose another")
        }
        return text
    }

    /// A name that others see.
    package static func displayName(_ text: String) throws(Refusal) -> String {
        try line(text, Limits.displayNameCharacters)
    }

    /// What a user says of themselves; may have several lines.
    package static func about(_ text: String) throws(Refusal) -> String {
        let text = trimmed(text)
        try checkLength(text, Limits.aboutCharacters)
        try checkCharacters(text, lines: true)
        return text
    }

    /// A media id or a URL; nil where the text is empty.
    package static func avatar(_ text: String) throws(Refusal) -> String? {
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

    /// What a user calls a device.
    package static func deviceName(_ text: String) throws(Refusal) -> String {
        try line(text, 1...64)
    }

    /// A search's text, folded as `searchKeys` are; nil where nothing is left of it.
    package static func query(_ text: String) throws(Refusal) -> String {
        let folded = folded(text)
        guard (1...64).contains(folded.count), folded.utf8.count <= 512 else {
            throw Refusal("must have 1 to 64 characters")
        }
        try checkCharacters(folded, lines: false)
        return folded
    }

    /// What an account is found by: its user name, and its display name from each of its first words on.
    package static func searchKeys(username: String, displayName: String) -> Set<String> {
        var keys: Set<String> = [username]
        let words = folded(displayName).split(separator: " ")
        for start in words.indices.prefix(8) { keys.insert(words[start...].joined(separator: " ")) }
        return keys
    }

    private static func folded(_ text: String) -> String {
        text.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func line(_ text: String, _ characters: ClosedRange<Int>) throws(Refusal) -> String {
        let text = trimmed(text)
        try checkLength(text, characters)
        try checkCharacters(text, lines: false)
        return text
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

    private static func trimmed(_ text: String) -> String {
        guard let first = text.firstIndex(where: { !isBlank($0) }), let last = text.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[first...last])
    }

    private static func isBlank(_ character: Character) -> Bool { character == " " || character == "\u{A0}" }
}

package import ChatModel

/// What an account's fields may hold. Each rule answers the value as it is to be stored, or why it is refused, in words
/// for the person who typed it.
package enum AccountRules {
    package typealias Refusal = TextRules.Refusal

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
        let text = TextRules.trimmed(text)
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
        try TextRules.line(text, Limits.displayNameCharacters)
    }

    /// What a user says of themselves; may have several lines.
    package static func about(_ text: String) throws(Refusal) -> String {
        try TextRules.lines(text, Limits.aboutCharacters)
    }

    /// What a user calls a device.
    package static func deviceName(_ text: String) throws(Refusal) -> String {
        try TextRules.line(text, 1...64)
    }

    /// What an account is found by: its user name, and its display name from each of its first words on.
    package static func searchKeys(username: String, displayName: String) -> Set<String> {
        TextRules.searchKeys(of: displayName).union([username])
    }
}

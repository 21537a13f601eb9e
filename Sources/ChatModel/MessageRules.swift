/// What a message must be, wherever it comes from and whatever kind of conversation it goes to.
package enum MessageRules {
    /// A rule that a message breaks.
    package struct Violation: Error, Sendable, Equatable {
        /// The field's path as clients know it.
        package var field: String
        package var message: String
        /// It is longer than allowed, rather than wrong.
        package var isTooLong: Bool

        package init(_ field: String, _ message: String, isTooLong: Bool = false) {
            self.field = field
            self.message = message
            self.isTooLong = isTooLong
        }
    }

    /// The sender's own id of a message: 1 to 64 bytes, without NUL (which PostgreSQL's text can't hold).
    package static func check(clientID: String) throws(Violation) {
        guard !clientID.isEmpty else { throw Violation("client_id", "is required") }
        guard clientID.utf8.count <= Limits.clientIDBytes else {
            throw Violation("client_id", "longer than \(Limits.clientIDBytes) bytes", isTooLong: true)
        }
        guard !clientID.utf8.contains(0) else { throw Violation("client_id", "must not contain U+0000") }
    }

    /// A reaction: one emoji, as people see it: one character (which may be of several code points, as flags and families
    /// are) that is shown as a picture.
    package static func check(emoji: String) throws(Violation) {
        guard !emoji.isEmpty else { throw Violation("emoji", "is required") }
        guard emoji.utf8.count <= Limits.emojiBytes else {
            throw Violation("emoji", "longer than \(Limits.emojiBytes) bytes", isTooLong: true)
        }
        let scalars = emoji.unicodeScalars
        guard emoji.count == 1, let first = scalars.first, first.properties.isEmoji,
            !first.isASCII || scalars.contains("\u{20E3}"), scalars.dropFirst().allSatisfy(isPartOfEmoji)
        else { throw Violation("emoji", "must be one emoji") }
    }

    /// What may follow the first code point: more pictures with their joiner, skin tones, the key's frame, a flag's tags.
    private static func isPartOfEmoji(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x200D, 0x20E3, 0xFE0F, 0xE0020...0xE007F: true
        default: scalar.properties.isEmoji && !scalar.isASCII
        }
    }

    /// What a message says.
    ///
    /// - Parameters:
    ///   - replyTo: the seq of the message answered; 0: none.
    ///   - mentions: user ids.
    package static func check(
        text: String, attachments: [String], replyTo: UInt64, mentions: [UInt64]
    ) throws(Violation) {
        guard text.utf8.count <= Limits.textBytes else {
            throw Violation("body.text", "longer than \(Limits.textBytes) bytes", isTooLong: true)
        }
        guard !text.isEmpty || !attachments.isEmpty else {
            throw Violation("body.text", "text or an attachment is required")
        }
        guard attachments.count <= Limits.attachments else {
            throw Violation("body.attachments", "more than \(Limits.attachments)", isTooLong: true)
        }
        guard attachments.allSatisfy({ (1...Limits.clientIDBytes).contains($0.utf8.count) }) else {
            throw Violation("body.attachments", "has what is no media id")
        }
        guard replyTo <= UInt64(Int64.max) else { throw Violation("body.reply_to", "names no message") }
        guard mentions.count <= Limits.mentions else {
            throw Violation("body.mentions", "more than \(Limits.mentions)", isTooLong: true)
        }
        guard mentions.allSatisfy({ $0 > 0 && $0 <= UInt64(Int64.max) }) else {
            throw Violation("body.mentions", "has what is no user id")
        }
    }
}

/// Text of others, made safe and measured for a terminal.
package enum Printable {
    /// The text as one line: whatever could move the cursor, change colours, or turn the direction of writing around is left
    /// out, line breaks and tabs become blanks.
    package static func line(_ text: some StringProtocol) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if isBreak(scalar) || scalar == "\t" {
                result.append(" ")
            } else if !isUnsafe(scalar) {
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// The text's lines, each made safe.
    package static func lines(_ text: some StringProtocol) -> [String] {
        var lines: [String.UnicodeScalarView] = [.init()]
        var last: Unicode.Scalar?
        for scalar in text.unicodeScalars {
            if isBreak(scalar) {
                if scalar != "\n" || last != "\r" { lines.append(.init()) }
            } else if scalar == "\t" {
                lines[lines.count - 1].append(contentsOf: "    ".unicodeScalars)
            } else if !isUnsafe(scalar) {
                lines[lines.count - 1].append(scalar)
            }
            last = scalar
        }
        return lines.map { String($0) }
    }

    private static func isBreak(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0A...0x0D, 0x85, 0x2028, 0x2029: true
        default: false
        }
    }

    /// Controls (C0, DEL, C1), and what turns the direction of writing around (Unicode's Trojan Source, TR36).
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x1F, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2060...0x206F, 0xFEFF, 0xFFF9...0xFFFB,
            0xE0000...0xE001F:
            true
        default: false
        }
    }

    /// Columns that a character takes: 0, 1 or 2 (UAX 11, roughly).
    package static func columns(_ character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        if character.unicodeScalars.contains(where: { $0.value == 0xFE0F }) { return 2 }
        if first.properties.isEmojiPresentation { return 2 }
        switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch first.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97C, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    package static func columns(_ text: some StringProtocol) -> Int { text.reduce(0) { $0 + columns($1) } }
}

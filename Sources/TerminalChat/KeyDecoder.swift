/// A key, as terminals report it.
package enum Key: Equatable, Sendable {
    case text(String)
    case enter, lineBreak, backspace, delete, left, right, up, down, home, end
    case killToEnd, killToStart, killWord
    case interrupt, endOfInput, redraw
}

/// Makes keys of a terminal's bytes (ECMA-48, xterm's control sequences), which may be cut anywhere. What it does not know is
/// left out. Pasted text (bracketed paste) comes as text, its line breaks as `lineBreak`.
package struct KeyDecoder: Sendable {
    private enum Phase: Sendable {
        case ground, escape
        /// After `ESC [`, or `ESC O`: the parameters so far.
        case sequence([UInt8])
        /// The bytes so far of a character that has so many.
        case character([UInt8], Int)
    }

    private var phase = Phase.ground
    private var isPasting = false
    private var lastWasReturn = false

    package init() {}

    package mutating func decode(_ bytes: some Sequence<UInt8>) -> [Key] {
        var keys: [Key] = []
        for byte in bytes {
            guard let key = decode(byte) else { continue }
            if case .text(let more) = key, case .text(let text)? = keys.last {
                keys[keys.count - 1] = .text(text + more)
            } else {
                keys.append(key)
            }
        }
        return keys
    }

    private mutating func decode(_ byte: UInt8) -> Key? {
        switch phase {
        case .ground: return ground(byte)
        case .escape:
            phase = .ground
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "O"): phase = .sequence([])
            case 0x0D, 0x0A: return .lineBreak
            case 0x7F: return .killWord
            default: break
            }
            return nil
        case .sequence(let parameters):
            if byte >= 0x20, byte < 0x40, parameters.count < 16 {
                phase = .sequence(parameters + [byte])
                return nil
            }
            phase = .ground
            return sequence(parameters, byte)
        case .character(var bytes, let count):
            guard byte & 0xC0 == 0x80 else {
                phase = .ground
                return ground(byte)
            }
            bytes.append(byte)
            guard bytes.count == count else {
                phase = .character(bytes, count)
                return nil
            }
            phase = .ground
            return String(validating: bytes, as: UTF8.self).map { .text($0) }
        }
    }

    private mutating func ground(_ byte: UInt8) -> Key? {
        defer { lastWasReturn = byte == 0x0D }
        switch byte {
        case 0x0D: return isPasting ? .lineBreak : .enter
        case 0x0A: return isPasting ? (lastWasReturn ? nil : .lineBreak) : .enter
        case 0x1B: phase = .escape
        case 0x20...0x7E: return .text(String(Unicode.Scalar(byte)))
        case 0xC2...0xDF: phase = .character([byte], 2)
        case 0xE0...0xEF: phase = .character([byte], 3)
        case 0xF0...0xF4: phase = .character([byte], 4)
        case 0x09 where isPasting: return .text(" ")
        case 0x01: return .home
        case 0x02: return .left
        case 0x03: return .interrupt
        case 0x04: return .endOfInput
        case 0x05: return .end
        case 0x06: return .right
        case 0x08, 0x7F: return .backspace
        case 0x0B: return .killToEnd
        case 0x0C: return .redraw
        case 0x0E: return .down
        case 0x10: return .up
        case 0x15: return .killToStart
        case 0x17: return .killWord
        default: break
        }
        return nil
    }

    private mutating func sequence(_ parameters: [UInt8], _ final: UInt8) -> Key? {
        switch final {
        case UInt8(ascii: "A"): return .up
        case UInt8(ascii: "B"): return .down
        case UInt8(ascii: "C"): return .right
        case UInt8(ascii: "D"): return .left
        case UInt8(ascii: "H"): return .home
        case UInt8(ascii: "F"): return .end
        case UInt8(ascii: "~"):
            switch String(decoding: parameters, as: UTF8.self) {
            case "1", "7": return .home
            case "4", "8": return .end
            case "3": return .delete
            case "200": isPasting = true
            case "201": isPasting = false
            default: break
            }
            return nil
        default: return nil
        }
    }
}

import Foundation

/// Units of figures, and how people read them.
package enum FigureUnit: String, Codable, Sendable, CaseIterable {
    case count = ""
    case perSecond = "1/s"
    case milliseconds = "ms"
    case microseconds = "us"
    case seconds = "s"
    case kibibytes = "KiB"
    case cores

    package func text(_ value: Double) -> String {
        switch self {
        case .count: return Self.grouped(value)
        case .perSecond: return Self.grouped(value) + "/s"
        case .microseconds:
            return abs(value) >= 1000 ? FigureUnit.milliseconds.text(value / 1000) : "\(Self.short(value)) us"
        case .milliseconds:
            return abs(value) >= 1000 ? "\(Self.short(value / 1000)) s" : "\(Self.short(value)) ms"
        case .seconds: return "\(Self.short(value)) s"
        case .kibibytes:
            if abs(value) >= 1_048_576 { return "\(Self.short(value / 1_048_576)) GiB" }
            return abs(value) >= 1024 ? "\(Self.short(value / 1024)) MiB" : "\(Self.short(value)) KiB"
        case .cores: return "\(Self.fixed(value, 2)) cores"
        }
    }

    /// Three digits, or all that are before the point.
    static func short(_ value: Double) -> String {
        switch abs(value) {
        case 100...: grouped(value)
        case 10..<100: fixed(value, 1)
        case _: fixed(value, 2)
        }
    }

    static func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

    /// Whole, with a comma between thousands; small fractions keep a digit.
    static func grouped(_ value: Double) -> String {
        if abs(value) < 10, value != value.rounded() { return fixed(value, 1) }
        let digits = Array(fixed(abs(value), 0))
        var text = ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return (value.rounded() < 0 ? "-" : "") + text
    }
}

import FoundationEssentials
import Glibc
package import Logging

/// Writes one line an event to standard error, as text for people or as JSON for machines.
package struct RoostLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: RoostConfiguration.LogFormat
    private let write: @Sendable (String) -> Void

    /// - Parameter write: Takes a line with its newline; the default writes it to standard error in one call.
    package init(
        label: String, level: Logger.Level, format: RoostConfiguration.LogFormat,
        write: @escaping @Sendable (String) -> Void = Self.writeToStandardError
    ) {
        self.label = label
        self.format = format
        self.write = write
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { _, new in new } }
        if let given = event.metadata { all.merge(given) { _, new in new } }
        let time = Timestamp(milliseconds: UnixClock.now()).description
        switch format {
        case .text: write(text(time, event, all))
        case .json: write(json(time, event, all))
        }
    }

    private func text(_ time: String, _ event: LogEvent, _ metadata: Logger.Metadata) -> String {
        var line = "\(time) "
        let level = event.level.rawValue
        line += level + String(repeating: " ", count: max(0, 8 - level.utf8.count))
        line += " \(label): \(Self.singleLine(event.message.description))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let text = Self.singleLine(value.description)
            let quoted = text.isEmpty || text.contains { $0 == " " || $0 == "\"" || $0 == "=" }
            line += quoted ? " \(key)=\"\(text.replacing("\"", with: "\\\""))\"" : " \(key)=\(text)"
        }
        return line + "\n"
    }

    private func json(_ time: String, _ event: LogEvent, _ metadata: Logger.Metadata) -> String {
        var line = "{\"time\":\"\(time)\",\"level\":\"\(event.level.rawValue)\",\"logger\":"
        Self.append(label, to: &line)
        line += ",\"message\":"
        Self.append(event.message.description, to: &line)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ","
            Self.append(key, to: &line)
            line += ":"
            Self.append(value, to: &line)
        }
        return line + "}\n"
    }

    private static func append(_ value: Logger.Metadata.Value, to line: inout String) {
        switch value {
        case .string(let text): append(text, to: &line)
        case .stringConvertible(let value): append(value.description, to: &line)
        case .array(let values):
            line += "["
            for (index, value) in values.enumerated() {
                if index > 0 { line += "," }
                append(value, to: &line)
            }
            line += "]"
        case .dictionary(let members):
            line += "{"
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { line += "," }
                append(member.key, to: &line)
                line += ":"
                append(member.value, to: &line)
            }
            line += "}"
        }
    }

    /// A JSON string literal (RFC 8259 §7).
    private static func append(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case "\n": line += "\\n"
            case "\r": line += "\\r"
            case "\t": line += "\\t"
            case "\u{0}"..."\u{1F}":
                let digits = String(scalar.value, radix: 16)
                line += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }

    /// What a client sent must not make lines of its own in the log.
    private static func singleLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\u{0}"..."\u{1F}", "\u{7F}": result += "\\x" + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// One `write` a line: lines of several threads don't mix.
    package static func writeToStandardError(_ line: String) {
        var line = line
        line.withUTF8 { bytes in _ = Glibc.write(2, bytes.baseAddress, bytes.count) }
    }
}

extension Logger {
    /// A logger as the configuration asks for.
    package init(label: String, configuration: RoostConfiguration) {
        self.init(label: label) { label in
            RoostLogHandler(label: label, level: configuration.logLevel, format: configuration.logFormat)
        }
    }
}

/// The head of an HTTP/1.1 request (RFC 9112), as much of it as an upgrade or a plain GET needs.
package struct HTTPRequestHead: Equatable, Sendable {
    package var method: String
    /// Without the query.
    package var path: String
    /// After the question mark, still percent-encoded; empty where there is none.
    package var query: String
    /// Names in lower case; values without the blanks around them. A name that is there twice has its values joined by
    /// commas (RFC 9110 §5.3), so that a field which must be single is then invalid.
    package var headers: [String: String]

    /// Where a head's end is to be looked for: the bytes already seen without one are not looked at again.
    struct Search: Sendable {
        private var seen = 0

        /// The number of bytes up to and with the empty line; nil where it has not come.
        mutating func end(in bytes: UnsafeRawBufferPointer) -> Int? {
            var index = max(0, seen - 3)
            while index + 4 <= bytes.count {
                if bytes[index + 3] == 0x0A, bytes[index + 2] == 0x0D, bytes[index + 1] == 0x0A, bytes[index] == 0x0D {
                    return index + 4
                }
                index += 1
            }
            seen = bytes.count
            return nil
        }
    }

    /// Reads a whole head, with its empty line. Strict: lines end in CRLF, names are tokens, nothing is folded.
    package static func parse(_ bytes: UnsafeRawBufferPointer) throws(HTTPProblem) -> HTTPRequestHead {
        var lines: [Slice<UnsafeRawBufferPointer>] = []
        var start = 0
        while start + 2 <= bytes.count {
            guard let end = bytes[start...].firstIndex(of: 0x0D), end + 1 < bytes.count, bytes[end + 1] == 0x0A else {
                throw .malformed
            }
            if end > start { lines.append(bytes[start..<end]) }
            start = end + 2
        }
        guard let requestLine = lines.first, lines.count <= 101 else { throw .malformed }
        let parts = requestLine.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, parts[0].allSatisfy(isToken),
            parts[1].first == UInt8(ascii: "/"), parts[1].allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            parts[2].elementsEqual("HTTP/1.1".utf8)
        else { throw .malformed }
        let target = parts[1].split(
            separator: UInt8(ascii: "?"), maxSplits: 1, omittingEmptySubsequences: false)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(isToken)
            else { throw .malformed }
            var value = line[(colon + 1)...]
            while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
            while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
            guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }),
                let text = String(validating: value, as: UTF8.self)
            else { throw .malformed }
            let name = String(decoding: line[..<colon].map { (65...90).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
            if let earlier = headers[name] { headers[name] = earlier + ", " + text } else { headers[name] = text }
        }
        return HTTPRequestHead(
            method: String(decoding: parts[0], as: UTF8.self), path: String(decoding: target[0], as: UTF8.self),
            query: target.count > 1 ? String(decoding: target[1], as: UTF8.self) : "", headers: headers)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
        default: false
        }
    }

    /// A parameter of the query, percent-decoded; nil where it is missing or not decodable.
    package func parameter(_ name: String) -> String? {
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].elementsEqual(name.utf8) else { continue }
            return Self.percentDecoded(parts[1])
        }
        return nil
    }

    private static func percentDecoded(_ text: some Collection<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16),
                high != UInt8(ascii: "+"), high != UInt8(ascii: "-")
            else { return nil }
            bytes.append(value)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The values of a comma-separated list.
    func list(_ name: String) -> [String] {
        (headers[name] ?? "").split(separator: ",").map { part in
            var part = part
            while part.first == " " || part.first == "\t" { part.removeFirst() }
            while part.last == " " || part.last == "\t" { part.removeLast() }
            return String(part)
        }
    }
}

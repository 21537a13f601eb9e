import CLibPQ
import Glibc

/// libpq's C calls that need more than one line, without state of our own.
enum LibPQ {
    /// Starts to connect. `hostRotation` moves the DSN's list of hosts: without it a first host that hangs would keep the
    /// others from being tried, because libpq moves on only when an attempt fails by itself.
    static func connectStart(_ configuration: PostgresConfiguration, hostRotation: Int) -> OpaquePointer? {
        // Those before the DSN are defaults, those after it override it.
        var settings: [(String, String)] = [
            ("application_name", configuration.applicationName),
            ("gssencmode", "disable"),
            ("keepalives_idle", "30"),
            ("keepalives_interval", "5"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "15000"),
            ("dbname", configuration.dsn),
            ("client_encoding", "UTF8"),
        ]
        settings += rotatedHosts(configuration.dsn, by: hostRotation)
        return withCStrings(settings.map(\.0)) { keywords in
            withCStrings(settings.map(\.1)) { values in
                PQconnectStartParams(keywords, values, 1)
            }
        }
    }

    /// The DSN's hosts, addresses and ports in another order; empty for a single host or a broken DSN.
    static func rotatedHosts(_ dsn: String, by rotation: Int) -> [(String, String)] {
        guard let options = PQconninfoParse(dsn, nil) else { return [] }
        defer { PQconninfoFree(options) }
        var lists: [(String, [Substring])] = []
        var option = options
        while let keyword = option.pointee.keyword {
            let name = String(cString: keyword)
            if ["host", "hostaddr", "port"].contains(name), let value = option.pointee.val {
                lists.append((name, String(cString: value).split(separator: ",", omittingEmptySubsequences: false)))
            }
            option += 1
        }
        guard let count = lists.map(\.1.count).max(), count > 1, rotation % count != 0 else { return [] }
        return lists.map { name, values in
            if values.count == 1 { return (name, String(values[0])) }  // one port for all
            let start = rotation % values.count
            return (name, (values[start...] + values[..<start]).joined(separator: ","))
        }
    }

    static func errorMessage(_ connection: OpaquePointer?) -> String {
        let text = PQerrorMessage(connection).map { String(cString: $0) } ?? ""
        return text.isEmpty ? "no message from libpq" : clean(text)
    }

    /// What the server said, of a result that is an error.
    static func error(of result: OpaquePointer, attempted: String) -> PostgresError {
        func field(_ code: Character) -> String? {
            code.asciiValue.flatMap { PQresultErrorField(result, Int32($0)) }.map { String(cString: $0) }
        }
        let message = field("M") ?? PQresultErrorMessage(result).map { clean(String(cString: $0)) } ?? "unknown error"
        let state = field("C").map { SQLState(rawValue: $0) }
        var detail: PostgresError.Detail? = PostgresError.Detail(
            detail: field("D"), hint: field("H"), constraint: field("n"), table: field("t"), column: field("c"))
        if detail == PostgresError.Detail() { detail = nil }
        // Without a state it isn't from the server: libpq noticed that the connection is gone.
        return PostgresError(
            state == nil ? .connection : .server, message, attempted: attempted, sqlState: state, detail: detail)
    }

    /// Whether the error is about our cached plan and not about the statement: its table has changed, or the server has
    /// forgotten it (DISCARD ALL).
    static func isStalePlan(_ result: OpaquePointer) -> Bool {
        guard let state = PQresultErrorField(result, Int32(UInt8(ascii: "C"))) else { return false }
        switch String(cString: state) {
        case SQLState.invalidStatementName.rawValue: return true
        case SQLState.featureNotSupported.rawValue:
            guard let function = PQresultErrorField(result, Int32(UInt8(ascii: "R"))) else { return false }
            return String(cString: function) == "RevalidateCachedQuery"
        case _: return false
        }
    }

    /// Hands the parameters' binary forms to `body` as libpq wants them.
    static func withParameters<R>(
        _ parameters: [PostgresValue],
        _ body: (
            Int32, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>, UnsafePointer<Int32>
        ) -> R
    ) -> R {
        var buffer: [UInt8] = []
        var ranges: [Range<Int>?] = []
        ranges.reserveCapacity(parameters.count)
        for parameter in parameters {
            let start = buffer.count
            ranges.append(parameter.encode(into: &buffer) ? start..<buffer.count : nil)
        }
        buffer.append(0)  // so that an empty last value still has an address
        let lengths = ranges.map { Int32($0?.count ?? 0) } + [0]
        let formats = [Int32](repeating: 1, count: parameters.count + 1)
        return buffer.withUnsafeBytes { bytes in
            let base = bytes.bindMemory(to: CChar.self).baseAddress
            let values = ranges.map { range in range.flatMap { base?.advanced(by: $0.lowerBound) } } + [nil]
            return body(Int32(parameters.count), values, lengths, formats)
        }
    }

    /// `libpq` prefixes and ends its messages with line breaks and severity.
    private static func clean(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).map { $0.trimmed }.joined(separator: "; ")
    }

    private static func withCStrings<R>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R) -> R {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies.map { UnsafePointer($0) } + [nil])
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}

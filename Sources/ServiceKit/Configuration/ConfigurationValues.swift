import Configuration
import FoundationEssentials
import SystemPackage

/// Typed reading of one key at a time: absent and empty is nil; present and wrong is an error that names the key.
struct ConfigurationValues {
    private let reader: ConfigReader

    init(reader: ConfigReader) { self.reader = reader }

    static func environmentName(_ key: String) -> String { "ROOST_" + key.uppercased() }

    /// Whatever stands there, as text: a file may have a number, a boolean or a list where the environment has a string.
    func text(_ key: String) -> String? {
        let key = ConfigKey([key])
        var value = reader.string(forKey: key)
        if value == nil, let number = reader.int(forKey: key) { value = "\(number)" }
        if value == nil, let boolean = reader.bool(forKey: key) { value = "\(boolean)" }
        if value == nil, let number = reader.double(forKey: key) { value = "\(number)" }
        if value == nil, let list = reader.stringArray(forKey: key) { value = list.joined(separator: ",") }
        guard let value, !value.allSatisfy({ $0.isWhitespace }) else { return nil }
        return value
    }

    func list(_ key: String) -> [String]? {
        text(key)?.split(separator: ",").map { String($0.filter { !$0.isWhitespace }) }.filter { !$0.isEmpty }
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let text = text(key) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw error(
                key, "must be a whole number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
        }
        return value
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(ConfigurationError) -> Double? {
        guard let text = text(key) else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw error(key, "must be a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"")
        }
        return value
    }

    func milliseconds(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Duration? {
        try integer(key, in: range).map { .milliseconds($0) }
    }

    func boolean(_ key: String) throws(ConfigurationError) -> Bool? {
        guard let text = text(key) else { return nil }
        switch text.lowercased() {
        case "on", "true", "yes", "1": return true
        case "off", "false", "no", "0": return false
        default: throw error(key, "must be on or off, not \"\(text)\"")
        }
    }

    func choice<T: RawRepresentable<String> & CaseIterable>(
        _ key: String, of type: T.Type
    ) throws(ConfigurationError) -> T? {
        guard let text = text(key) else { return nil }
        guard let value = T(rawValue: text.lowercased()) else {
            throw error(key, "must be one of \(T.allCases.map(\.rawValue).joined(separator: ", ")), not \"\(text)\"")
        }
        return value
    }

    func identifier(_ key: String) throws(ConfigurationError) -> String? {
        guard let text = text(key) else { return nil }
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, text.utf8.count <= 64, text != ".", text != ".." else {
            throw error(key, "must be 1 to 64 letters, digits, dots, dashes or underscores, not \"\(text)\"")
        }
        return text
    }

    func address(_ key: String) throws(ConfigurationError) -> String? {
        guard let text = text(key) else { return nil }
        guard Self.isAddress(text) else { throw error(key, "must be host:port, not \"\(text)\"") }
        return text
    }

    func addresses(_ key: String) throws(ConfigurationError) -> String? {
        guard let parts = list(key), !parts.isEmpty else { return nil }
        for part in parts where !Self.isAddress(part) {
            throw error(key, "must be host:port,host:port,…; \"\(part)\" is not host:port")
        }
        return parts.joined(separator: ",")
    }

    func credentials(_ key: String) throws(ConfigurationError) -> String? {
        guard let text = text(key) else { return nil }
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else {
            throw error(key, "must be user:password")
        }
        return text
    }

    func url(_ key: String) throws(ConfigurationError) -> String? {
        guard var text = text(key) else { return nil }
        while text.hasSuffix("/") { text.removeLast() }
        let rest = ["http://", "https://"].first { text.hasPrefix($0) }.map { text.dropFirst($0.count) }
        guard let rest, !rest.isEmpty else {
            throw error(key, "must be a URL like https://chat.example.org, not \"\(text)\"")
        }
        return text
    }

    func proxies(_ key: String) throws(ConfigurationError) -> TrustedProxies? {
        guard let text = text(key) else { return nil }
        guard let proxies = TrustedProxies(list: text) else {
            throw error(key, "must be addresses or CIDR blocks separated by commas, not \"\(text)\"")
        }
        return proxies
    }

    private func error(_ key: String, _ message: String) -> ConfigurationError {
        ConfigurationError(key: Self.environmentName(key), message: message)
    }

    private static func isAddress(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else { return false }
        guard let port = Int(text[text.index(after: colon)...]) else { return false }
        return (1...65_535).contains(port)
    }
}

extension RoostConfiguration {
    /// The configuration of this process: the environment, then the JSON file at `path`, then the defaults.
    ///
    /// - Throws: `ConfigurationError` when the file can't be read, has a key that doesn't exist, or a value is wrong.
    package static func load(
        file path: String?, environment: [String: String]? = nil
    ) async throws(ConfigurationError) -> RoostConfiguration {
        let variables = environment ?? ProcessInfo.processInfo.environment
        var providers: [any ConfigProvider] = [
            EnvironmentVariablesProvider(environmentVariables: variables).prefixKeys(with: ["roost"])
        ]
        if let path {
            try checkKeys(file: path)
            do {
                providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(path)))
            } catch {
                throw ConfigurationError(key: "", message: "\(path) can't be read as JSON: \(error)")
            }
        }
        return try RoostConfiguration(reader: ConfigReader(providers: providers))
    }

    /// A misspelt key would be silently ignored otherwise.
    private static func checkKeys(file path: String) throws(ConfigurationError) {
        struct Ignored: Decodable {
            init(from decoder: any Decoder) throws {}
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ConfigurationError(key: "", message: "\(path) can't be read: is it there, and readable?")
        }
        guard let members = try? JSONDecoder().decode([String: Ignored].self, from: data) else {
            throw ConfigurationError(key: "", message: "\(path) is not a JSON object")
        }
        if let unknown = members.keys.sorted().first(where: { !keys.contains($0) }) {
            throw ConfigurationError(key: "", message: "\(path): there is no key \"\(unknown)\"")
        }
    }
}

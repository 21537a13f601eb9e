package import ServiceKit

/// A request's JSON object whose members are looked at one by one, so that a client hears of all that is wrong with them at
/// once, and not of the first.
package struct RequestFields: Decodable, Sendable {
    enum Value: Sendable {
        case text(String)
        case flag(Bool)
        case null
        case other
    }

    /// Far more members than any request has; each costs something before anybody is known.
    private static let limit = 64

    private var values: [String: Value] = [:]
    package private(set) var errors: [FieldError] = []

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        guard container.allKeys.count <= Self.limit else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "An object with more than \(Self.limit) members."))
        }
        for key in container.allKeys {
            values[Self.snakeCase(key.stringValue)] =
                if try container.decodeNil(forKey: key) {
                    .null
                } else if let text = try? container.decode(String.self, forKey: key) {
                    .text(text)
                } else if let flag = try? container.decode(Bool.self, forKey: key) {
                    .flag(flag)
                } else {
                    .other
                }
        }
    }

    /// The decoder may have turned `display_name` into `displayName`.
    private static func snakeCase(_ name: String) -> String {
        var result = ""
        for character in name {
            if character.isUppercase { result.append("_") }
            result.append(contentsOf: character.lowercased())
        }
        return result
    }

    /// A member that must be there. nil, and noted, where it isn't or its rule refuses it.
    package mutating func required<T>(
        _ name: String, _ rule: (String) throws(AccountRules.Refusal) -> T
    ) -> T? {
        switch values[name] {
        case nil, .null:
            refuse(name, "is missing")
            return nil
        case .text(let text): return check(name, text, rule)
        case .flag, .other:
            refuse(name, "must be a string")
            return nil
        }
    }

    /// A member that may be left out or null: nil then.
    package mutating func optional<T>(
        _ name: String, _ rule: (String) throws(AccountRules.Refusal) -> T
    ) -> T? {
        switch values[name] {
        case nil, .null: return nil
        case .text(let text): return check(name, text, rule)
        case .flag, .other:
            refuse(name, "must be a string")
            return nil
        }
    }

    /// A member that may be left out but, when it is there, must be true or false.
    package mutating func flag(_ name: String) -> Bool? {
        switch values[name] {
        case nil: return nil
        case .flag(let flag): return flag
        case .text, .null, .other:
            refuse(name, "must be true or false")
            return nil
        }
    }

    /// Whether the member is there and null.
    package func isNull(_ name: String) -> Bool {
        if case .null = values[name] { true } else { false }
    }

    package mutating func refuse(_ name: String, _ message: String) {
        errors.append(FieldError(field: name, message: message))
    }

    /// Throws `invalid` with everything noted, if anything was.
    package func finish() throws(Problem) {
        guard let first = errors.first else { return }
        let more = errors.count > 1 ? " (and \(errors.count - 1) more)" : ""
        throw Problem(code: .invalid, detail: "\(first.field) \(first.message)\(more).", errors: errors)
    }

    private mutating func check<T>(
        _ name: String, _ text: String, _ rule: (String) throws(AccountRules.Refusal) -> T
    ) -> T? {
        do {
            return try rule(text)
        } catch {
            refuse(name, error.message)
            return nil
        }
    }
}

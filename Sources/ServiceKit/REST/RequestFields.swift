package import ChatModel

/// A request's JSON object whose members are looked at one by one, so that a client hears of all that is wrong with them at
/// once, and not of the first.
package struct RequestFields: Decodable, Sendable {
    package typealias Refusal = TextRules.Refusal

    private enum Value: Sendable {
        case text(String)
        case flag(Bool)
        case number(Int64)
        case texts([String])
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

    /// An object without members.
    package init() {}

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        guard container.allKeys.count <= Self.limit else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: [], debugDescription: "An object with more than \(Self.limit) members."))
        }
        for key in container.allKeys {
            values[RoostJSON.snakeCase(key.stringValue)] =
                if try container.decodeNil(forKey: key) {
                    .null
                } else if let text = try? container.decode(String.self, forKey: key) {
                    .text(text)
                } else if let flag = try? container.decode(Bool.self, forKey: key) {
                    .flag(flag)
                } else if let number = try? container.decode(Int64.self, forKey: key) {
                    .number(number)
                } else if let texts = try? container.decode([String].self, forKey: key) {
                    .texts(texts)
                } else {
                    .other
                }
        }
    }

    /// A member that must be there. nil, and noted, where it isn't or its rule refuses it.
    package mutating func required<T>(
        _ name: String, _ rule: (String) throws(Refusal) -> T
    ) -> T? {
        switch values[name] {
        case nil, .null:
            refuse(name, "is missing")
            return nil
        case .text(let text): return check(name, text, rule)
        case .flag, .number, .texts, .other:
            refuse(name, "must be a string")
            return nil
        }
    }

    /// A member that may be left out or null: nil then.
    package mutating func optional<T>(
        _ name: String, _ rule: (String) throws(Refusal) -> T
    ) -> T? {
        switch values[name] {
        case nil, .null: return nil
        case .text(let text): return check(name, text, rule)
        case .flag, .number, .texts, .other:
            refuse(name, "must be a string")
            return nil
        }
    }

    /// A member that may be left out but, when it is there, must be true or false.
    package mutating func flag(_ name: String) -> Bool? {
        switch values[name] {
        case nil: return nil
        case .flag(let flag): return flag
        case .text, .number, .texts, .null, .other:
            refuse(name, "must be true or false")
            return nil
        }
    }

    /// A whole number that may be left out or null: nil then.
    package mutating func number(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        switch values[name] {
        case nil, .null: return nil
        case .number(let number) where range.contains(number): return number
        case .text, .flag, .number, .texts, .other:
            refuse(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
    }

    /// A list of strings that may be left out or null: empty then.
    package mutating func texts(_ name: String) -> [String] {
        switch values[name] {
        case nil, .null: return []
        case .texts(let texts): return texts
        case .text, .flag, .number, .other:
            refuse(name, "must be a list of strings")
            return []
        }
    }

    /// Whether the member is there at all.
    package func isGiven(_ name: String) -> Bool { values[name] != nil }

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
        _ name: String, _ text: String, _ rule: (String) throws(Refusal) -> T
    ) -> T? {
        do {
            return try rule(text)
        } catch {
            refuse(name, error.message)
            return nil
        }
    }
}

/// What Redis answers.
package enum RedisValue: Sendable, Hashable {
    case null
    case integer(Int64)
    /// A string of any bytes; also a status such as `OK`.
    case bytes([UInt8])
    case array([RedisValue])
    /// An error inside an array (a transaction's or a pipeline's); one that answers a command by itself is thrown.
    case error(prefix: String, message: String)

    package var isNull: Bool { self == .null }

    /// The bytes as UTF-8 (repaired), or the integer in decimal; `nil` for the others.
    package var string: String? {
        switch self {
        case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
        case .integer(let integer): String(integer)
        case .null, .array, .error: nil
        }
    }

    /// The integer, or the bytes as a decimal one; `nil` for the others.
    package var int: Int64? {
        switch self {
        case .integer(let integer): integer
        case .bytes(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        case .null, .array, .error: nil
        }
    }

    /// The bytes; `nil` for the others.
    package var bytes: [UInt8]? {
        switch self {
        case .bytes(let bytes): bytes
        case .null, .integer, .array, .error: nil
        }
    }

    /// The elements; `nil` for the others.
    package var array: [RedisValue]? {
        switch self {
        case .array(let elements): elements
        case .null, .integer, .bytes, .error: nil
        }
    }

    /// The elements as pairs, as `HGETALL` and `ZRANGE … WITHSCORES` answer; `nil` if they aren't.
    package var pairs: [(key: String, value: RedisValue)]? {
        guard let elements = self.array, elements.count.isMultiple(of: 2) else { return nil }
        var pairs: [(key: String, value: RedisValue)] = []
        pairs.reserveCapacity(elements.count / 2)
        for index in stride(from: 0, to: elements.count, by: 2) {
            guard let key = elements[index].string else { return nil }
            pairs.append((key, elements[index + 1]))
        }
        return pairs
    }
}

/// A word of a command: any bytes.
package struct RedisArgument: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByStringInterpolation
{
    package var bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ string: String) { self.bytes = Array(string.utf8) }
    package init(_ integer: some BinaryInteger) { self.bytes = Array(String(integer).utf8) }
    package init(stringLiteral string: String) { self.init(string) }
    package init(integerLiteral integer: Int64) { self.init(integer) }
}

/// A Lua script, sent by its digest and as text only when Redis doesn't know it.
package struct RedisScript: Sendable {
    /// The script.
    package let source: String
    /// Its SHA-1 in hexadecimal.
    package let digest: String
}

/// What a subscription yields.
package enum RedisMessage: Sendable, Hashable {
    /// Published on a channel.
    case message(channel: String, payload: [UInt8])
    /// The subscription is in force; first, and again after each time it was interrupted: what was published before is
    /// missed, so what follows from it must be read again.
    case reconnected
}

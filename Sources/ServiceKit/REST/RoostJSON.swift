import ChatModel
import FoundationEssentials
package import Hummingbird
import NIOCore

/// JSON as Roost's clients see it: snake_case, times as `Timestamp` writes them, slashes as they are.
package enum RoostJSON {
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = .withoutEscapingSlashes
        return [UInt8](try encoder.encode(value))
    }

    /// Decodes what a client sent.
    ///
    /// - Throws: `Problem` with code `invalid`: not UTF-8, not JSON, nested too deeply, a member missing, of the wrong
    ///   type, or a text with NUL, which no store can hold (named in `errors`).
    package static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) throws(Problem) -> T {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Problem(code: .invalid, detail: "The body is not valid UTF-8.")
        }
        let shape = JSONShape(of: bytes)
        guard shape.depth <= JSONShape.depthLimit else {
            throw Problem(code: .invalid, detail: "The body nests deeper than \(JSONShape.depthLimit) levels.")
        }
        if shape.hasNUL {
            let errors = textsWithNUL(bytes).map { FieldError(field: $0, message: "must not contain NUL") }
            throw Problem(code: .invalid, detail: "A text must not contain NUL.", errors: errors)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            return try decoder.decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw problem(error)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(code: .invalid, detail: "The body is not the JSON that is expected here.")
        }
    }

    private static func problem(_ error: DecodingError) -> Problem {
        switch error {
        case .keyNotFound(let key, let context):
            return .field(path(context.codingPath + [key]), "is missing")
        case .valueNotFound(_, let context):
            guard !context.codingPath.isEmpty else {
                return Problem(code: .invalid, detail: "The body must not be null.")
            }
            return .field(path(context.codingPath), "must not be null")
        case .typeMismatch(let type, let context):
            let message = "must be \(name(of: type))"
            guard !context.codingPath.isEmpty else {
                return Problem(code: .invalid, detail: "The body \(message).")
            }
            return .field(path(context.codingPath), message)
        case .dataCorrupted(let context):
            guard !context.codingPath.isEmpty else { return Problem(code: .invalid, detail: "The body is not JSON.") }
            return .field(path(context.codingPath), context.debugDescription)
        @unknown default:
            return Problem(code: .invalid, detail: "The body is not the JSON that is expected here.")
        }
    }

    /// The path as the client wrote it: members in snake_case, elements by index.
    private static func path(_ keys: [any CodingKey]) -> String {
        keys.map { $0.intValue.map(String.init) ?? snakeCase($0.stringValue) }.joined(separator: ".")
    }

    static func snakeCase(_ name: String) -> String {
        var result = ""
        for character in name {
            if character.isUppercase, !result.isEmpty { result.append("_") }
            result.append(contentsOf: character.lowercased())
        }
        return result
    }

    private static func name(of type: any Any.Type) -> String {
        switch type {
        case is String.Type: "a string"
        case is Bool.Type: "true or false"
        case is any BinaryInteger.Type: "a whole number"
        case is any BinaryFloatingPoint.Type: "a number"
        case is [Any].Type: "a list"
        case is [String: Any].Type: "an object"
        default: "of another type"
        }
    }
}

/// What is to be known of a JSON text before it is parsed, found in one pass over its bytes, so that a hostile one costs
/// no more.
struct JSONShape: Equatable {
    static let depthLimit = 32

    /// How deeply it nests.
    private(set) var depth = 0
    /// Whether a string has the escape of U+0000.
    private(set) var hasNUL = false

    init(of bytes: [UInt8]) {
        var level = 0
        var inString = false
        var escaped = false
        for (index, byte) in bytes.enumerated() {
            if inString {
                if escaped {
                    escaped = false
                    if byte == UInt8(ascii: "u"), bytes[(index + 1)...].starts(with: [0x30, 0x30, 0x30, 0x30]) {
                        hasNUL = true
                    }
                } else if byte == UInt8(ascii: "\\") {
                    escaped = true
                } else if byte == UInt8(ascii: "\"") {
                    inString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): inString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                level += 1
                depth = max(depth, level)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): level -= 1
            default: break
            }
        }
    }
}

extension RoostJSON {
    /// Where in a JSON text the strings are that have NUL in them, or objects with such a member.
    private static func textsWithNUL(_ bytes: [UInt8]) -> [String] {
        indirect enum Value: Decodable {
            case text(String), list([Value]), object([String: Value]), other

            init(from decoder: any Decoder) throws {
                if let text = try? decoder.singleValueContainer().decode(String.self) {
                    self = .text(text)
                } else if let list = try? decoder.singleValueContainer().decode([Value].self) {
                    self = .list(list)
                } else if let object = try? decoder.singleValueContainer().decode([String: Value].self) {
                    self = .object(object)
                } else {
                    self = .other
                }
            }

            func collect(_ path: [String], into found: inout [String]) {
                switch self {
                case .text(let text): if text.utf8.contains(0) { found.append(path.joined(separator: ".")) }
                case .list(let list):
                    for (index, value) in list.enumerated() { value.collect(path + ["\(index)"], into: &found) }
                case .object(let object):
                    for (name, value) in object.sorted(by: { $0.key < $1.key }) {
                        if name.utf8.contains(0) {
                            found.append(path.joined(separator: "."))
                        } else {
                            value.collect(path + [name], into: &found)
                        }
                    }
                case .other: break
                }
            }
        }
        var found: [String] = []
        (try? JSONDecoder().decode(Value.self, from: Data(bytes)))?.collect([], into: &found)
        return found
    }
}

extension Request {
    /// The request's JSON body.
    ///
    /// - Throws: `Problem`: `unsupported_media` when the content type is another one, `too_large` past the context's
    ///   limit, `invalid` as `RoostJSON.decode`.
    package func decodeJSON<T: Decodable>(_ type: T.Type, _ context: RoostRequestContext) async throws -> T {
        guard let contentType = headers[.contentType], Self.isJSON(contentType) else {
            throw Problem(code: .unsupportedMedia, detail: "Send the body as application/json.")
        }
        return try RoostJSON.decode(type, from: try await collect(upTo: context.maxUploadSize))
    }

    /// The same, or nil where the request has no body and says so.
    package func decodeJSONIfPresent<T: Decodable>(
        _ type: T.Type, _ context: RoostRequestContext
    ) async throws -> T? {
        let isEmpty =
            headers[.contentType] == nil && headers[.transferEncoding] == nil
            && (headers[.contentLength] ?? "0") == "0"
        return isEmpty ? nil : try await decodeJSON(type, context)
    }

    /// The whole body.
    ///
    /// - Throws: `too_large` as soon as it is known to be longer than `limit`, before it is buffered.
    package func collect(upTo limit: Int) async throws -> [UInt8] {
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw Problem.tooLarge(limit) }
        do {
            return Array(buffer: try await body.collect(upTo: limit))
        } catch is NIOTooManyBytesError {
            throw Problem.tooLarge(limit)
        }
    }

    private static func isJSON(_ contentType: String) -> Bool {
        let essence = contentType.prefix { $0 != ";" }.lowercased()
        let trimmed = essence.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
        return String(trimmed) == "application/json" || trimmed.reversed().starts(with: "+json".reversed())
    }
}

extension Problem {
    static func tooLarge(_ limit: Int) -> Problem {
        Problem(code: .tooLarge, detail: "The body may have \(limit) bytes at most.")
    }
}

/// hummingbird's hooks, so that values returned from routes are encoded by the same rules.
package struct RoostCoder: RequestDecoder, ResponseEncoder, Sendable {
    package func encode(
        _ value: some Encodable, from request: Request, context: some RequestContext
    ) throws -> Response {
        try .json(value)
    }

    package func decode<T: Decodable>(
        _ type: T.Type, from request: Request, context: some RequestContext
    ) async throws -> T {
        try RoostJSON.decode(type, from: try await request.collect(upTo: context.maxUploadSize))
    }
}

extension Response {
    /// A JSON response.
    package static func json(
        _ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) throws -> Response {
        .json(bytes: try RoostJSON.encode(value), status: status, headers: headers)
    }

    /// A response of JSON that is written already.
    package static func json(
        bytes: [UInt8], status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = "application/json; charset=utf-8"
        headers[.contentLength] = String(bytes.count)
        if headers[.cacheControl] == nil { headers[.cacheControl] = "no-store" }
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// 204.
    package static var noContent: Response { Response(status: .noContent) }
}

/// A member that is written as `null` when there is no value, rather than left out: `@Nullable var next: String?`.
@propertyWrapper
package struct Nullable<Value: Codable & Sendable>: Codable, Sendable {
    package var wrappedValue: Value?

    package init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue { try container.encode(wrappedValue) } else { try container.encodeNil() }
    }
}

extension Nullable: Equatable where Value: Equatable {}

extension KeyedDecodingContainer {
    /// A `Nullable` member that is left out is nil.
    package func decode<Value>(_ type: Nullable<Value>.Type, forKey key: Key) throws -> Nullable<Value> {
        try decodeIfPresent(type, forKey: key) ?? Nullable(wrappedValue: nil)
    }
}

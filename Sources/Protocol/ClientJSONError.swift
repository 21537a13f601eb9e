/// Why a client's frame was refused. Names the field and what is wrong with it; never quotes what the peer sent.
package struct ClientFrameError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        /// Not a JSON object, or not valid UTF-8 or Protobuf.
        case malformed
        /// `type` is missing or names no frame.
        case unknownType
        /// A field that must be there is not.
        case missing
        /// A field has another JSON type than it should.
        case wrongType
        /// A field's value breaks a rule.
        case invalidValue
        /// A field is longer than allowed.
        case tooLong
    }

    package var code: Code
    /// The field's path as clients know it (`body.text`); nil where no single field is at fault.
    package var field: String?
    package var message: String

    package init(_ code: Code, field: String? = nil, _ message: String) {
        self.code = code
        self.field = field
        self.message = message
    }

    package var description: String { field.map { "\($0): \(message)" } ?? message }
}

/// What a `.proto` file says about services, freed of any Protobuf library, for the generator to write down.
package struct ServiceFile: Sendable {
    /// `roost/relay/v1/relay.proto`.
    package var path: String
    package var services: [ServiceDescription]

    package init(path: String, services: [ServiceDescription]) {
        self.path = path
        self.services = services
    }
}

/// One `service`.
package struct ServiceDescription: Sendable {
    /// `roost.relay.v1.Relay`.
    package var fullName: String
    /// `Relay`: what the Swift names begin with.
    package var swiftName: String
    /// The comment above it, without slashes; may be empty.
    package var comment: String
    package var methods: [MethodDescription]

    package init(fullName: String, swiftName: String, comment: String, methods: [MethodDescription]) {
        self.fullName = fullName
        self.swiftName = swiftName
        self.comment = comment
        self.methods = methods
    }
}

/// One `rpc`.
package struct MethodDescription: Sendable {
    /// `OpenDirect`.
    package var name: String
    /// `RelayOpenDirectRequest`.
    package var request: String
    package var response: String
    package var serverStreaming: Bool
    /// `idempotency_level` is `IDEMPOTENT` or `NO_SIDE_EFFECTS`.
    package var idempotent: Bool
    package var comment: String

    package init(
        name: String, request: String, response: String, serverStreaming: Bool, idempotent: Bool, comment: String
    ) {
        self.name = name
        self.request = request
        self.response = response
        self.serverStreaming = serverStreaming
        self.idempotent = idempotent
        self.comment = comment
    }

    /// `openDirect`, in back-ticks where Swift reserves the word.
    var swiftName: String {
        let name = MethodDescription.lowerCamelCase(name)
        return MethodDescription.reserved.contains(name) ? "`\(name)`" : name
    }

    static func lowerCamelCase(_ name: String) -> String {
        let upper = name.prefix { $0.isUppercase }
        // `OpenDirect` -> `openDirect`; `URLOf` -> `urlOf`; `URL` -> `url`.
        let lowered = upper.count > 1 && upper.count < name.count ? upper.dropLast() : upper
        return lowered.lowercased() + name.dropFirst(lowered.count)
    }

    private static let reserved: Set<String> = [
        "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer", "deinit", "do",
        "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for", "func", "guard", "if", "import",
        "in",
        "init", "inout", "internal", "is", "let", "nil", "operator", "package", "precedencegroup", "private",
        "protocol",
        "public", "repeat", "rethrows", "return", "self", "static", "struct", "subscript", "super", "switch", "throw",
        "throws", "true", "try", "typealias", "var", "where", "while",
    ]
}

/// Why a file can't be generated.
package struct GeneratorError: Error, CustomStringConvertible {
    package var description: String

    package init(_ description: String) {
        self.description = description
    }
}

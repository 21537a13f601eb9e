/// Why a WebSocket ends (RFC 6455 §7.4 and the contract's own codes, 44xx).
package struct CloseCode: RawRepresentable, Hashable, Sendable {
    package var rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = CloseCode(rawValue: 1000)
    package static let shutdown = CloseCode(rawValue: 1001)
    package static let protocolError = CloseCode(rawValue: 1002)
    package static let wrongKind = CloseCode(rawValue: 1003)
    package static let badUTF8 = CloseCode(rawValue: 1007)
    package static let tooLarge = CloseCode(rawValue: 1009)
    package static let drained = CloseCode(rawValue: 1012)
    package static let overloaded = CloseCode(rawValue: 1013)
    package static let malformed = CloseCode(rawValue: 4400)
    package static let sessionEnded = CloseCode(rawValue: 4401)
    package static let closedByOperator = CloseCode(rawValue: 4403)
    package static let timeout = CloseCode(rawValue: 4408)
    package static let flooding = CloseCode(rawValue: 4429)

    /// Whether an endpoint may put the code in a close frame.
    package var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// A peer broke the WebSocket protocol: the code and reason that it is told.
package struct WebSocketViolation: Error, Equatable, Sendable {
    package var code: CloseCode
    package var reason: String

    package init(_ code: CloseCode, _ reason: String) {
        self.code = code
        self.reason = reason
    }
}

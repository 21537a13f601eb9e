/// Why a call failed, as the other side said it or as this side found out.
package struct RPCError: Error, Sendable, Hashable {
    /// What kind of failure it is. The raw value is the byte on the wire; see `Protos/README.md`.
    package enum Code: UInt8, Sendable, CaseIterable {
        /// The request breaks a rule; repeating it can't help.
        case invalid = 1
        /// Who asks isn't known, or no longer.
        case unauthorized = 2
        /// Who asks is known and may not.
        case forbidden = 3
        case notFound = 4
        /// The request doesn't fit the present state.
        case conflict = 5
        case tooLarge = 6
        /// Too much at once; later it may work.
        case rateLimited = 7
        /// Not possible now: no peer, connection lost, a store is down. Whether it was done may be unknown.
        case unavailable = 8
        /// The caller's time ran out. Whether it was done is unknown.
        case deadlineExceeded = 9
        case cancelled = 10
        /// The peer has no such method.
        case unimplemented = 11
        /// A fault of ours.
        case internalError = 12

        /// The `code` that REST and WebSocket clients get for it (CONTRACT §2).
        package var restCode: String {
            switch self {
            case .invalid: "invalid"
            case .unauthorized: "unauthorized"
            case .forbidden: "forbidden"
            case .notFound: "not_found"
            case .conflict: "conflict"
            case .tooLarge: "too_large"
            case .rateLimited: "rate_limited"
            case .unavailable, .deadlineExceeded, .cancelled: "unavailable"
            case .unimplemented, .internalError: "internal"
            }
        }
    }

    package var code: Code
    /// For people; never parsed.
    package var message: String
    /// For programs: small, stable keys.
    package var details: [String: String]

    package init(_ code: Code, _ message: String, details: [String: String] = [:]) {
        self.code = code
        self.message = message
        self.details = details
    }

    /// Makes an error with its parts named.
    package init(code: Code, message: String, details: [String: String] = [:]) {
        self.init(code, message, details: details)
    }
}

extension RPCError: CustomStringConvertible {
    package var description: String {
        details.isEmpty ? "\(code): \(message)" : "\(code): \(message) \(details)"
    }
}

package import RPC

extension RPCError: ProblemConvertible {
    package var problem: Problem { Problem(self) }
}

extension Problem {
    /// A failed call to another service: its code and message, which are meant for clients; not those of our own faults.
    package init(_ error: RPCError) {
        let code = Code(rawValue: error.code.restCode) ?? .internal
        let retry = error.details["retry_after_ms"].flatMap { Int64($0) }.map { Duration.milliseconds($0) }
        switch code {
        case .internal:
            self.init(code: .internal, detail: "The fault is ours; it has been logged.")
        case .unavailable:
            self.init(
                code: .unavailable, detail: "A part of Roost can't be reached now.", retryAfter: retry ?? .seconds(1))
        case .rateLimited:
            self.init(code: .rateLimited, detail: error.message, retryAfter: retry ?? .seconds(1))
        case .invalid, .unauthorized, .forbidden, .notFound, .conflict, .tooLarge, .unsupportedMedia:
            let errors = error.details["field"].map { [FieldError(field: $0, message: error.message)] } ?? []
            self.init(code: code, detail: error.message, errors: errors)
        }
    }
}

/// How often what may be asked for: a token bucket each, shared by all instances.
package struct RequestLimits: Sendable, Equatable {
    /// What is counted. The raw value names it in configuration keys, in metrics and in Redis.
    package enum Name: String, CaseIterable, Sendable {
        /// REST calls of one user, all devices together.
        case user
        /// REST calls of one device.
        case device
        /// REST calls without an access token, from one address.
        case address
        /// Tickets for one user.
        case ticket
        /// Groups made by one user: each may have thousands of events and members.
        case group
        /// Registrations from one address.
        case registration
        /// Logins from one address, whether good or not.
        case login
        /// Failed logins of one name, from one address.
        case loginFailure = "login_failure"
        /// Failed logins of one name, from anywhere: wide, or it would let anyone lock a user out.
        case loginName = "login_name"

        /// Wide enough for a busy page and for an office behind one address that reconnects at once.
        var defaultRule: TokenBucket.Rule {
            switch self {
            case .user: .init(rate: 100, burst: 400)
            case .device: .init(rate: 50, burst: 200)
            case .address: .init(rate: 50, burst: 500)
            case .ticket: .init(rate: 2, burst: 60)
            case .group: .init(rate: 0.2, burst: 30)
            case .registration: .init(rate: 1, burst: 100)
            case .login: .init(rate: 5, burst: 100)
            case .loginFailure: .init(rate: 0.1, burst: 10)
            case .loginName: .init(rate: 0.5, burst: 100)
            }
        }

        var rateKey: String { "limit_\(rawValue)_rate" }
        var burstKey: String { "limit_\(rawValue)_burst" }
    }

    private var changed: [Name: TokenBucket.Rule] = [:]

    package init() {}

    package subscript(name: Name) -> TokenBucket.Rule {
        get { changed[name] ?? name.defaultRule }
        set { changed[name] = newValue }
    }

    /// The keys of the configuration that `init(values:)` reads.
    static let keys = Name.allCases.flatMap { [$0.rateKey, $0.burstKey] }

    /// - Throws: `ConfigurationError` naming the first key that is wrong.
    init(values: ConfigurationValues) throws(ConfigurationError) {
        for name in Name.allCases {
            if let rate = try values.number(name.rateKey, in: 0.001...1_000_000) { self[name].rate = rate }
            if let burst = try values.number(name.burstKey, in: 1...1_000_000) { self[name].burst = burst }
        }
    }
}

/// A configuration that can't be used: which key is at fault, and why.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// As in the environment, `ROOST_RPC_PORT`; empty when it isn't about one key.
    package var key: String
    package var message: String

    package init(key: String, message: String) {
        self.key = key
        self.message = message
    }

    package var description: String { key.isEmpty ? message : "\(key): \(message)" }
}

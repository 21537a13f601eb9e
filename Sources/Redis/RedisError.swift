/// Why a command failed.
package struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What went wrong.
    package enum Code: Sendable, Hashable {
        /// There is no connection, or it was lost before the answer: a command that was sent may have been carried out.
        case disconnected
        /// No answer in time: the command may have been carried out or not.
        case timeout
        /// Too many commands are waiting.
        case queueFull
        /// Redis refused the command; the first word of what it said, such as `WRONGTYPE`.
        case server(String)
        /// The answer isn't what it must be.
        case protocolViolation
        /// The client has ended or isn't running.
        case closed
        /// The calling task was cancelled: the command may have been carried out or not.
        case cancelled
    }

    package var code: Code
    /// What Redis or the system said of it.
    package var message: String
    /// The command's name.
    package var attempted: String

    package init(code: Code, message: String, attempted: String) {
        self.code = code
        self.message = message
        self.attempted = attempted
    }

    package var description: String {
        "Redis: \(self.attempted): \(self.code): \(self.message)"
    }
}

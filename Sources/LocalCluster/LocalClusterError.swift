/// Why a cluster could not be started: one line that says what is wrong and what to do about it.
package struct LocalClusterError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Equatable {
        /// A server program is not installed.
        case programMissing
        /// The gateway's port, or too many others, are in use.
        case portInUse
        /// Another cluster uses the data directory.
        case dataDirectoryInUse
        /// The data directory can't be used.
        case dataDirectory
        /// The options make no sense, or the files that belong to Roost are not found.
        case configuration
        /// A part did not start, or did not get ready in time.
        case partFailed
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

import Postgres
import RPC

extension RPCError {
    /// What a caller is told of a failed database operation. What was attempted stays in the logs.
    init(_ error: PostgresError) {
        switch error.code {
        case .connection, .timeout, .poolExhausted, .closed:
            self = .storeUnavailable
        case .cancelled:
            self.init(.cancelled, "The call was cancelled.")
        case .server:
            // A server that starts, stops or fails over says so in these classes: connection, operator, resources.
            let passing =
                ["08", "57", "53", "40"].contains { error.sqlState?.category == $0[...] }
                || error.sqlState == .readOnlyTransaction
            self = passing ? .storeUnavailable : RPCError(.internalError, "The log could not be used.")
        case .decoding, .encoding:
            self.init(.internalError, "The log could not be used.")
        }
    }

    /// The store is down or slow: later it may work.
    static var storeUnavailable: RPCError {
        RPCError(.unavailable, "The log is not available now.", details: ["retry_after_ms": "1000"])
    }

    /// Too much waits already.
    static var overloaded: RPCError {
        RPCError(.unavailable, "Too many messages are waiting to be stored.", details: ["retry_after_ms": "500"])
    }

    static var noConversation: RPCError { RPCError(.notFound, "There is no such conversation.") }
    static var notMember: RPCError { RPCError(.forbidden, "You are not a member of this conversation.") }
}

/// Runs database operations for a caller: their error becomes the caller's.
func answering<R>(_ body: () async throws -> R) async throws(RPCError) -> R {
    do {
        return try await body()
    } catch let error as PostgresError {
        throw RPCError(error)
    } catch {
        throw RPCError(.internalError, "The log could not be used.")
    }
}

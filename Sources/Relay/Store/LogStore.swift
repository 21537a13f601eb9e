package import Logging
package import Postgres
import Protocol
import SwiftProtobuf

/// The log in PostgreSQL: typed access to `LogStatements`. Errors are the driver's; callers decide what they mean.
///
/// Three pools, so that neither kind of work waits behind another: one connection that appends (one commit at a time is what
/// makes a group), one that moves cursors, and some that read.
package struct LogStore: Sendable {
    package let appends: PostgresPool
    package let cursors: PostgresPool
    package let reads: PostgresPool

    package init(dsn: String, readers: Int = 4, logger: Logger) {
        let dsn = Self.planned(dsn)
        func pool(_ connections: Int, _ name: String) -> PostgresPool {
            PostgresPool(
                configuration: PostgresConfiguration(
                    dsn: dsn, connections: connections, connectTimeout: .seconds(3), queryTimeout: .seconds(5),
                    backoffLimit: .milliseconds(500), applicationName: "roost-relay-\(name)"),
                logger: logger)
        }
        appends = pool(1, "append")
        cursors = pool(1, "cursors")
        reads = pool(readers, "read")
    }

    /// Works until the task is cancelled.
    package func run() async {
        await withTaskGroup { group in
            for pool in [appends, cursors, reads] { group.addTask { await pool.run() } }
        }
    }

    /// Answers when the log can be read.
    package func check() async throws(PostgresError) {
        _ = try await reads.query("SELECT FROM relay.conversations LIMIT 0", timeout: .seconds(1))
    }

    /// The connection string with the planner told what this schema is made for: every statement reaches its rows by
    /// nested loops over indexes. A plan made while the tables were empty then still holds when they are large, and
    /// prepared statements are planned once.
    static func planned(_ dsn: String) -> String {
        let settings = [
            "enable_seqscan=off", "enable_hashjoin=off", "enable_mergejoin=off", "jit=off",
            "plan_cache_mode=force_generic_plan",
        ]
        if dsn.hasPrefix("postgres://") || dsn.hasPrefix("postgresql://") {
            let options = settings.map { "-c%20" + $0.split(separator: "=").joined(separator: "%3D") }
            return dsn + (dsn.contains("?") ? "&" : "?") + "options=" + options.joined(separator: "%20")
        }
        return dsn + " options='" + settings.map { "-c " + $0 }.joined(separator: " ") + "'"
    }
}

/// `LogStatements.event`'s columns as a `LogEvent`.
enum EventColumns {
    static let count = 10

    /// - Parameter viewer: whose eyes it is for: a sender's own id of an event is told to the sender alone. nil: everyone's.
    static func event(_ row: PostgresRow, for viewer: UInt64?) throws(PostgresError) -> Protocol.LogEvent {
        var event = Protocol.LogEvent()
        event.conversation = UInt64(bitPattern: try row.int8(0))
        event.seq = UInt64(bitPattern: try row.int8(1))
        event.kind = LogEventKind(rawValue: Int(try row.int2(2))) ?? .unspecified
        event.sender = UInt64(bitPattern: try row.int8(3))
        event.sentAtMs = try row.timestampMilliseconds(4)
        if viewer == nil || viewer == event.sender { event.clientID = try row.optionalText(5) ?? "" }
        if let bytes = try row.optionalBytes(6) {
            do {
                event.body = try LogBody(serializedBytes: bytes)
            } catch {
                throw PostgresError(
                    .decoding, "the body of event \(event.seq) is not a roost.log.v1.Body",
                    attempted: "decode an event",
                    cause: error)
            }
        }
        event.target = UInt64(bitPattern: try row.optionalInt8(7) ?? 0)
        event.emoji = try row.optionalText(8) ?? ""
        event.removed = try row.bool(9)
        return event
    }
}

extension UInt64 {
    /// The value of PostgreSQL's signed column.
    init(column: Int64) { self = UInt64(bitPattern: column) }
    /// The value for PostgreSQL's signed column. What no log can hold becomes the largest that it can.
    var column: Int64 { Int64(clamping: self) }
}

import CLibPQ
import Glibc

/// A script or a COPY under way: what pipeline mode can't do. Advanced whenever something has arrived or can be sent.
struct ExclusiveWork {
    let id: UInt64
    var sql: String
    private let chunks: [[UInt8]]
    private var nextChunk = 0
    private enum Phase { case answers, sending, receiving }
    private var phase = Phase.answers
    private var received: [[UInt8]] = []
    private var affected = 0
    private(set) var error: PostgresError?
    /// libpq takes no more data until some was sent.
    private(set) var isBlocked = false

    init(_ id: UInt64, _ sql: String, chunks: [[UInt8]]) {
        self.id = id
        self.sql = sql
        self.chunks = chunks
    }

    var result: Result<Request.Reply, PostgresError> {
        error.map { .failure($0) } ?? .success(.copied(received, affected: affected))
    }

    /// Does what is possible without waiting; true when the server has answered everything.
    mutating func advance(_ connection: OpaquePointer, isAbandoned: Bool) -> Bool {
        while true {
            switch phase {
            case .answers:
                if PQisBusy(connection) != 0 { return false }
                guard let pointer = PQgetResult(connection) else { return true }
                take(pointer)
            case .sending:
                if !send(connection, isAbandoned: isAbandoned) { return false }
            case .receiving:
                if !receive(connection) { return false }
            }
        }
    }

    private mutating func take(_ pointer: OpaquePointer) {
        defer { PQclear(pointer) }
        switch PQresultStatus(pointer) {
        case PGRES_COPY_IN: phase = .sending
        case PGRES_COPY_OUT: phase = .receiving
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
            affected = PQcmdTuples(pointer).flatMap { Int(String(cString: $0)) } ?? affected
        case _:
            if error == nil { error = LibPQ.error(of: pointer, attempted: Statement(sql).summary) }
        }
    }

    /// False when libpq's buffer is full.
    private mutating func send(_ connection: OpaquePointer, isAbandoned: Bool) -> Bool {
        isBlocked = false
        while nextChunk < chunks.count, !isAbandoned {
            let outcome = chunks[nextChunk].withUnsafeBytes { bytes in
                PQputCopyData(
                    connection, bytes.bindMemory(to: CChar.self).baseAddress, Int32(bytes.count))
            }
            if outcome == 0 {
                isBlocked = true
                return false
            }
            if outcome < 0 { break }  // the results tell why
            nextChunk += 1
        }
        let outcome = PQputCopyEnd(connection, nextChunk < chunks.count ? "given up by the client" : nil)
        if outcome == 0 {
            isBlocked = true
            return false
        }
        phase = .answers
        return true
    }

    /// False when more has to arrive.
    private mutating func receive(_ connection: OpaquePointer) -> Bool {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(connection, &buffer, 1)
            if length == 0 { return false }
            if length < 0 {  // the end, or an error that the result tells
                phase = .answers
                return true
            }
            received.append([UInt8](UnsafeRawBufferPointer(start: buffer, count: Int(length))))
            PQfreemem(buffer)
        }
    }
}

import CLibPQ

/// The rows of one statement. They stay in libpq's memory, which the result owns; a column is decoded when it is asked for.
package struct PostgresResult: Sendable {
    let memory: ResultMemory
    /// Rows inserted, updated, deleted or selected; 0 for statements without such a count.
    package let affected: Int

    init(memory: ResultMemory) {
        self.memory = memory
        affected = PQcmdTuples(memory.pointer).flatMap { Int(String(cString: $0)) } ?? 0
    }

    /// The server's command tag, such as `INSERT 0 1`.
    var commandTag: String { PQcmdStatus(memory.pointer).map { String(cString: $0) } ?? "" }

    package var columns: [String] { (0..<memory.columnCount).map { memory.columnName($0) } }
    package var rows: PostgresRows { PostgresRows(memory: memory) }
}

/// A `PGresult`: once made it never changes, so any thread may read it.
final class ResultMemory: @unchecked Sendable {
    let pointer: OpaquePointer
    let rowCount: Int
    let columnCount: Int

    /// Takes over the result.
    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
        rowCount = Int(PQntuples(pointer))
        columnCount = Int(PQnfields(pointer))
    }

    deinit { PQclear(pointer) }

    func columnName(_ column: Int) -> String {
        PQfname(pointer, Int32(column)).map { String(cString: $0) } ?? "column \(column)"
    }
}

package struct PostgresRows: RandomAccessCollection, Sendable {
    let memory: ResultMemory

    package var startIndex: Int { 0 }
    package var endIndex: Int { memory.rowCount }

    package subscript(position: Int) -> PostgresRow {
        precondition(position >= 0 && position < memory.rowCount, "row \(position) of \(memory.rowCount)")
        return PostgresRow(memory: memory, row: Int32(position))
    }
}

/// One row. Columns count from 0; a wrong type or an unexpected NULL throws `PostgresError.Code.decoding` with the column's
/// name.
package struct PostgresRow: Sendable {
    let memory: ResultMemory
    let row: Int32

    package func isNull(_ column: Int) -> Bool {
        precondition(column >= 0 && column < memory.columnCount, "column \(column) of \(memory.columnCount)")
        return PQgetisnull(memory.pointer, row, Int32(column)) != 0
    }

    package func bool(_ column: Int) throws(PostgresError) -> Bool { try required(column, optionalBool(column)) }
    package func int2(_ column: Int) throws(PostgresError) -> Int16 { try narrow(column, "int2") }
    package func int4(_ column: Int) throws(PostgresError) -> Int32 { try narrow(column, "int4") }
    package func int8(_ column: Int) throws(PostgresError) -> Int64 { try required(column, optionalInt8(column)) }
    package func float8(_ column: Int) throws(PostgresError) -> Double { try required(column, optionalFloat8(column)) }
    package func text(_ column: Int) throws(PostgresError) -> String { try required(column, optionalText(column)) }
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] { try required(column, optionalBytes(column)) }
    package func timestampMilliseconds(_ column: Int) throws(PostgresError) -> Int64 {
        try required(column, optionalTimestampMilliseconds(column))
    }
    package func int8Array(_ column: Int) throws(PostgresError) -> [Int64?] {
        try required(column, optionalInt8Array(column))
    }
    package func textArray(_ column: Int) throws(PostgresError) -> [String?] {
        try required(column, optionalTextArray(column))
    }

    package func optionalBool(_ column: Int) throws(PostgresError) -> Bool? {
        guard let raw = raw(column) else { return nil }
        guard raw.type == TypeID.bool, raw.bytes.count == 1 else { throw mismatch(column, raw.type, "bool") }
        return raw.bytes[0] != 0
    }

    /// Accepts every integer type.
    package func optionalInt8(_ column: Int) throws(PostgresError) -> Int64? {
        guard let raw = raw(column) else { return nil }
        guard let value = Self.integer(raw.bytes, raw.type) else { throw mismatch(column, raw.type, "integer") }
        return value
    }

    package func optionalInt4(_ column: Int) throws(PostgresError) -> Int32? {
        isNull(column) ? nil : try int4(column)
    }

    package func optionalFloat8(_ column: Int) throws(PostgresError) -> Double? {
        guard let raw = raw(column) else { return nil }
        switch (raw.type, raw.bytes.count) {
        case (TypeID.float8, 8): return Double(bitPattern: raw.bytes.bigEndian(UInt64.self, at: 0))
        case (TypeID.float4, 4): return Double(Float(bitPattern: raw.bytes.bigEndian(UInt32.self, at: 0)))
        case (_, _): throw mismatch(column, raw.type, "float8")
        }
    }

    /// Accepts text, varchar, char, name, json, jsonb, uuid, enums and whatever else is text on the wire.
    package func optionalText(_ column: Int) throws(PostgresError) -> String? {
        guard let raw = raw(column) else { return nil }
        guard let text = Self.text(raw.bytes, raw.type) else { throw mismatch(column, raw.type, "text") }
        return text
    }

    /// Accepts `bytea`; of any other type, its binary form.
    package func optionalBytes(_ column: Int) throws(PostgresError) -> [UInt8]? {
        raw(column).map { [UInt8]($0.bytes) }
    }

    /// Unix milliseconds of a `timestamptz` or a `timestamp` in UTC.
    package func optionalTimestampMilliseconds(_ column: Int) throws(PostgresError) -> Int64? {
        guard let raw = raw(column) else { return nil }
        guard raw.type == TypeID.timestamptz || raw.type == TypeID.timestamp, raw.bytes.count == 8 else {
            throw mismatch(column, raw.type, "timestamptz")
        }
        return PostgresTime.milliseconds(wire: raw.bytes.bigEndian(Int64.self, at: 0))
    }

    /// Accepts a one-dimensional array of any integer type.
    package func optionalInt8Array(_ column: Int) throws(PostgresError) -> [Int64?]? {
        try array(column, "int8[]") { Self.integer($0, $1) }
    }

    /// Accepts a one-dimensional array of any type that `text` accepts.
    package func optionalTextArray(_ column: Int) throws(PostgresError) -> [String?]? {
        try array(column, "text[]") { Self.text($0, $1) }
    }

    package func bytesArray(_ column: Int) throws(PostgresError) -> [[UInt8]?] {
        try required(column, array(column, "bytea[]") { $1 == TypeID.bytea ? [UInt8]($0) : nil })
    }

    package func boolArray(_ column: Int) throws(PostgresError) -> [Bool?] {
        try required(column, array(column, "bool[]") { $1 == TypeID.bool && $0.count == 1 ? $0[0] != 0 : nil })
    }

    /// Unix milliseconds.
    package func timestampArray(_ column: Int) throws(PostgresError) -> [Int64?] {
        try required(
            column,
            array(column, "timestamptz[]") {
                $1 == TypeID.timestamptz && $0.count == 8
                    ? PostgresTime.milliseconds(wire: $0.bigEndian(Int64.self, at: 0)) : nil
            })
    }

    // MARK: Decoding

    private struct Raw {
        var bytes: UnsafeRawBufferPointer
        var type: UInt32
    }

    /// Valid while `memory` is, which this row holds.
    private func raw(_ column: Int) -> Raw? {
        if isNull(column) { return nil }
        let length = Int(PQgetlength(memory.pointer, row, Int32(column)))
        let start = UnsafeRawPointer(PQgetvalue(memory.pointer, row, Int32(column)))
        return Raw(
            bytes: UnsafeRawBufferPointer(start: start, count: length), type: PQftype(memory.pointer, Int32(column)))
    }

    private static func integer(_ bytes: UnsafeRawBufferPointer, _ type: UInt32) -> Int64? {
        switch (type, bytes.count) {
        case (TypeID.int8, 8), (TypeID.xid8, 8): bytes.bigEndian(Int64.self, at: 0)
        case (TypeID.int4, 4): Int64(bytes.bigEndian(Int32.self, at: 0))
        case (TypeID.int2, 2): Int64(bytes.bigEndian(Int16.self, at: 0))
        case (TypeID.oid, 4), (TypeID.xid, 4): Int64(bytes.bigEndian(UInt32.self, at: 0))
        case (_, _): nil
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer, _ type: UInt32) -> String? {
        switch type {
        case TypeID.bool, TypeID.bytea, TypeID.int8, TypeID.int2, TypeID.int4, TypeID.oid, TypeID.xid, TypeID.float4,
            TypeID.float8, TypeID.date, TypeID.timestamp, TypeID.timestamptz, TypeID.numeric, TypeID.xid8,
            TypeID.int8Array, TypeID.textArray:
            return nil
        case TypeID.jsonb:
            guard bytes.first == 1 else { return nil }
            return String(validating: bytes.dropFirst(), as: UTF8.self)
        case TypeID.uuid:
            guard bytes.count == 16 else { return nil }
            let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            return [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
        case _:
            return String(validating: bytes, as: UTF8.self)
        }
    }

    private func array<T>(
        _ column: Int, _ wanted: String, _ element: (UnsafeRawBufferPointer, UInt32) -> T?
    ) throws(PostgresError) -> [T?]? {
        guard let raw = raw(column) else { return nil }
        let bytes = raw.bytes
        guard bytes.count >= 12 else { throw mismatch(column, raw.type, wanted) }
        let dimensions = bytes.bigEndian(Int32.self, at: 0)
        let type = bytes.bigEndian(UInt32.self, at: 8)
        if dimensions == 0 { return [] }
        guard dimensions == 1, bytes.count >= 20 else { throw mismatch(column, raw.type, wanted) }
        let count = Int(bytes.bigEndian(Int32.self, at: 12))
        guard count >= 0, count <= (bytes.count - 20) / 4 else { throw mismatch(column, raw.type, wanted) }
        var values: [T?] = []
        values.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            guard bytes.count - offset >= 4 else { throw mismatch(column, raw.type, wanted) }
            let length = Int(bytes.bigEndian(Int32.self, at: offset))
            offset += 4
            if length < 0 {
                values.append(nil)
                continue
            }
            guard bytes.count - offset >= length,
                let value = element(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length]), type)
            else { throw mismatch(column, raw.type, wanted) }
            values.append(value)
            offset += length
        }
        return values
    }

    private func narrow<T: FixedWidthInteger>(_ column: Int, _ wanted: String) throws(PostgresError) -> T {
        let value = try int8(column)
        guard let narrow = T(exactly: value) else { throw decoding(column, "\(value) doesn't fit \(wanted)") }
        return narrow
    }

    private func required<T>(_ column: Int, _ value: T?) throws(PostgresError) -> T {
        guard let value else { throw decoding(column, "unexpected NULL") }
        return value
    }

    private func mismatch(_ column: Int, _ type: UInt32, _ wanted: String) -> PostgresError {
        decoding(column, "type \(type) isn't \(wanted)")
    }

    private func decoding(_ column: Int, _ message: String) -> PostgresError {
        PostgresError(
            .decoding, "column \(column) (\(memory.columnName(column))): \(message)", attempted: "decode row \(row)")
    }
}

extension UnsafeRawBufferPointer {
    /// The caller has checked the length.
    func bigEndian<T: FixedWidthInteger>(_ type: T.Type, at offset: Int) -> T {
        T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

/// A parameter of a statement; it states its type to the server, so that `$1` needs a cast only where SQL can't convert
/// (an enum from text, say).
package enum PostgresValue: Sendable {
    case null
    case bool(Bool)
    case int2(Int16)
    case int4(Int32)
    case int8(Int64)
    case float8(Double)
    case text(String)
    case bytes([UInt8])
    /// A `timestamptz` by Unix milliseconds.
    case timestamp(milliseconds: Int64)
    /// A `jsonb`.
    case json(String)
    case boolArray([Bool?])
    case int2Array([Int16?])
    case int4Array([Int32?])
    case int8Array([Int64?])
    /// The same on the wire as `int8Array`, for the many columns that have no nulls.
    case int8s([Int64])
    case textArray([String?])
    case bytesArray([[UInt8]?])
    /// `timestamptz[]` by Unix milliseconds.
    case timestampArray([Int64?])

    package static func optional(_ value: Int64?) -> PostgresValue { value.map { .int8($0) } ?? .null }
    package static func optional(_ value: String?) -> PostgresValue { value.map { .text($0) } ?? .null }
    package static func optional(_ value: [UInt8]?) -> PostgresValue { value.map { .bytes($0) } ?? .null }
    package static func optional(_ value: Bool?) -> PostgresValue { value.map { .bool($0) } ?? .null }
    package static func optionalTimestamp(milliseconds: Int64?) -> PostgresValue {
        milliseconds.map { .timestamp(milliseconds: $0) } ?? .null
    }

    /// The type's object id (pg_type.dat); 0 lets the server infer it.
    var typeID: UInt32 {
        switch self {
        case .null: 0
        case .bool: TypeID.bool
        case .int2: TypeID.int2
        case .int4: TypeID.int4
        case .int8: TypeID.int8
        case .float8: TypeID.float8
        case .text: TypeID.text
        case .bytes: TypeID.bytea
        case .timestamp: TypeID.timestamptz
        case .json: TypeID.jsonb
        case .boolArray: 1000
        case .int2Array: 1005
        case .int4Array: 1007
        case .int8Array, .int8s: TypeID.int8Array
        case .textArray: TypeID.textArray
        case .bytesArray: 1001
        case .timestampArray: 1185
        }
    }

    /// Appends the value's binary form; false if it is NULL.
    func encode(into buffer: inout [UInt8]) -> Bool {
        switch self {
        case .null: return false
        case .bool(let value): buffer.append(value ? 1 : 0)
        case .int2(let value): buffer.appendBigEndian(value)
        case .int4(let value): buffer.appendBigEndian(value)
        case .int8(let value): buffer.appendBigEndian(value)
        case .float8(let value): buffer.appendBigEndian(value.bitPattern)
        case .text(let value): buffer.append(contentsOf: value.utf8)
        case .bytes(let value): buffer.append(contentsOf: value)
        case .timestamp(let milliseconds): buffer.appendBigEndian(PostgresTime.wire(milliseconds: milliseconds))
        case .json(let value):
            buffer.append(1)  // the version of jsonb's binary form
            buffer.append(contentsOf: value.utf8)
        case .boolArray(let values):
            buffer.appendArray(values, of: TypeID.bool, width: 1) { $0.append($1 ? 1 : 0) }
        case .int2Array(let values):
            buffer.appendArray(values, of: TypeID.int2, width: 2) { $0.appendBigEndian($1) }
        case .int4Array(let values):
            buffer.appendArray(values, of: TypeID.int4, width: 4) { $0.appendBigEndian($1) }
        case .int8Array(let values):
            buffer.appendArray(values, of: TypeID.int8, width: 8) { $0.appendBigEndian($1) }
        case .int8s(let values):
            buffer.appendArrayHeader(count: values.count, of: TypeID.int8, hasNulls: false)
            buffer.reserveCapacity(buffer.count + values.count * 12)
            for value in values {
                buffer.appendBigEndian(Int32(8))
                buffer.appendBigEndian(value)
            }
        case .textArray(let values):
            buffer.appendArray(values, of: TypeID.text, width: nil) { $0.append(contentsOf: $1.utf8) }
        case .bytesArray(let values):
            buffer.appendArray(values, of: TypeID.bytea, width: nil) { $0.append(contentsOf: $1) }
        case .timestampArray(let values):
            buffer.appendArray(values, of: TypeID.timestamptz, width: 8) {
                $0.appendBigEndian(PostgresTime.wire(milliseconds: $1))
            }
        }
        return true
    }
}

/// Object ids of built-in types (src/include/catalog/pg_type.dat); they never change.
enum TypeID {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let char: UInt32 = 18
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let oid: UInt32 = 26
    static let xid: UInt32 = 28
    static let json: UInt32 = 114
    static let float4: UInt32 = 700
    static let float8: UInt32 = 701
    static let unknown: UInt32 = 705
    static let bpchar: UInt32 = 1042
    static let varchar: UInt32 = 1043
    static let date: UInt32 = 1082
    static let timestamp: UInt32 = 1114
    static let timestamptz: UInt32 = 1184
    static let numeric: UInt32 = 1700
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802
    static let xid8: UInt32 = 5069
    static let int8Array: UInt32 = 1016
    static let textArray: UInt32 = 1009
}

/// PostgreSQL counts microseconds from 2000-01-01 UTC.
enum PostgresTime {
    private static let epochMilliseconds: Int64 = 946_684_800_000

    /// Values outside of what the server can hold end up as ±infinity.
    static func wire(milliseconds: Int64) -> Int64 {
        let (shifted, underflow) = milliseconds.subtractingReportingOverflow(epochMilliseconds)
        let (product, overflow) = shifted.multipliedReportingOverflow(by: 1000)
        return underflow || overflow ? (milliseconds < 0 ? .min : .max) : product
    }

    /// Rounded down to the millisecond; the infinities stay the extremes.
    static func milliseconds(wire: Int64) -> Int64 {
        if wire == .max || wire == .min { return wire }
        return (wire >= 0 ? wire / 1000 : -((-wire + 999) / 1000)) + epochMilliseconds
    }
}

extension [UInt8] {
    mutating func appendBigEndian(_ value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }

    /// One dimension, lower bound 1 (src/backend/utils/adt/arrayfuncs.c, array_recv).
    mutating func appendArrayHeader(count: Int, of type: UInt32, hasNulls: Bool) {
        appendBigEndian(Int32(1))
        appendBigEndian(Int32(hasNulls ? 1 : 0))
        appendBigEndian(type)
        appendBigEndian(Int32(count))
        appendBigEndian(Int32(1))
    }

    mutating func appendArray<T>(
        _ values: [T?], of type: UInt32, width: Int?, _ append: (inout [UInt8], T) -> Void
    ) {
        appendArrayHeader(count: values.count, of: type, hasNulls: values.contains { $0 == nil })
        if let width { reserveCapacity(count + values.count * (4 + width)) }
        for value in values {
            guard let value else {
                appendBigEndian(Int32(-1))
                continue
            }
            let start = count
            appendBigEndian(Int32(0))
            append(&self, value)
            let length = UInt32(count - start - 4)
            for byte in 0..<4 { self[start + byte] = UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32(byte))) }
        }
    }
}

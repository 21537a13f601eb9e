/// Where the next byte goes, in memory that its maker knows to be large enough for all that is put there.
struct ByteCursor {
    private(set) var next: UnsafeMutablePointer<UInt8>

    init(_ start: UnsafeMutablePointer<UInt8>) { next = start }

    mutating func put(_ byte: UInt8) {
        next.initialize(to: byte)
        next += 1
    }

    mutating func put(_ text: StaticString) {
        next.initialize(from: text.utf8Start, count: text.utf8CodeUnitCount)
        next += text.utf8CodeUnitCount
    }

    mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        next.initialize(from: start, count: bytes.count)
        next += bytes.count
    }

    /// Two digits, of a value below 100.
    mutating func put(twoDigits value: Int64) {
        write(pair: UInt64(truncatingIfNeeded: value), at: next)
        next += 2
    }

    /// A number in decimal digits.
    mutating func put(decimal value: UInt64) {
        let end = next + Decimal.count(value)
        var at = end
        var rest = value
        while rest >= 100 {
            let (quotient, pair) = rest.quotientAndRemainder(dividingBy: 100)
            at -= 2
            write(pair: pair, at: at)
            rest = quotient
        }
        if rest >= 10 { write(pair: rest, at: at - 2) } else { (at - 1).initialize(to: 0x30 + UInt8(rest)) }
        next = end
    }

    private func write(pair: UInt64, at place: UnsafeMutablePointer<UInt8>) {
        let pairs: StaticString = """
            00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354\
            555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899
            """
        place.initialize(from: pairs.utf8Start + 2 * Int(pair), count: 2)
    }
}

/// Numbers in decimal digits.
enum Decimal {
    /// Digits of the largest number.
    static let digits = 20

    static func count(_ value: UInt64) -> Int {
        var count = 1
        var rest = value
        while rest >= 10_000 {
            rest /= 10_000
            count += 4
        }
        return rest >= 1000 ? count + 3 : rest >= 100 ? count + 2 : rest >= 10 ? count + 1 : count
    }
}

extension [UInt8] {
    /// Appends what `fill` puts at the cursor: at most `bound` bytes.
    @inline(__always)
    mutating func append(atMost bound: Int, _ fill: (inout ByteCursor) -> Void) {
        append(addingCapacity: bound) { (span: inout OutputSpan<UInt8>) in
            span.withUnsafeMutableBufferPointer { memory, count in
                guard let start = memory.baseAddress else { return }
                var cursor = ByteCursor(start + count)
                fill(&cursor)
                assert(cursor.next - start <= count + bound, "more was put than was said")
                count = cursor.next - start
            }
        }
    }
}

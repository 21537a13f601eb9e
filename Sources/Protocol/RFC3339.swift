/// Times as clients see them: RFC 3339, UTC, three digits of milliseconds (`2026-11-20T10:00:00.000Z`).
package enum RFC3339 {
    /// Milliseconds of 9999-12-31T23:59:59.999Z: the last time that has this form.
    fileprivate static let last: Int64 = 253_402_300_799_999
    /// Milliseconds of 0000-01-01T00:00:00.000Z: the first.
    fileprivate static let first: Int64 = -62_167_219_200_000

    /// Bytes of the text.
    static let bytes = 24

    /// The text for a time in Unix milliseconds; times outside the years 0 to 9999 become the nearest inside.
    package static func string(milliseconds: Int64) -> String {
        String(unsafeUninitializedCapacity: bytes) { memory in
            guard let start = memory.baseAddress else { return 0 }
            var cursor = ByteCursor(start)
            cursor.put(milliseconds: milliseconds)
            return bytes
        }
    }

    /// The time that a text of exactly this form stands for; nil for any other text.
    package static func milliseconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        let form = Array("0000-00-00T00:00:00.000Z".utf8)
        guard bytes.count == form.count else { return nil }
        for (byte, expected) in zip(bytes, form) {
            guard expected == 0x30 ? (0x30...0x39).contains(byte) : byte == expected else { return nil }
        }
        func number(_ range: Range<Int>) -> Int64 { bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) } }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 60 else { return nil }
        let days = dayNumber(year: year, month: month, day: day)
        guard date(day: days) == (year, month, day) else { return nil }  // the 30th of February
        return ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + number(20..<23)
    }

    /// Days since 1970-01-01 to year, month and day of the Gregorian calendar (Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms": years begin in March, so that the leap day is the last).
    fileprivate static func date(day: Int64) -> (Int64, Int64, Int64) {
        let shifted = day + 719_468
        let era = shifted.floored(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (
            yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        )
    }

    private static func dayNumber(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floored(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int64 {
    fileprivate func floored(by divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : (self + 1) / divisor - 1
    }
}

extension ByteCursor {
    /// The text for a time: `RFC3339.bytes`.
    mutating func put(milliseconds: Int64) {
        let time = min(max(milliseconds, RFC3339.first), RFC3339.last)
        let day = time.floored(by: 86_400_000)
        let (seconds, fraction) = (time - day * 86_400_000).quotientAndRemainder(dividingBy: 1000)
        let (minutes, second) = seconds.quotientAndRemainder(dividingBy: 60)
        let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
        let (year, month, dayOfMonth) = RFC3339.date(day: day)
        put(twoDigits: year / 100)
        put(twoDigits: year % 100)
        put(UInt8(ascii: "-"))
        put(twoDigits: month)
        put(UInt8(ascii: "-"))
        put(twoDigits: dayOfMonth)
        put(UInt8(ascii: "T"))
        put(twoDigits: hour)
        put(UInt8(ascii: ":"))
        put(twoDigits: minute)
        put(UInt8(ascii: ":"))
        put(twoDigits: second)
        put(UInt8(ascii: "."))
        put(UInt8(truncatingIfNeeded: 0x30 + fraction / 100))
        put(twoDigits: fraction % 100)
        put(UInt8(ascii: "Z"))
    }
}

import Testing

@testable import ServiceKit

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_795_255_200_123, "2026-11-21T10:00:00.123Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func writesAndReads(milliseconds: Int64, text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test func readsWhatRFC3339Allows() {
        let expected: Int64 = 1_795_255_200_500
        for text in [
            "2026-11-21T10:00:00.5Z", "2026-11-21t10:00:00.500z", "2026-11-21T12:30:00.500999+02:30",
            "2026-11-21T09:00:00.5-01:00",
        ] {
            #expect(Timestamp(text)?.milliseconds == expected, "\(text)")
        }
    }

    @Test(arguments: [
        "", "2026-11-21", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-11-21T24:00:00Z",
        "2026-11-21T10:00:00.Z", "2026-11-21T10:00:00", "2026-11-21T10:00:00Zx", "2026-11-21T10:00:00+2:00",
        "+026-11-21T10:00:00Z", "2026-11-21T10:00:61Z",
    ])
    func refuses(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func everyDayOfFourCenturies() {
        var previous = Timestamp(milliseconds: -62_135_596_800_000).description
        for day in stride(from: Int64(-719_162), to: -719_162 + 146_097, by: 1) {
            let time = Timestamp(milliseconds: day * 86_400_000)
            #expect(Timestamp(time.description) == time)
            if day > -719_162 { #expect(time.description > previous) }
            previous = time.description
        }
    }
}

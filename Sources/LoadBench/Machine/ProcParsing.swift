/// What the files of /proc say (proc(5)); nil where a text is not of that form.
package enum ProcParsing {
    package struct Stat: Equatable, Sendable {
        package var parent: Int32
        /// Clock ticks of the process itself, user and system.
        package var ticks: UInt64
        /// Clock ticks of children that ended and were waited for.
        package var reapedTicks: UInt64
    }

    /// `/proc/PID/stat`. The second field, the command, may hold spaces and parentheses.
    package static func stat(_ bytes: [UInt8]) -> Stat? {
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        // From the third field (state) on.
        let fields = bytes[bytes.index(after: end)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 14, let parent = number(fields[1]), let user = number(fields[11]),
            let system = number(fields[12]), let reapedUser = number(fields[13]), let reapedSystem = number(fields[14])
        else { return nil }
        return Stat(
            parent: Int32(truncatingIfNeeded: parent), ticks: user + system, reapedTicks: reapedUser + reapedSystem)
    }

    /// `/proc/PID/statm`: pages resident, and of them those that are anonymous.
    package static func statm(_ bytes: [UInt8]) -> (resident: UInt64, anonymous: UInt64)? {
        let fields = bytes.split(separator: UInt8(ascii: " "))
        guard fields.count >= 3, let resident = number(fields[1]), let shared = number(fields[2]) else { return nil }
        return (resident, resident > shared ? resident - shared : 0)
    }

    package struct Machine: Equatable, Sendable {
        /// Clock ticks of all cores.
        package var busy: UInt64
        package var idle: UInt64
        /// What the hypervisor gave to others.
        package var stolen: UInt64
    }

    /// `/proc/stat`, its first line.
    package static func machine(_ bytes: [UInt8]) -> Machine? {
        guard let line = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first else { return nil }
        let fields = line.split(separator: UInt8(ascii: " "))
        // cpu user nice system idle iowait irq softirq steal
        guard fields.count >= 9, fields[0].elementsEqual("cpu".utf8) else { return nil }
        let numbers = fields[1...8].compactMap(number)
        guard numbers.count == 8 else { return nil }
        return Machine(
            busy: numbers[0] + numbers[1] + numbers[2] + numbers[5] + numbers[6], idle: numbers[3] + numbers[4],
            stolen: numbers[7])
    }

    /// `/proc/PID/status`, a line like `RssAnon:  1234 kB`.
    package static func kibibytes(_ name: String, in status: [UInt8]) -> Int? {
        for line in status.split(separator: UInt8(ascii: "\n")) where line.starts(with: "\(name):".utf8) {
            return line.split(separator: UInt8(ascii: "\t")).last?
                .split(separator: UInt8(ascii: " ")).compactMap(number).first.map { Int($0) }
        }
        return nil
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            if digit == UInt8(ascii: "\n") { break }
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard !overflow else { return nil }
            value = product + UInt64(digit - 0x30)
        }
        return value
    }
}

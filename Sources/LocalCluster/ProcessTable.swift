import Foundation
import Glibc

/// The processes of this machine, as `/proc` has them.
enum ProcessTable {
    struct Entry: Equatable, Sendable {
        var pid: Int32
        /// `Z` is a process that has ended and not been waited for.
        var state: Character
        var group: Int32
        var session: Int32
        /// When it began, in clock ticks since the machine did: with the pid, a process' identity.
        var started: UInt64

        var isAlive: Bool { state != "Z" && state != "X" }
    }

    /// Nil: there is no such process.
    static func entry(_ pid: Int32) -> Entry? {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return nil }
        return parse(stat: text)
    }

    /// Reads a line of `/proc/PID/stat` (proc(5)); the program's name in it may hold blanks and parentheses.
    static func parse(stat text: String) -> Entry? {
        guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")"), open < close,
            let pid = Int32(text[..<open].trimmingCharacters(in: .whitespaces))
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        // Fields are counted from 1 in the manual; the first one here is the third.
        guard fields.count > 19, let state = fields[0].first, let group = Int32(fields[2]),
            let session = Int32(fields[3]), let started = UInt64(fields[19])
        else { return nil }
        return Entry(pid: pid, state: state, group: group, session: session, started: started)
    }

    static func all() -> [Entry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0).flatMap(entry) }
    }

    /// The folder a process works in, if we may know it.
    static func directory(_ pid: Int32) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
    }

    /// Whether a process was started with `name=value` in its environment, if we may know it.
    static func environment(of pid: Int32, has variable: String) -> Bool {
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/environ") else { return false }
        let wanted = Array(variable.utf8)
        return data.split(separator: 0).contains { $0.starts(with: wanted) }
    }

    /// What tells one start of the machine from the next.
    static let boot: String = {
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return text?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
    }()

    /// Whether our child has ended. It remains to be waited for.
    static func hasEnded(child pid: Int32) -> Bool {
        guard let entry = entry(pid) else { return true }
        return !entry.isAlive
    }
}

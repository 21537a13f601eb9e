import Foundation

/// What `cluster.json` says of a running cluster, as far as a benchmark needs it.
struct ClusterProcesses: Decodable, Sendable {
    struct Process: Decodable, Sendable {
        var name: String
        var role: String
        var pid: Int32
        var http: String?
    }

    var gateway: String
    var processes: [Process]

    /// Reads `cluster.json` of a data directory.
    static func read(dataDirectory: String) throws -> ClusterProcesses {
        let path = dataDirectory + "/cluster.json"
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BenchFailure("no \(path): start a cluster with `roost up --no-limits` first, or name its --data-dir")
        }
        return try JSONDecoder().decode(ClusterProcesses.self, from: data)
    }

    /// What every process has used so far, with its children (PostgreSQL forks).
    func usage() -> Usage {
        var usage = Usage()
        let children = Self.childrenByParent()
        for process in processes {
            var pids = [process.pid]
            var next = 0
            while next < pids.count {
                pids += children[pids[next]] ?? []
                next += 1
            }
            for pid in pids {
                usage.cpuSeconds[process.role, default: 0] += Self.cpuSeconds(pid)
                usage.anonymousKiB[process.name, default: 0] += Self.anonymousKiB(pid)
            }
        }
        return usage
    }

    struct Usage: Sendable {
        /// User and system time by role.
        var cpuSeconds: [String: Double] = [:]
        /// RssAnon by process name.
        var anonymousKiB: [String: Int] = [:]

        func cpuSeconds(since earlier: Usage) -> [String: Double] {
            cpuSeconds.merging(earlier.cpuSeconds) { $0 - $1 }
        }
    }

    private static func childrenByParent() -> [Int32: [Int32]] {
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        var children: [Int32: [Int32]] = [:]
        for entry in entries {
            guard let pid = Int32(entry), let fields = statFields(pid), let parent = Int32(fields[1]) else { continue }
            children[parent, default: []].append(pid)
        }
        return children
    }

    /// The fields of /proc/PID/stat from the third (state) on: the second, the command, may hold anything.
    private static func statFields(_ pid: Int32) -> [Substring]? {
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 13 ? fields : nil
    }

    static func cpuSeconds(_ pid: Int32) -> Double {
        guard let fields = statFields(pid), let user = Double(fields[11]), let system = Double(fields[12]) else {
            return 0
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func anonymousKiB(_ pid: Int32) -> Int {
        guard let data = FileManager.default.contents(atPath: "/proc/\(pid)/status") else { return 0 }
        let line = String(decoding: data, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        return line.flatMap { Int($0.split(whereSeparator: { !$0.isNumber }).first ?? "") } ?? 0
    }
}

struct BenchFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

import Glibc

/// Writes the Prometheus text format, version 0.0.4.
struct PrometheusText {
    private(set) var string = ""

    mutating func family(_ name: String, help: String, kind: MetricsRegistry.Kind) {
        string += "# HELP \(name) "
        for scalar in help.unicodeScalars {
            switch scalar {
            case "\\": string += "\\\\"
            case "\n": string += "\\n"
            default: string.unicodeScalars.append(scalar)
            }
        }
        string += "\n# TYPE \(name) \(kind.rawValue)\n"
    }

    mutating func sample(_ name: String, _ labels: [MetricsRegistry.SeriesKey.Label], _ value: Double) {
        string += name
        if !labels.isEmpty {
            string += "{"
            for (index, label) in labels.enumerated() {
                if index > 0 { string += "," }
                string += "\(label.name)=\""
                for scalar in label.value.unicodeScalars {
                    switch scalar {
                    case "\\": string += "\\\\"
                    case "\"": string += "\\\""
                    case "\n": string += "\\n"
                    default: string.unicodeScalars.append(scalar)
                    }
                }
                string += "\""
            }
            string += "}"
        }
        string += " \(Self.number(value))\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }
}

/// Names as Prometheus allows them.
enum MetricName {
    static func metric(_ name: String) -> String { clean(name) { $0 == ":" } }
    static func label(_ name: String) -> String { clean(name) { _ in false } }

    /// A HELP text for a family that no one described.
    static func words(_ name: String) -> String { name.replacing("_", with: " ") + "." }

    private static func clean(_ name: String, also: (Unicode.Scalar) -> Bool) -> String {
        var result = ""
        for scalar in name.unicodeScalars {
            let letter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_" || also(scalar)
            let digit = ("0"..."9").contains(scalar) && !result.isEmpty
            result.unicodeScalars.append(letter || digit ? scalar : "_")
        }
        return result.isEmpty ? "_" : result
    }
}

/// What the kernel knows of this process, under the names that every Prometheus client uses.
enum ProcessMetrics {
    static func render(into text: inout PrometheusText) {
        if let statistics = read() {
            gauge("process_resident_memory_bytes", "Resident memory.", Double(statistics.residentBytes), &text)
            gauge("process_virtual_memory_bytes", "Virtual memory.", Double(statistics.virtualBytes), &text)
            gauge(
                "process_start_time_seconds", "When the process started, Unix seconds.", statistics.startTime, &text)
            text.family("process_cpu_seconds_total", help: "Processor time, user and system.", kind: .counter)
            text.sample("process_cpu_seconds_total", [], statistics.cpuSeconds)
        }
        if let count = openDescriptors() { gauge("process_open_fds", "Open file descriptors.", Double(count), &text) }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            gauge("process_max_fds", "File descriptors allowed.", Double(limit.rlim_cur), &text)
        }
    }

    private static func gauge(_ name: String, _ help: String, _ value: Double, _ text: inout PrometheusText) {
        text.family(name, help: help, kind: .gauge)
        text.sample(name, [], value)
    }

    private struct Statistics {
        var residentBytes: Int
        var virtualBytes: Int
        var cpuSeconds: Double
        var startTime: Double
    }

    /// proc(5): `/proc/self/stat` after the command name, which may hold anything.
    private static func read() -> Statistics? {
        guard let stat = contents("/proc/self/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let page = sysconf(Int32(_SC_PAGESIZE))
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let started = Double(fields[19]), let virtual = Int(fields[20]), let resident = Int(fields[21]),
            let boot = contents("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") }),
            let bootTime = Double(boot.dropFirst(6))
        else { return nil }
        return Statistics(
            residentBytes: resident * page, virtualBytes: virtual, cpuSeconds: (user + system) / ticks,
            startTime: bootTime + started / ticks)
    }

    private static func openDescriptors() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Not `.`, `..` and the directory itself.
        return max(0, count - 3)
    }

    private static func contents(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[0..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

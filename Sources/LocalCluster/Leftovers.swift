import Glibc

/// Ends what a cluster left behind that was itself killed. Never a process that it didn't start.
struct Leftovers: Sendable {
    let directory: DataDirectory
    /// Only those of that run; nil: of every run.
    var run: String?

    /// The processes that are left, each with the signal that asks it to end in good order.
    func find() -> [(entry: ProcessTable.Entry, name: String, signal: Int32)] {
        let entries = ProcessTable.all()
        var found: [Int32: (ProcessTable.Entry, String, Int32)] = [:]
        // What was spawned but not yet recorded has the mark in its environment. (Servers that show a title in `ps`
        // overwrite theirs, but those have been recorded by then.)
        let mark = Self.mark(cluster: directory.secrets.cluster, run: run)
        for entry in entries where entry.isAlive && entry.pid != getpid() {
            if ProcessTable.environment(of: entry.pid, has: mark), isHere(ProcessTable.directory(entry.pid)) {
                found[entry.pid] = (entry, "process \(entry.pid)", SIGTERM)
            }
        }
        for record in records {
            let survivors = record.survivors(
                among: entries, boot: ProcessTable.boot, directoryOf: ProcessTable.directory)
            for entry in survivors where entry.pid != getpid() {
                // What a dead server's helpers do is of no use to anyone.
                found[entry.pid] = (entry, record.name, entry.pid == record.pid ? record.stopSignal : SIGKILL)
            }
        }
        return found.values.sorted { $0.0.pid < $1.0.pid }
    }

    private var records: [ProcessRecord] {
        ProcessRecord.readAll(from: directory.records).filter { (run == nil || $0.run == run) && isHere($0.directory) }
    }

    /// Whether a process works in this folder: a copy of a data directory has the mark and the records of the cluster that
    /// it was copied from, which may be running.
    private func isHere(_ place: String?) -> Bool {
        guard let place, let own = realpath(directory.path, nil) else { return false }
        defer { free(own) }
        return place.hasPrefix(String(cString: own) + "/") || place.hasPrefix(directory.path + "/")
    }

    /// Asks them to end, kills those that don't within `patience`, and forgets them. Returns how many there were.
    func end(patience: Duration = .seconds(5)) async -> Int {
        let first = find()
        for (entry, _, signal) in first {
            kill(entry.pid, SIGCONT)
            kill(entry.pid, signal)
        }
        let clock = ContinuousClock()
        let deadline = clock.now + patience
        var rest = first.isEmpty ? [] : find()
        while !rest.isEmpty, clock.now < deadline + .seconds(2) {
            if clock.now >= deadline {
                for (entry, _, _) in rest { kill(entry.pid, SIGKILL) }
            }
            try? await Task.sleep(for: .milliseconds(50))
            rest = find()
        }
        for record in records { ProcessRecord.remove(name: record.name, from: directory.records) }
        return first.count
    }

    /// The environment variable that every process of a cluster is started with.
    static let variable = "ROOST_CLUSTER"

    static func mark(cluster: String, run: String?) -> String {
        "\(variable)=\(cluster)/\(run ?? "")"
    }
}

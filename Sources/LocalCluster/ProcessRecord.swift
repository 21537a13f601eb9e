import Foundation
import Glibc

/// What is written down of each process that a cluster starts, so that whoever comes after a `kill -9` can find it
/// again and be sure that it is the same one.
struct ProcessRecord: Codable, Equatable, Sendable {
    var name: String
    /// The process, which also leads a session and a group of this number.
    var pid: Int32
    /// `ProcessTable.Entry.started`.
    var started: UInt64
    /// `ProcessTable.boot`.
    var boot: String
    /// Which run of the cluster started it.
    var run: String
    /// The signal that asks it to end in good order.
    var stopSignal: Int32
    /// The folder it works in.
    var directory: String

    func write(to folder: String) throws {
        try AtomicFile.write(JSONEncoder().encode(self), to: "\(folder)/\(name).json")
    }

    static func remove(name: String, from folder: String) {
        unlink("\(folder)/\(name).json")
    }

    static func readAll(from folder: String) -> [ProcessRecord] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasSuffix(".json") }.compactMap { name in
            FileManager.default.contents(atPath: "\(folder)/\(name)")
                .flatMap { try? JSONDecoder().decode(ProcessRecord.self, from: $0) }
        }
    }

    /// Of the processes that exist, those that are this one or descend from it. Never one that isn't: the process itself
    /// has this start time, and what it left behind is still in its group and works in its folder.
    func survivors(
        among entries: [ProcessTable.Entry], boot: String, directoryOf: (Int32) -> String?
    ) -> [ProcessTable.Entry] {
        guard boot == self.boot else { return [] }
        return entries.filter { entry in
            guard entry.isAlive else { return false }
            if entry.pid == pid { return entry.started == started }
            guard entry.group == pid || entry.session == pid, entry.started >= started else { return false }
            guard let place = directoryOf(entry.pid) else { return false }
            return place == directory || place.hasPrefix(directory + "/")
        }
    }
}

/// Files that are there whole or not at all.
enum AtomicFile {
    /// Replaces a file; readers see the old or the new one. Only this user may read it.
    static func write(_ data: Data, to path: String, mode: mode_t = 0o600) throws {
        let temporary = "\(path).\(UInt32.random(in: 0...UInt32.max)).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw LocalClusterError(.dataDirectory, "cannot write \(temporary): \(String(cString: strerror(errno)))")
        }
        var rest = data[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            rest = rest.dropFirst(count)
        }
        let complete = rest.isEmpty && close(descriptor) == 0
        guard complete, rename(temporary, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(temporary)
            throw LocalClusterError(.dataDirectory, "cannot write \(path): \(reason)")
        }
    }
}

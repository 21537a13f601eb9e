import Glibc
import NIOConcurrencyHelpers

/// What `/proc` says.
package enum Processes {
    /// `root` and all below it, ancestors first.
    package static func descendants(of root: Int32) -> [Int32] {
        var children: [pid_t: [pid_t]] = [:]
        for (process, parent) in table() { children[parent, default: []].append(process) }
        var found = [root]
        var index = 0
        while index < found.count {
            found += children[found[index]] ?? []
            index += 1
        }
        return found
    }

    private static func table() -> [(process: pid_t, parent: pid_t)] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var rows: [(pid_t, pid_t)] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let process = pid_t(name), let stat = readFile("/proc/\(name)/stat"),
                // The name in parentheses may contain anything; the state and the parent follow it.
                let end = stat.lastIndex(of: ")")
            else { continue }
            let fields = stat[end...].split(separator: " ")
            if fields.count > 2, let parent = pid_t(fields[2]) { rows.append((process, parent)) }
        }
        return rows
    }

    /// A small file's text; nil if it can't be read.
    package static func readFile(_ path: String) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count <= 0 { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Folders, ports and helper programs for servers.
package enum TestEnvironment {
    static let spawning = NIOLock()

    /// A new folder below /tmp that everyone may enter.
    package static func makeTemporaryDirectory(_ prefix: String) throws(TestServerError) -> String {
        var template = Array("/tmp/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestServerError("no temporary directory: errno \(errno)") }
        let path = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
        chmod(path, 0o755)
        return path
    }

    package static func removeDirectory(_ path: String) {
        guard path.hasPrefix("/tmp/") else { return }
        _ = run(["rm", "-rf", path])
    }

    /// A TCP port that is free now, and below those that the kernel gives to outgoing connections (from 32768 on): one of
    /// them could take it before a server does, or while the server is down.
    package static func freePort() throws(TestServerError) -> Int {
        for _ in 0..<100 {
            let port = UInt16.random(in: 10_000..<32_000)
            if try isFree(port) { return Int(port) }
        }
        throw TestServerError("no free port below 32000")
    }

    private static func isFree(_ port: UInt16) throws(TestServerError) -> Bool {
        // A server that is being spawned just now must not inherit it, and keep the port.
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw TestServerError("no socket: errno \(errno)") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = port.bigEndian
        let length = socklen_t(MemoryLayout<sockaddr_in>.size)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
        }
    }

    /// Runs a short program to its end; its exit status.
    @discardableResult
    package static func run(_ arguments: [String], output: String = "/dev/null") -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        defer { for word in argv { free(word) } }
        argv.append(nil)
        var process = pid_t()
        guard spawning.withLock({ posix_spawnp(&process, arguments[0], &actions, nil, &argv, environ) }) == 0 else {
            return 127
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
    }
}

import FoundationEssentials
import Glibc

/// Where Roost's files are that aren't code.
package enum ShareFolder {
    /// The folder of the migrations: below the configured share folder, or the first `infra/migrations` found upward
    /// from the executable and from the working directory.
    package static func migrations(configured: String?) -> String {
        if let configured { return configured + "/infra/migrations" }
        return find("infra/migrations") ?? "infra/migrations"
    }

    /// The first folder or file of that relative path, upward from the executable and from the working directory.
    package static func find(_ relative: String) -> String? {
        for start in [executableFolder(), FileManager.default.currentDirectoryPath].compactMap({ $0 }) {
            var folder = start
            while true {
                let candidate = folder == "/" ? "/\(relative)" : "\(folder)/\(relative)"
                if FileManager.default.fileExists(atPath: candidate) { return candidate }
                guard let slash = folder.lastIndex(of: "/"), folder != "/" else { break }
                folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
            }
        }
        return nil
    }

    private static func executableFolder() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        }
        guard count > 0 else { return nil }
        let path = String(decoding: buffer[0..<count], as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) }
    }
}

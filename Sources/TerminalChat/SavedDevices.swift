import Foundation
import Glibc

/// Which device this machine is for each user of each server, so that it stays the same one: a file that only its owner may
/// read.
package struct SavedDevices: Sendable {
    private let path: String

    /// - Parameter folder: for example `~/.config/roost`; made where it is missing.
    package init(folder: String) { path = folder + "/devices.json" }

    package func device(of username: String, at server: String) -> String? { load()["\(server) \(username)"] }

    package func save(_ device: String, of username: String, at server: String) throws {
        var devices = load()
        guard devices.updateValue(device, forKey: "\(server) \(username)") != device else { return }
        let folder = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let data = try JSONSerialization.data(
            withJSONObject: devices, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
        // Another file first, with its mode from the start: nobody sees half of it, nor reads it.
        let new = "\(path).\(getpid())"
        let file = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        let count = data.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
        close(file)
        guard count == data.count, rename(new, path) == 0 else {
            throw CocoaError(.fileWriteUnknown, userInfo: [NSFilePathErrorKey: path])
        }
    }

    private func load() -> [String: String] {
        guard let data = FileManager.default.contents(atPath: path) else { return [:] }
        return (try? JSONDecoder().decode([String: String].self, from: data)) ?? [:]
    }
}

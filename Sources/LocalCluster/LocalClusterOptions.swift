import Foundation
import Glibc

/// What a local cluster is made of.
package struct LocalClusterOptions: Sendable {
    /// The `roost` program that every role and the guard run.
    package var executable: String
    /// Where everything is kept.
    package var dataDirectory = ".roost"
    /// The gateway's port; 0 picks a free one.
    package var port = 8080
    /// The addresses that the gateway listens on; those that this machine lacks are left out.
    package var addresses = ["127.0.0.1", "::1"]
    /// Chat nodes connect clients themselves, without the gateway.
    package var direct = false
    /// Rate limits.
    package var limits = true
    /// A configuration file for the roles.
    package var configuration: String?
    /// Start again what dies.
    package var restarts = true
    /// Roost's processes.
    package var roles = RoleEntry.standard(chatNodes: 3)
    /// Start nginx.
    package var gateway = true
    /// Set in every role's environment on top of what the cluster sets.
    package var environment: [String: String] = [:]
    /// The folder with `infra/` and the pages; nil: found upward of the program and of the working directory.
    package var share: String?
    /// How long a part may take to get ready at the start.
    package var patience: Duration = .seconds(60)
    /// Remove the data directory after the cluster has stopped, however that comes about: for tests.
    package var deletesData = false

    package init(executable: String) {
        self.executable = executable
    }

    /// The folder that holds what belongs to Roost beside the program.
    func findShare() throws -> String {
        let mark = "infra/nginx/nginx.conf.template"
        var starts = [executable, FileManager.default.currentDirectoryPath + "/x"]
        if let share { starts = [share + "/x"] }
        for start in starts {
            var folder = URL(fileURLWithPath: start).standardizedFileURL.deletingLastPathComponent()
            while true {
                let path = DataDirectory.absolute(folder.path(percentEncoded: false))
                if access("\(path)/\(mark)", R_OK) == 0 { return path }
                if path == "/" { break }
                folder.deleteLastPathComponent()
            }
        }
        throw LocalClusterError(
            .configuration, "cannot find \(mark) above \(executable) or here: set ROOST_SHARE to Roost's folder")
    }
}

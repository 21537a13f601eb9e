import Foundation
import Glibc

/// Renders `infra/nginx/nginx.conf.template`.
package struct GatewayConfiguration: Sendable, Equatable {
    /// What nginx listens on: `127.0.0.1:8080`, `[::1]:8080`.
    package var listen: [String]
    /// The folder with the pages.
    package var pages: String
    /// Discovery's HTTP addresses.
    package var discovery: [String]
    package var workers = 2
    /// File descriptors that each worker may use.
    package var files = 20_000
    /// The user that workers run as when nginx is started by root.
    package var user = "root"
    /// Pages may connect to any host by WebSocket: needed where nodes are reached directly.
    package var direct = false

    package init(listen: [String], pages: String, discovery: [String]) {
        self.listen = listen
        self.pages = pages
        self.discovery = discovery
    }

    /// Every placeholder of the template and what takes its place.
    var values: [String: String] {
        [
            "@@user@@": user,
            "@@workers@@": "\(workers)",
            "@@files@@": "\(files)",
            // A few descriptors are for the listening sockets and files.
            "@@connections@@": "\(max(files - 100, 100))",
            "@@discovery@@": discovery.map { "server \($0) max_fails=0;" }.joined(separator: " "),
            // Each worker has its own queue of new connections, so that they spread evenly.
            "@@listen@@": listen.map { "listen \($0) reuseport backlog=4096;" }.joined(separator: " "),
            "@@pages@@": pages,
            "@@connect@@": direct ? "'self' ws: wss:" : "'self'",
        ]
    }

    /// - Throws: When the template has a placeholder without a value, or lacks one.
    package func render(_ template: String) throws(LocalClusterError) -> String {
        for value in values.values where value.contains(where: { $0 == "\"" || $0 == "\n" || $0 == "$" }) {
            throw LocalClusterError(
                .configuration, "nginx can't be told of \(value): it holds one of \" $ or a line feed")
        }
        var text = template
        for (placeholder, value) in values {
            guard text.contains(placeholder) else {
                throw LocalClusterError(.configuration, "the gateway's template lacks \(placeholder)")
            }
            text = text.replacingOccurrences(of: placeholder, with: value)
        }
        if let unknown = text.firstRange(of: "@@") {
            throw LocalClusterError(
                .configuration,
                "the gateway's template has an unknown placeholder: \(text[unknown.lowerBound...].prefix(20))"
            )
        }
        return text
    }

    /// File descriptors that a process may have at most on this machine, as far as nginx has use for them.
    static func mostFiles() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(min(limit.rlim_max, 200_000))
    }
}

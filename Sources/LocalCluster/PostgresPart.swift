import Foundation
import Glibc
import Subprocess
import SystemPackage

/// A private PostgreSQL on loopback, with durable commits. It refuses to run as root: then it runs as user `postgres`.
struct PostgresPart: Sendable {
    let data: DataDirectory
    let programs: Programs
    let port: Int

    static let user = "roost"
    static let database = "roost"

    private var directory: String { data.state(of: "postgres") }
    private var cluster: String { "\(directory)/data" }

    /// A connection URL for libpq.
    var dsn: String {
        "postgresql://\(Self.user):\(data.secrets.postgres)@127.0.0.1:\(port)/\(Self.database)"
    }

    func definition() throws -> PartDefinition {
        let account = try account()
        var command = account.prefix + ["\(programs.postgres)/postgres", "-D", cluster]
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) { command += ["-c", "\(name)=\(value)"] }
        let address = "127.0.0.1:\(port)"
        return PartDefinition(
            name: "postgres", role: "postgres", command: command, environment: ["LC_ALL": "C.UTF-8"],
            directory: directory,
            // Fast shutdown: transactions are aborted, all is written, no recovery is needed.
            stopSignal: SIGINT, stopPatience: .seconds(20), probe: .postgres(address: address), http: address,
            prepare: { try await prepare(account) })
    }

    var settings: [String: String] {
        [
            "listen_addresses": "127.0.0.1", "port": "\(port)",
            // A path that is too long for a socket's address would keep the server from starting.
            "unix_socket_directories": directory.utf8.count < 80 ? directory : "",
            "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
            "max_connections": "200", "shared_buffers": "128MB", "max_wal_size": "2GB", "jit": "off",
            "log_min_messages": "warning", "log_line_prefix": "%m [%p] ", "log_destination": "stderr",
            "logging_collector": "off", "password_encryption": "scram-sha-256", "timezone": "UTC",
            "track_commit_timestamp": "off", "wal_level": "replica",
        ]
    }

    /// Whom it runs as.
    private struct Account: Sendable {
        /// Owner of the files; nil: this process' user.
        var owner: (user: uid_t, group: gid_t)?
        /// What comes before the program in a command.
        var prefix: [String] = []
    }

    private func account() throws -> Account {
        guard let setpriv = programs.setpriv else { return Account() }
        guard let entry = getpwnam("postgres") else {
            throw LocalClusterError(
                .programMissing,
                "PostgreSQL doesn't run as root, and there is no user postgres: run `make setup`, or `apt-get install postgresql`"
            )
        }
        let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        var prefix = [setpriv, "--reuid", "\(user)", "--regid", "\(group)", "--clear-groups"]
        if !isReachable(by: user, group) {
            // A folder above, such as /root, is closed to others. Only the right to pass it is kept.
            prefix += ["--inh-caps", "-all,+dac_override", "--ambient-caps", "-all,+dac_override"]
        }
        return Account(owner: (user, group), prefix: prefix)
    }

    /// Whether a user may pass every folder on the way to the data.
    private func isReachable(by user: uid_t, _ group: gid_t) -> Bool {
        var path = data.path
        while true {
            var info = stat()
            guard stat(path, &info) == 0 else { return false }
            let mask: mode_t = info.st_uid == user ? 0o100 : info.st_gid == group ? 0o010 : 0o001
            if info.st_mode & mask == 0 { return false }
            if path == "/" { return true }
            path = URL(fileURLWithPath: path).deletingLastPathComponent().path(percentEncoded: false)
            if path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        }
    }

    /// Makes the database cluster if there is none. One that was begun and not finished is thrown away.
    private func prepare(_ account: Account) async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if let owner = account.owner { chown(directory, owner.user, owner.group) }
        chmod(directory, 0o700)

        if let version = try? readFile("\(cluster)/PG_VERSION").trimmingCharacters(in: .whitespacesAndNewlines) {
            let program = try await output(account, ["postgres", "--version"])
            let number = program.split(separator: " ").first { $0.first?.isNumber == true } ?? ""
            guard number.split(separator: ".").first.map(String.init) == version else {
                throw LocalClusterError(
                    .configuration,
                    "\(cluster) was made by PostgreSQL \(version) and this is \(number): upgrade it with pg_upgradecluster, or choose another --data-dir"
                )
            }
            return
        }
        let fresh = "\(directory)/fresh"
        try? FileManager.default.removeItem(atPath: fresh)
        let passwordFile = "\(directory)/password"
        try AtomicFile.write(Data("\(data.secrets.postgres)\n".utf8), to: passwordFile)
        if let owner = account.owner { chown(passwordFile, owner.user, owner.group) }
        defer { unlink(passwordFile) }
        _ = try await output(
            account,
            [
                "initdb", "-D", fresh, "-U", Self.user, "--pwfile", passwordFile, "--auth", "scram-sha-256",
                "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync",
            ])
        _ = try await output(
            account, ["postgres", "--single", "-D", fresh, "postgres"], input: "CREATE DATABASE \(Self.database)\n")
        // What initdb left unsynced is on disk before the folder gets its name.
        sync()
        guard rename(fresh, cluster) == 0 else {
            throw LocalClusterError(.dataDirectory, "cannot rename \(fresh): \(String(cString: strerror(errno)))")
        }
    }

    /// Runs one of PostgreSQL's programs; throws with what it said when it fails.
    private func output(_ account: Account, _ command: [String], input: String = "") async throws -> String {
        let words = account.prefix + ["\(programs.postgres)/\(command[0])"] + command.dropFirst()
        let outcome = try await Subprocess.run(
            .path(FilePath(words[0])), arguments: Arguments(Array(words.dropFirst())),
            environment: .inherit.updating(["LC_ALL": "C.UTF-8"]), workingDirectory: FilePath(directory),
            input: .string(input), output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        guard outcome.terminationStatus.isSuccess else {
            let said = (outcome.standardError + outcome.standardOutput)
                .split(separator: "\n").suffix(3).joined(separator: "; ")
            throw LocalClusterError(.partFailed, "\(command[0]) failed: \(said)")
        }
        return outcome.standardOutput
    }
}

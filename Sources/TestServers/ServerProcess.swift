import Glibc
import NIOConcurrencyHelpers

/// A server started for tests. It runs under a small shell that kills it when this process ends, however that happens: the
/// shell reads from a pipe that only this process holds open.
package final class ServerProcess: Sendable {
    private struct State {
        var shell: pid_t
        var pipe: Int32
    }

    private let state: NIOLockedValueBox<State>

    /// - Parameters:
    ///   - arguments: the program, found by PATH, and its arguments.
    ///   - output: a file that gets its stdout and stderr, appended.
    package init(_ arguments: [String], output: String) throws(TestServerError) {
        let script = """
            "$@" </dev/null & server=$!
            trap '' INT
            read -r line
            kill -9 $server 2>/dev/null
            wait $server 2>/dev/null
            """
        var ends: [Int32] = [0, 0]
        // No other child may inherit the pipe before it is marked.
        TestEnvironment.spawning.lock()
        defer { TestEnvironment.spawning.unlock() }
        guard pipe(&ends) == 0 else { throw TestServerError("no pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends[0], 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        let words = ["sh", "-c", script, "sh"] + arguments
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        defer { for word in argv { free(word) } }
        argv.append(nil)
        var shell = pid_t()
        let code = posix_spawnp(&shell, "/bin/sh", &actions, &attributes, &argv, environ)
        close(ends[0])
        guard code == 0 else {
            close(ends[1])
            throw TestServerError("can't start \(arguments.first ?? ""): \(String(cString: strerror(code)))")
        }
        state = NIOLockedValueBox(State(shell: shell, pipe: ends[1]))
    }

    deinit { state.withLockedValue { if $0.pipe >= 0 { close($0.pipe) } } }

    /// The server and its descendants, ancestors first. Empty when it has ended.
    package var processes: [Int32] {
        let shell = state.withLockedValue { $0.shell }
        guard shell > 0 else { return [] }
        return Array(Processes.descendants(of: shell).dropFirst())
    }

    package func signal(_ signal: Int32) {
        for process in processes { _ = Glibc.kill(process, signal) }
    }

    /// Kills what is left and waits for the end.
    package func end() async {
        signal(SIGKILL)
        let shell = state.withLockedValue { state -> pid_t in
            if state.pipe >= 0 { close(state.pipe) }
            state.pipe = -1
            defer { state.shell = 0 }
            return state.shell
        }
        guard shell > 0 else { return }
        var status: Int32 = 0
        for _ in 0..<1000 {
            if waitpid(shell, &status, WNOHANG) != 0 { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

package struct TestServerError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

import Foundation
import Glibc

/// Standard input and output: a terminal, or pipes.
package struct Terminal: Sendable {
    /// Whether both are a terminal.
    package let isInteractive: Bool
    private let original: termios

    package init() {
        var attributes = termios()
        isInteractive = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
        if isatty(STDIN_FILENO) == 1 { tcgetattr(STDIN_FILENO, &attributes) }
        original = attributes
    }

    /// Columns; 80 where that is unknown.
    package var width: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Keys come one by one and are not shown; pasted text is told from typed.
    package func enterRaw() {
        guard isInteractive else { return }
        var raw = original
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
        raw.c_iflag &= ~tcflag_t(ICRNL | IXON)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)
        write("\u{1B}[?2004h")
    }

    package func restore() {
        guard isInteractive else { return }
        write("\u{1B}[?2004l")
        var attributes = original
        tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes)
    }

    /// Writes all of it. Where nobody reads any more there is nobody to tell.
    package func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            var bytes = UnsafeRawBufferPointer(bytes)
            while !bytes.isEmpty {
                let count = Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0 else { return }
                bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
            }
        }
    }

    /// What comes on standard input, until its end.
    package func input() -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        // A read blocks, and nothing but the process's end can end it: a thread of its own, not one that tasks share.
        Thread.detachNewThread {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(STDIN_FILENO, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { break }
                continuation.yield(Array(buffer[..<count]))
            }
            continuation.finish()
        }
        return stream
    }

    /// Asks for a secret without showing it; nil where there is no terminal to ask at.
    package func secret(_ question: String) -> String? {
        guard isatty(STDIN_FILENO) == 1 else { return nil }
        var silent = original
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            var attributes = original
            tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes)
            write("\n")
        }
        write(question)
        return readLine()
    }
}

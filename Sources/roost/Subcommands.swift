import ArgumentParser
import ServiceKit

/// What the program consists of: a new subcommand is a file and a line here.
enum RoostProgram {
    static let version = RoostVersion.current

    static let subcommands: [any ParsableCommand.Type] = [
        RunCommand.self,
        UpCommand.self,
        GuardCommand.self,
        StatusCommand.self,
        ChatCommand.self,
        BenchCommand.self,
    ]
}

import ArgumentParser

/// The one program of Roost. Each subcommand has a file of its own.
@main
struct Roost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "A real-time chat cluster that you run yourself.",
        version: RoostProgram.version,
        subcommands: RoostProgram.subcommands)
}

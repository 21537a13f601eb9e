import ArgumentParser
import LoadBench

/// What people do, all of it at once.
struct MixedBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mixed",
        abstract: "Messages, reads, typing, history and comings and goings in fixed shares at one rate.",
        discussion: """
            Of a hundred operations 45 are direct messages, 5 messages to a room, 20 reads, 20 typing signals, 7 pages of \
            history over REST, and 3 users who come with a fresh ticket while others go.
            """)

    @OptionGroup var target: BenchTarget
    @Option(help: "Users, connected all the time; an even number.") var users = 500
    @Option(help: "Of them those in the room.") var roomMembers = 50
    @Option(name: .shortAndLong, help: "Operations a second in all.") var rate = 1000
    @Option(name: .shortAndLong, help: "Seconds measured.") var seconds = 15
    @Option(help: "Seconds before that, not measured.") var warmup = 3
    @Option(help: "Bytes of text in a message, at least 10.") var size = 100
    @OptionGroup var output: BenchOutput

    func run() async throws {
        let scenario = MixedScenario(
            users: users, roomMembers: roomMembers, rate: Double(rate), seconds: seconds, warmup: warmup, size: size)
        try await output.run(
            "mixed", on: target,
            options: [
                ("users", "\(users)"), ("room", "\(roomMembers) members"), ("rate", "\(rate)/s"),
                ("seconds", "\(seconds)"), ("warm-up", "\(warmup) s"), ("size", "\(size) bytes"),
            ], scenario.run)
    }

    func validate() throws {
        guard users >= 2, users % 2 == 0, roomMembers > 1, roomMembers <= users, rate > 0, seconds > 0, warmup >= 0,
            size >= 10
        else { throw ValidationError("an even number of users, a room of some of them, a rate and seconds") }
    }
}

import ArgumentParser
import Client
import Foundation
import Glibc
import TerminalChat
import UnixSignals

/// `roost chat`: a terminal chat client.
struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Chat in a terminal.",
        discussion: """
            Asks for the password, unless ROOST_PASSWORD has it. Which device this is, is kept in ~/.config/roost, so that \
            it stays the same one. Over pipes each line that comes in is a message or a command; at the end of the input \
            it ends when all has been stored. /help lists the commands.
            """)

    @Argument(help: "Your username.")
    var user: String

    @Option(help: "The gateway.")
    var server = "http://localhost:8080"

    @Flag(help: "Register the username first.")
    var register = false

    @Option(help: "The e-mail address to register with. (default: USER@example.org)")
    var email: String?

    @Option(help: "A conversation to open at once: a user's or a group's name.")
    var open: String?

    func validate() throws {
        guard server.hasPrefix("http://") else {
            throw ValidationError("--server is a URL like http://localhost:8080.")
        }
    }

    func run() async throws {
        // A reader of our output that goes away is no reason to end by a signal.
        signal(SIGPIPE, SIG_IGN)
        let environment = ProcessInfo.processInfo.environment
        let terminal = Terminal()
        guard let password = environment["ROOST_PASSWORD"] ?? terminal.secret("Password: ") else {
            Self.complain("there is no terminal to ask for the password: set ROOST_PASSWORD")
            throw ExitCode(64)  // EX_USAGE of sysexits(3)
        }
        let home = environment["XDG_CONFIG_HOME"] ?? NSHomeDirectory() + "/.config"
        let signedIn: SignedIn
        do {
            signedIn = try await signIn(password, SavedDevices(folder: home + "/roost"))
        } catch let failure as RESTFailure {
            Self.complain(failure.detail.isEmpty ? failure.description : failure.detail)
            throw ExitCode.failure
        } catch {
            Self.complain("\(server) can't be reached: \(error)")
            throw ExitCode.failure
        }
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
        let isStyled = environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
        let chat = ChatTerminal(signedIn, terminal: terminal, isStyled: isStyled)
        await chat.run(open: open, stop: signals)
    }

    private func signIn(_ password: String, _ devices: SavedDevices) async throws -> SignedIn {
        var base = server
        while base.hasSuffix("/") { base.removeLast() }
        let rest = RESTClient(base: base)
        let account: Account
        if register {
            account = try await Account.register(rest, username: user, email: email, password: password)
        } else {
            account = try await login(rest, password, devices.device(of: user, at: base))
        }
        do {
            try devices.save(account.device, of: user, at: base)
        } catch {
            Self.complain("the device can't be saved, so that the next time it is a new one: \(error)")
        }
        return SignedIn(account, password: password)
    }

    private func login(_ rest: RESTClient, _ password: String, _ device: String?) async throws -> Account {
        let name = "roost chat on \(ProcessInfo.processInfo.hostName)".prefix(60)
        do {
            return try await Account.login(
                rest, login: user, password: password, device: device, deviceName: String(name))
        } catch let failure as RESTFailure where device != nil && [400, 404, 409, 422].contains(failure.status) {
            // The device is no more: this is a new one.
            return try await Account.login(rest, login: user, password: password, deviceName: String(name))
        }
    }

    private static func complain(_ message: String) {
        FileHandle.standardError.write(Data("roost chat: \(Printable.line(message))\n".utf8))
    }
}

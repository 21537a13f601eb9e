/// What a typed line asks for.
package enum Command: Equatable, Sendable {
    case say(String)
    case list
    case open(String)
    case history(Int?)
    case groups(String?)
    case create(name: String, isPublic: Bool, members: [String])
    case join(String)
    case invite(String?)
    case members
    case remove(String)
    case role(String, String)
    case leave
    case edit(seq: Int?, text: String)
    case delete(seq: Int?)
    case react(seq: Int, emoji: String, removed: Bool)
    case reply(seq: Int, text: String)
    case receipts(seq: Int)
    case search(String)
    /// nil: no longer.
    case mute(hours: Int?)
    case who(String)
    case help
    case quit
    /// What is wrong with the line.
    case wrong(String)

    /// A line that begins with `/` is a command; with `//`, a message that begins with one.
    package init?(_ line: String) {
        guard !line.allSatisfy(\.isWhitespace) else { return nil }
        guard line.first == "/" else {
            self = .say(line)
            return
        }
        guard !line.hasPrefix("//") else {
            self = .say(String(line.dropFirst()))
            return
        }
        let name = line.dropFirst().prefix { !$0.isWhitespace }.lowercased()
        let rest = Self.trimmed(line.dropFirst(1 + name.count))
        let (first, after) = Self.split(rest)
        func need(_ usage: String, _ make: () -> Command?) -> Command { make() ?? .wrong("usage: /\(name) \(usage)") }
        switch name {
        case "list", "chats": self = .list
        case "open": self = need("NAME") { rest.isEmpty ? nil : .open(rest) }
        case "history": self = need("[COUNT]") { rest.isEmpty ? .history(nil) : Int(rest).map { .history($0) } }
        case "groups": self = .groups(rest.isEmpty ? nil : rest)
        case "create": self = need("NAME [--public] [@USER …]") { Self.create(rest) }
        case "join": self = need("GROUP or CODE") { rest.isEmpty ? nil : .join(rest) }
        case "invite": self = .invite(rest.isEmpty ? nil : Self.name(rest))
        case "members": self = .members
        case "remove": self = need("USER") { rest.isEmpty ? nil : .remove(Self.name(rest)) }
        case "role":
            self = need("USER owner|admin|member") {
                ["owner", "admin", "member"].contains(after) ? .role(Self.name(first), after) : nil
            }
        case "leave": self = .leave
        case "edit":
            self = need("[#NUMBER] TEXT") {
                if let seq = Self.seq(first) { return after.isEmpty ? nil : .edit(seq: seq, text: after) }
                return rest.isEmpty ? nil : .edit(seq: nil, text: rest)
            }
        case "delete":
            self = need("[#NUMBER]") { rest.isEmpty ? .delete(seq: nil) : Self.seq(rest).map { .delete(seq: $0) } }
        case "react", "unreact":
            self = need("#NUMBER EMOJI") {
                guard let seq = Self.seq(first), !after.isEmpty else { return nil }
                return .react(seq: seq, emoji: after, removed: name == "unreact")
            }
        case "reply":
            self = need("#NUMBER TEXT") {
                guard let seq = Self.seq(first), !after.isEmpty else { return nil }
                return .reply(seq: seq, text: after)
            }
        case "receipts": self = need("#NUMBER") { Self.seq(rest).map { .receipts(seq: $0) } }
        case "search": self = need("WORDS") { rest.isEmpty ? nil : .search(rest) }
        case "mute":
            self = need("[HOURS|off]") {
                if rest.isEmpty { return .mute(hours: 8) }
                return rest == "off" ? .mute(hours: nil) : Int(rest).flatMap { $0 > 0 ? .mute(hours: $0) : nil }
            }
        case "who": self = need("USER") { rest.isEmpty ? nil : .who(Self.name(rest)) }
        case "help", "?": self = .help
        case "quit", "exit", "q": self = .quit
        default: self = .wrong("there is no command /\(Printable.line(name)); /help lists them")
        }
    }

    private static func create(_ rest: String) -> Command? {
        var words: [Substring] = []
        var members: [String] = []
        var isPublic = false
        for word in rest.split(separator: " ") {
            if word == "--public" {
                isPublic = true
            } else if word.first == "@", word.count > 1 {
                members.append(String(word.dropFirst()))
            } else {
                words.append(word)
            }
        }
        return words.isEmpty
            ? nil : .create(name: words.joined(separator: " "), isPublic: isPublic, members: members)
    }

    /// `#17` or `17`.
    private static func seq(_ text: String) -> Int? {
        let digits = text.hasPrefix("#") ? text.dropFirst() : text[...]
        guard let seq = Int(digits), seq > 0 else { return nil }
        return seq
    }

    private static func name(_ text: String) -> String { text.hasPrefix("@") ? String(text.dropFirst()) : text }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var text = Substring(text)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }

    private static func split(_ text: String) -> (String, String) {
        let first = text.prefix { !$0.isWhitespace }
        return (String(first), trimmed(text.dropFirst(first.count)))
    }

    package static let helpText = [
        "/list                       conversations, with what is unread",
        "/open NAME                  a user or a group; what you type then goes there",
        "/history [COUNT]            what was said before",
        "/reply #N TEXT              answers a message",
        "/edit [#N] TEXT             changes what you said; without a number, last",
        "/delete [#N]                deletes what you said; without a number, last",
        "/react #N EMOJI             reacts; /unreact takes it back",
        "/receipts #N                who has it, and who has read it",
        "/search WORDS               looks for them in the open conversation, or everywhere",
        "/mute [HOURS|off]           the open conversation, for 8 hours",
        "/who USER                   whether they are online",
        "/groups [WORDS]             your groups; with words, public ones",
        "/create NAME [--public] [@USER …]   a group",
        "/join GROUP or CODE         a public group, or where you were invited",
        "/invite [USER]              adds a user to the open group; without one, makes an invitation",
        "/members, /leave            of the open group",
        "/remove USER, /role USER owner|admin|member",
        "/quit",
        "A line that begins with // is a message that begins with /.",
    ]
}

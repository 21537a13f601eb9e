import Client
import Foundation
import Protocol

// Events and messages as lines. Whatever comes from others is made safe here.

extension ChatTerminal {
    /// An event as it happens.
    func described(_ event: JSONValue) async -> [String] {
        let who = await book.name(event["sender"].string ?? "")
        let target = "#\(Self.seq(event["message"].string) ?? 0)"
        let time = clock(event["sent_at"].string)
        switch event["kind"].string {
        case "message": return await message(event)
        case "edit":
            guard event["deleted"].bool != true else { return [] }
            let lines = Printable.lines(event["body"]["text"].string ?? "")
            return quoted(faint("\(time) * \(who) edited \(target): "), lines)
        case "delete": return [faint("\(time) * \(who) deleted \(target)")]
        case "reaction":
            let emoji = Printable.line(event["emoji"].string ?? "")
            return [
                faint(
                    "\(time) * \(who) \(event["removed"].bool == true ? "took back" : "reacted") \(emoji) to \(target)")
            ]
        case "member": return [faint("\(time) * \(await membership(event, by: who))")]
        case "group":
            let name = Printable.line(event["group"]["name"].string ?? "")
            if event["group"]["deleted"].bool == true { return [faint("\(time) * \(who) deleted the group \(name)")] }
            return [faint("\(time) * \(who) set up the group: \(name)")]
        default: return []
        }
    }

    private func membership(_ event: JSONValue, by who: String) async -> String {
        let user = await book.name(event["user"].string ?? "")
        let isSelf = event["user"].string == event["sender"].string
        switch event["change"].string {
        case "joined": return isSelf ? "\(user) joined" : "\(who) added \(user)"
        case "left": return "\(user) left"
        case "removed": return "\(who) removed \(user)"
        case "banned": return "\(who) banned \(user)"
        case "role": return "\(who) made \(user) \(Printable.line(event["role"].string ?? ""))"
        default: return "\(user): \(Printable.line(event["change"].string ?? ""))"
        }
    }

    /// A message in its present state.
    func message(_ message: JSONValue) async -> [String] {
        let who = bold(await book.name(message["sender"].string ?? ""))
        let answered = Self.seq(message["body"]["reply_to"].string).map { " (to #\($0))" } ?? ""
        let head = "\(clock(message["sent_at"].string)) #\(message["seq"].int ?? 0) \(who)\(answered): "
        if message["deleted"].bool == true { return [head + faint("(deleted)")] }
        var lines = Printable.lines(message["body"]["text"].string ?? "")
        if let attachments = message["body"]["attachments"].array, !attachments.isEmpty {
            lines[lines.count - 1] += faint(" [\(attachments.count) attached]")
        }
        if message["edited_at"].string != nil { lines[lines.count - 1] += faint(" (edited)") }
        for reaction in message["reactions"].array ?? [] {
            let emoji = Printable.line(reaction["emoji"].string ?? "")
            lines[lines.count - 1] += faint("  \(emoji) \(reaction["users"].array?.count ?? 0)")
        }
        return quoted(head, lines)
    }

    /// Further lines are marked, so that none can be taken for somebody else's message.
    private func quoted(_ head: String, _ lines: [String]) -> [String] {
        [head + (lines.first ?? "")] + lines.dropFirst().map { "      | " + $0 }
    }

    /// `14:05`, or `21 Nov 14:05`, here.
    func clock(_ time: String?, withDay: Bool = false) -> String {
        guard let time, let milliseconds = RFC3339.milliseconds(time) else { return "--:--" }
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min))"
        return withDay ? "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(clock)" : clock
    }

    /// The seq in a message's id.
    static func seq(_ message: String?) -> Int? { message?.split(separator: "-").last.flatMap { Int($0) } }
}
